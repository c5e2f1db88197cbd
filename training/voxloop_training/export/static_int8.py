"""Fixed scales for the activations of an int8 model: with them a stream's values are its own in any batch.

onnxruntime's dynamic quantization takes one scale from all values of a tensor, so in a batch the loudest stream sets it
for all, and batches have to be of one (docs/decisions/0006). Here a scale is what training clips need of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from voxloop_cloud.bundle_config import ChunkConfig
from voxloop_cloud.feature_config import FeatureConfig
from voxloop_cloud.features import FeatureStream
from voxloop_edge.manifest import read_clips
from voxloop_edge.source import FileSource
from voxloop_proto.audio import Pcm, level_dbfs
from voxloop_proto.errors import DataError

CLIPS: Final = 128
_DYNAMIC: Final = "DynamicQuantizeLinear"
_MOST_GAIN_DB: Final = 26.0
_LEVELS: Final = 255
_KEPT_PERCENTILE: Final = 99.9
"""Of the windows' ranges: the few beyond it are clipped."""


def calibration_clips(manifests: Sequence[Path], target_dbfs: float, clips: int = CLIPS) -> Iterator[Pcm]:
    """Clips of all manifests, as many of each, drawn with a fixed seed, at the level at which devices send them.

    Raises DataError if a manifest has none.
    """
    random = np.random.default_rng(0)
    for manifest in manifests:
        found = list(read_clips([manifest]))
        for place in random.permutation(len(found))[: -(-clips // len(manifests))]:
            pcm = np.concatenate([chunk.pcm for chunk in FileSource(found[place].audio).chunks()])
            gain_db = min(target_dbfs - level_dbfs(pcm), _MOST_GAIN_DB)
            yield (pcm * np.float32(10.0 ** (gain_db / 20.0))).clip(-1.0, 1.0)


def fix_scales(file: Path, features: FeatureConfig, chunk: ChunkConfig, clips: Iterable[Pcm]) -> None:
    """Rewrites a streaming model with dynamic scales as one with fixed ones, measured on clips, (S,) float32 each."""
    model = onnx.load(file)
    quantizers = [node for node in model.graph.node if node.op_type == _DYNAMIC]
    low, high = _ranges(model, features, chunk, clips)
    scales = ((high - low) / _LEVELS).astype(np.float32)
    zeros = np.rint(-low / scales).clip(0, _LEVELS).astype(np.uint8)
    for node, scale, zero in zip(quantizers, scales, zeros, strict=True):
        quantized, scale_name, zero_name = node.output
        model.graph.initializer.append(numpy_helper.from_array(np.array(scale), scale_name))
        model.graph.initializer.append(numpy_helper.from_array(np.array(zero), zero_name))
        node.op_type = "QuantizeLinear"
        node.input.extend([scale_name, zero_name])
        node.output[:] = [quantized]
    onnx.save(model, file)


def _ranges(
    model: onnx.ModelProto, features: FeatureConfig, chunk: ChunkConfig, clips: Iterable[Pcm]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The least and greatest value of each quantized tensor, 0 within, leaving out the widest windows."""
    told = onnx.ModelProto()
    told.CopyFrom(model)
    for node in model.graph.node:
        if node.op_type == _DYNAMIC:
            told.graph.output.append(helper.make_tensor_value_info(node.output[1], TensorProto.FLOAT, None))
            told.graph.output.append(helper.make_tensor_value_info(node.output[2], TensorProto.UINT8, None))
    session = onnxruntime.InferenceSession(told.SerializeToString(), providers=["CPUExecutionProvider"])
    found = [window for pcm in clips for window in _windows_scales(session, features, chunk, pcm)]
    if not found:
        raise DataError("no sound to calibrate with")
    scales, zeros = np.array(found).swapaxes(0, 1)
    low = np.percentile(-zeros * scales, 100.0 - _KEPT_PERCENTILE, axis=0)
    high = np.percentile((_LEVELS - zeros) * scales, _KEPT_PERCENTILE, axis=0)
    return np.minimum(low, 0.0), np.maximum(high, 0.0)


def _windows_scales(
    session: onnxruntime.InferenceSession, features: FeatureConfig, chunk: ChunkConfig, pcm: Pcm
) -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Scales and zero points of each window of a clip, as the model finds them."""
    stream, frames = FeatureStream(features), features.frames_in(len(pcm))
    stream.push(pcm)
    stream.finish(chunk.padded_frames(frames))
    names = [item.name for item in session.get_inputs()]
    caches = [
        np.zeros([1, *item.shape[1:]], np.int64 if item.type == "tensor(int64)" else np.float32)
        for item in session.get_inputs()[2:]
    ]
    length = np.full(1, chunk.window_frames, np.int64)
    for step in range(chunk.steps_for(frames)):
        window = stream.window(step * chunk.shift_frames, chunk.window_frames)
        given = [np.ascontiguousarray(window.T[None]), length, *caches]
        _, _, *rest = session.run(None, dict(zip(names, given, strict=True)))
        caches, told = rest[: len(caches)], rest[len(caches) :]
        yield np.array(told[0::2], np.float64), np.array(told[1::2], np.float64)
