"""The model as an ONNX file in NeMo's cache-aware streaming CTC layout, in full precision and in int8."""

import logging
import warnings
from pathlib import Path
from typing import Final

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxscript.optimizer import optimize_ir
from torch import Tensor, nn

from voxloop_cloud.model_layout import CHANNEL_KEYS, INPUTS, OUTPUTS, TIME_KEYS
from voxloop_training.model import ConformerCtc, StreamState
from voxloop_training.model.subsampling import OVERLAP_FRAMES, SUBSAMPLING_FRAMES

_OPSET: Final = 18
_EXAMPLE_STREAMS: Final = 2
_MOST_FOLDED: Final = 1 << 30
"""Elements of a constant that may be computed at export: all of them, so that no step works on weights."""


class StreamingStep(nn.Module):
    """One step with the names, order and axes of the layout."""

    def __init__(self, model: ConformerCtc) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, audio_signal: Tensor, length: Tensor, channel: Tensor, time: Tensor, channel_frames: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        state = StreamState(channel, time, channel_frames)
        log_probabilities, after = self.model.step(audio_signal.transpose(1, 2), state)
        frames = (length - OVERLAP_FRAMES) // SUBSAMPLING_FRAMES * self.model.config.outputs_per_frame
        return log_probabilities, frames, *after


def write_onnx(model: ConformerCtc, chunk_frames: int, path: Path) -> None:
    """Write `model` in float32 for chunks of `chunk_frames` encoder frames; any number of streams per step."""
    window = chunk_frames * SUBSAMPLING_FRAMES + OVERLAP_FRAMES
    features = torch.zeros(_EXAMPLE_STREAMS, model.config.mel_bins, window)
    example = (features, torch.full((_EXAMPLE_STREAMS,), window), *model.start(_EXAMPLE_STREAMS))
    streams = torch.export.Dim("streams", min=1, max=4096)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # torch's exporter warns about its own internals (copyreg, pytree); nothing there is ours to change.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            StreamingStep(model.eval()),
            example,
            dynamo=True,
            verbose=False,
            opset_version=_OPSET,
            input_names=[name for name, _, _ in INPUTS],
            output_names=[name for name, _, _ in OUTPUTS],
            dynamic_shapes=[{0: streams} for _ in example],
        )
        assert program is not None  # None is the answer of the exporter that torch had before
        optimize_ir(program.model, input_size_limit=_MOST_FOLDED, output_size_limit=_MOST_FOLDED)
        program.save(path, external_data=False)
    _write_metadata(path, metadata(model, chunk_frames))


def write_int8(source: Path, target: Path) -> None:
    """Quantise the weights of all matrix products, per channel; convolutions and attention stay float32."""
    logging.getLogger().setLevel(logging.ERROR)
    quantize_dynamic(source, target, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8)
    _copy_metadata(source, target)


def metadata(model: ConformerCtc, chunk_frames: int) -> dict[str, str]:
    """What sherpa-onnx and our server read from the file itself."""
    state = model.start(1)
    values: dict[str, int] = {
        "window_size": chunk_frames * SUBSAMPLING_FRAMES + OVERLAP_FRAMES,
        "chunk_shift": chunk_frames * SUBSAMPLING_FRAMES,
        "subsampling_factor": SUBSAMPLING_FRAMES // model.config.outputs_per_frame,
        "vocab_size": model.outputs - 1,
        **dict(zip(CHANNEL_KEYS, state.channel.shape[1:], strict=True)),
        **dict(zip(TIME_KEYS, state.time.shape[1:], strict=True)),
    }
    return {"model_type": "EncDecCTCModel", **{key: str(value) for key, value in values.items()}}


def _write_metadata(path: Path, values: dict[str, str]) -> None:
    model = onnx.load(path)
    onnx.helper.set_model_props(model, values)
    model.doc_string = ""
    for node in model.graph.node:
        del node.metadata_props[:]  # torch writes its source lines there, with the builder's paths
        node.doc_string = ""
    onnx.save(model, path)


def _copy_metadata(source: Path, target: Path) -> None:
    _write_metadata(target, {prop.key: prop.value for prop in onnx.load(source).metadata_props})
