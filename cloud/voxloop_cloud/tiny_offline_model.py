"""A model of random numbers in NeMo's offline CTC layout, made in a moment; all of the sound matters to it.

Needs the `onnx` package (extra `training`), which the server itself does not.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

WIDTH, CONTEXT_FRAMES = 16, 5


def write_tiny_offline_model(
    file: Path,
    seed: int,
    metadata: Mapping[str, int | str],
    subsampling_factor: int,
    classes: int,
    with_lengths: bool = False,
) -> None:
    """An ONNX file: a strided convolution, one over neighbouring frames, the mean of all frames, a linear layer and
    log-softmax. It gives a frame for each begun subsampling_factor of them, as FastConformer does.

    metadata: normalize_type tells how large the features will be. with_lengths: a second output, as some models have.
    """
    import onnx  # noqa: PLC0415 (only who makes a tiny model needs it)
    from onnx import TensorProto, numpy_helper  # noqa: PLC0415

    value = onnx.helper.make_tensor_value_info
    outputs = [value("logprobs", TensorProto.FLOAT, ["B", "frames", classes])]
    graph = onnx.helper.make_graph(
        _nodes(subsampling_factor, with_lengths),
        "tiny-offline",
        [value("audio_signal", TensorProto.FLOAT, ["B", 80, "T"]), value("length", TensorProto.INT64, ["B"])],
        [*outputs, value("encoded_lengths", TensorProto.INT64, ["B"])] if with_lengths else outputs,
        [
            numpy_helper.from_array(weight, name)
            for name, weight in _draw(
                seed, subsampling_factor, classes, metadata["normalize_type"] == "per_feature"
            ).items()
        ],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.helper.set_model_props(model, {key: str(each) for key, each in metadata.items()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(file))


def _draw(seed: int, subsampling_factor: int, classes: int, normalized: bool) -> dict[str, npt.NDArray[Any]]:
    random = np.random.default_rng(seed)

    def draw(*shape: int, scale: float) -> npt.NDArray[np.float32]:
        return (random.standard_normal(shape) * scale).astype(np.float32)

    # Features deviate by 4, or by 1 once normalized; each filter's weights sum to zero: the level matters little.
    spread = 1.0 if normalized else 4.0
    front = draw(WIDTH, 80, subsampling_factor, scale=2 / (spread * np.sqrt(10 * subsampling_factor)))
    bias = np.zeros(classes, np.float32)
    bias[-1] = 3.0  # the blank's: it wins about half of the frames
    return {
        "front": front - front.mean(axis=(1, 2), keepdims=True),
        "near": draw(WIDTH, 1, CONTEXT_FRAMES, scale=0.5),
        "all": draw(WIDTH, WIDTH, 1, scale=0.35),
        "out": draw(classes, WIDTH, 1, scale=1.1),
        "out_bias": bias,
        "factor": np.array(subsampling_factor, np.int64),
        "rest": np.array(subsampling_factor - 1, np.int64),
    }


def _nodes(subsampling_factor: int, with_lengths: bool) -> list[Any]:
    from onnx import helper  # noqa: PLC0415 (see write_tiny_offline_model)

    nodes: list[Any] = []

    def node(kind: str, inputs: str, output: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(kind, inputs.split(), [output], **attributes))

    node("Conv", "audio_signal front", "strided", strides=[subsampling_factor], pads=[0, subsampling_factor - 1])
    node("Tanh", "strided", "frames_in")
    node("Conv", "frames_in near", "neighbours", group=WIDTH, pads=[CONTEXT_FRAMES // 2] * 2)
    node("ReduceMean", "frames_in", "mean", axes=[2], keepdims=1)
    node("Conv", "mean all", "everything")
    node("Sum", "frames_in neighbours everything", "summed")
    node("Tanh", "summed", "hidden")
    node("Conv", "hidden out out_bias", "logits")
    node("Transpose", "logits", "logits_last", perm=[0, 2, 1])
    node("LogSoftmax", "logits_last", "logprobs", axis=-1)
    if with_lengths:
        node("Add", "length rest", "length_up")
        node("Div", "length_up factor", "encoded_lengths")
    return nodes
