"""A model of random numbers in the served layout, small enough to make in a test, with every cache in use.

Needs the `onnx` package (extra `training`), which the server itself does not.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

LAYERS, CHANNEL_FRAMES, WIDTH, TIME_FRAMES = 2, 12, 16, 5
"""L, C, D, K of the tiny model's caches."""


def write_tiny_model(
    file: Path,
    weights: Mapping[str, npt.NDArray[np.float32]],
    metadata: Mapping[str, int | str],
    overlap_frames: int,
    subsampling_factor: int,
) -> None:
    """The tiny model as an ONNX file: a strided convolution over the window; in each layer a depthwise convolution over
    cached frames and a mean over cached frames, in place of attention; a linear layer and log-softmax."""
    import onnx  # noqa: PLC0415 (only who makes a tiny bundle needs it)
    from onnx import TensorProto, numpy_helper  # noqa: PLC0415

    make = onnx.helper.make_tensor_value_info
    caches: list[tuple[str, int, list[str | int]]] = [
        ("cache_last_channel", TensorProto.FLOAT, ["B", LAYERS, CHANNEL_FRAMES, WIDTH]),
        ("cache_last_time", TensorProto.FLOAT, ["B", LAYERS, WIDTH, TIME_FRAMES]),
        ("cache_last_channel_len", TensorProto.INT64, ["B"]),
    ]
    classes = len(weights["out_bias"])
    graph = onnx.helper.make_graph(
        _tiny_nodes(subsampling_factor),
        "tiny",
        [
            make("audio_signal", TensorProto.FLOAT, ["B", 80, "T"]),
            make("length", TensorProto.INT64, ["B"]),
            *(make(name, kind, shape) for name, kind, shape in caches),
        ],
        [
            make("logprobs", TensorProto.FLOAT, ["B", "frames", classes]),
            make("encoded_lengths", TensorProto.INT64, ["B"]),
            *(make(f"{name}_next", kind, shape) for name, kind, shape in caches),
        ],
        [
            numpy_helper.from_array(value, name)
            for name, value in (*weights.items(), *_constants(overlap_frames, subsampling_factor))
        ],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.helper.set_model_props(model, {key: str(value) for key, value in metadata.items()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(file))


def draw_weights(
    seed: int, overlap_frames: int, subsampling_factor: int, classes: int
) -> dict[str, npt.NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    kernel = overlap_frames + subsampling_factor

    def draw(*shape: int, scale: float) -> npt.NDArray[np.float32]:
        return (random.standard_normal(shape) * scale).astype(np.float32)

    # Features lie around -8, give or take 4: each filter's weights sum to zero, so that the level matters little.
    front = draw(WIDTH, 80, kernel, scale=0.5 / np.sqrt(10 * kernel))
    weights = {"front": front - front.mean(axis=(1, 2), keepdims=True), "front_bias": np.zeros(WIDTH, np.float32)}
    for layer in range(LAYERS):
        weights[f"depthwise_{layer}"] = draw(WIDTH, 1, TIME_FRAMES + 1, scale=0.35)
        weights[f"mean_{layer}"] = draw(WIDTH, WIDTH, scale=0.35)
    weights["out"] = draw(classes, WIDTH, 1, scale=1.1)
    weights["out_bias"] = np.zeros(classes, np.float32)
    weights["out_bias"][-1] = 3.5  # the blank's: it wins about half of the frames
    return weights


def _constants(overlap_frames: int, subsampling_factor: int) -> list[tuple[str, npt.NDArray[Any]]]:
    integers = {"overlap": [overlap_frames], "factor": [subsampling_factor], "last": [2**40], "one": [1], "two": [2]}
    integers |= {"minus_time": [-TIME_FRAMES], "minus_channel": [-CHANNEL_FRAMES], "capacity": [CHANNEL_FRAMES]}
    return [
        *((name, np.array(value, np.int64)) for name, value in integers.items()),
        ("positions", np.arange(CHANNEL_FRAMES, dtype=np.int64)[None]),
        *((f"layer_{layer}", np.array(layer, np.int64)) for layer in range(LAYERS)),
    ]


def _tiny_nodes(subsampling_factor: int) -> list[Any]:
    from onnx import helper  # noqa: PLC0415 (see write_tiny_model)

    nodes: list[Any] = []

    def node(kind: str, inputs: str, output: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(kind, inputs.split(), [output], **attributes))

    node("Sub", "length overlap", "usable")
    node("Div", "usable factor", "encoded_lengths")
    node("Conv", "audio_signal front front_bias", "front_out", strides=[subsampling_factor])
    node("Tanh", "front_out", "h_0")
    node("Shape", "h_0", "frames", start=2, end=3)
    # Cached frames are right-aligned: position p of C is filled if p >= C - length.
    node("Sub", "capacity cache_last_channel_len", "empty")
    node("Unsqueeze", "empty one", "empty_column")
    node("GreaterOrEqual", "positions empty_column", "filled_bool")
    node("Cast", "filled_bool", "filled_flat", to=1)
    node("Unsqueeze", "filled_flat two", "filled")
    node("Add", "cache_last_channel_len frames", "seen_flat")
    node("Min", "seen_flat capacity", "cache_last_channel_len_next")
    node("Cast", "seen_flat", "seen_float", to=1)
    node("Unsqueeze", "seen_float one", "seen")
    for layer in range(LAYERS):
        _tiny_layer(node, layer)
    for name in ("time", "channel"):
        stacked = " ".join(f"next_{name}_{layer}" for layer in range(LAYERS))
        node("Concat", stacked, f"cache_last_{name}_next", axis=1)
    node("Conv", f"h_{LAYERS} out out_bias", "logits")
    node("Transpose", "logits", "logits_last", perm=[0, 2, 1])
    node("LogSoftmax", "logits_last", "logprobs", axis=-1)
    return nodes


def _tiny_layer(node: Any, layer: int) -> None:
    def put(kind: str, inputs: str, output: str, **attributes: Any) -> None:
        """A node; {} in a name stands for the layer."""
        node(kind, inputs.format(layer), output.format(layer), **attributes)

    inside = f"h_{layer}"
    put("Gather", "cache_last_time layer_{0}", "time_{0}", axis=1)
    put("Concat", f"time_{{0}} {inside}", "time_all_{0}", axis=2)
    put("Slice", "time_all_{0} minus_time last two", "time_tail_{0}")
    put("Unsqueeze", "time_tail_{0} one", "next_time_{0}")
    put("Conv", "time_all_{0} depthwise_{0}", "depthwise_out_{0}", group=WIDTH)
    put("Tanh", "depthwise_out_{0}", "bent_{0}")
    put("Add", f"{inside} bent_{{0}}", "mixed_{0}")
    put("Transpose", "mixed_{0}", "rows_{0}", perm=[0, 2, 1])
    put("Gather", "cache_last_channel layer_{0}", "channel_{0}", axis=1)
    put("Mul", "channel_{0} filled", "channel_filled_{0}")
    put("Concat", "channel_filled_{0} rows_{0}", "channel_all_{0}", axis=1)
    put("Slice", "channel_all_{0} minus_channel last one", "channel_tail_{0}")
    put("Unsqueeze", "channel_tail_{0} one", "next_channel_{0}")
    put("ReduceSum", "channel_all_{0} one", "sum_{0}", keepdims=0)
    put("Div", "sum_{0} seen", "mean_out_{0}")
    put("MatMul", "mean_out_{0} mean_{0}", "attended_{0}")
    put("Unsqueeze", "attended_{0} two", "attended_column_{0}")
    put("Add", "mixed_{0} attended_column_{0}", "summed_{0}")
    put("Tanh", "summed_{0}", f"h_{layer + 1}")
