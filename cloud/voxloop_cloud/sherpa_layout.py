"""Gives a bundle's model the outer shape of a streaming Zipformer CTC, in which sherpa-onnx feeds it Kaldi features.

sherpa-onnx chooses the features by the layout: NeMo's for models of NeMo's layout, Kaldi's for a Zipformer's. So a
bundle of kind kaldi-fbank needs this once to give the same text there; one of kind nemo-fbank runs as it is. The
weights stay as they are. Needs the `onnx` package (extra `training`).
"""

from pathlib import Path
from typing import Any

import numpy as np

from voxloop_cloud.bundle import MODEL_FILE, Bundle
from voxloop_cloud.model_layout import CHANNEL_KEYS, TIME_KEYS
from voxloop_proto.errors import ConfigError

_ENCODER_DIM = 4
_STREAMS = "streams"
_IDLE: tuple[tuple[str, tuple[int | str, ...]], ...] = (
    ("idle_attention", (1, _STREAMS, 1, 3 * _ENCODER_DIM // 4)),
    ("idle_value_1", (1, _STREAMS, 1)),
    ("idle_value_2", (1, _STREAMS, 1)),
    ("idle_embed", (_STREAMS, 128, 3, 19)),
)
"""States that a Zipformer has and these models don't: passed through."""


def write_zipformer_layout(bundle: Bundle, target: Path) -> None:
    """Writes the model for sherpa_onnx.OnlineRecognizer.from_zipformer2_ctc, for any number of streams in one step.

    Raises ConfigError if the bundle's features aren't those that sherpa-onnx would give it.
    """
    import onnx  # noqa: PLC0415 (the server does not need it)

    if bundle.config.features.kind != "kaldi-fbank":
        raise ConfigError(f"{bundle.label} has {bundle.config.features.kind} features: use from_nemo_ctc, as it is")
    chunk = bundle.config.chunk
    if chunk is None:
        raise ConfigError(
            f"{bundle.label} is an offline model, which has no streaming layout: use from_nemo_ctc, as it is"
        )
    model = onnx.load(str(bundle.path / MODEL_FILE))
    sizes = {prop.key: int(prop.value) for prop in model.metadata_props if prop.value.isdigit()}
    channel = [sizes[key] for key in CHANNEL_KEYS]
    time = [sizes[key] for key in TIME_KEYS]
    if np.prod(time) % _ENCODER_DIM:
        raise ConfigError(f"{bundle.label} has a time cache of {time}; its size must be a multiple of {_ENCODER_DIM}")
    _rewire(model.graph, channel, time, chunk.window_frames, len(bundle.tokens))
    metadata = {
        "model_type": "zipformer2",
        "T": chunk.window_frames,
        "decode_chunk_len": chunk.shift_frames,
        "num_encoder_layers": 1,
        "encoder_dims": _ENCODER_DIM,
        "query_head_dims": np.prod(channel),
        "value_head_dims": 1,
        "num_heads": 1,
        "cnn_module_kernels": 2 * np.prod(time) // _ENCODER_DIM,
        "left_context_len": 1,
    }
    onnx.helper.set_model_props(model, {key: str(value) for key, value in metadata.items()})
    onnx.save(model, str(target))


def _rewire(graph: Any, channel: list[int], time: list[int], window_frames: int, classes: int) -> None:
    """The model's own inputs and outputs become inner values; a Zipformer's take their place."""
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415 (see above)

    log_probs, _, next_channel, next_time, next_length = (output.name for output in graph.output)
    key = (1, _STREAMS, int(np.prod(channel)))
    convolution = (_STREAMS, _ENCODER_DIM, int(np.prod(time)) // _ENCODER_DIM)
    idle = dict(_IDLE)
    states: list[tuple[str, tuple[int | str, ...]]] = [
        ("key", key),
        *((name, idle[name]) for name in ("idle_attention", "idle_value_1", "idle_value_2")),
        ("convolution", convolution),
        ("idle_convolution", convolution),
        ("idle_embed", idle["idle_embed"]),
    ]
    shapes = {
        "to_channel": [-1, *channel],
        "to_time": [-1, *time],
        "to_key": [-1 if size == _STREAMS else size for size in key],
        "to_convolution": [-1 if size == _STREAMS else size for size in convolution],
    }
    graph.initializer.extend(numpy_helper.from_array(np.array(v, np.int64), name) for name, v in shapes.items())
    window = numpy_helper.from_array(np.array([window_frames], np.int64), "window")
    before = [
        helper.make_node("Transpose", ["x"], ["audio_signal"], perm=[0, 2, 1]),
        helper.make_node("Reshape", ["key", "to_channel"], ["cache_last_channel"]),
        helper.make_node("Reshape", ["convolution", "to_time"], ["cache_last_time"]),
        helper.make_node("Identity", ["processed"], ["cache_last_channel_len"]),
        helper.make_node("Shape", ["processed"], ["streams_in_step"]),
        helper.make_node("ConstantOfShape", ["streams_in_step"], ["length"], value=window),
    ]
    after = [
        helper.make_node("Identity", [log_probs], ["log_probs"]),
        helper.make_node("Reshape", [next_channel, "to_key"], ["next_key"]),
        helper.make_node("Reshape", [next_time, "to_convolution"], ["next_convolution"]),
        helper.make_node("Identity", [next_length], ["next_processed"]),
        *(helper.make_node("Identity", [name], [f"next_{name}"]) for name, _ in states if name.startswith("idle")),
    ]
    nodes = [*before, *graph.node, *after]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    value = helper.make_tensor_value_info
    graph.input.append(value("x", TensorProto.FLOAT, [_STREAMS, window_frames, "mel_bins"]))
    graph.output.append(value("log_probs", TensorProto.FLOAT, [_STREAMS, "frames", classes]))
    for name, shape in states:
        graph.input.append(value(name, TensorProto.FLOAT, list(shape)))
        graph.output.append(value(f"next_{name}", TensorProto.FLOAT, list(shape)))
    graph.input.append(value("processed", TensorProto.INT64, [_STREAMS]))
    graph.output.append(value("next_processed", TensorProto.INT64, [_STREAMS]))
