"""Proof that the exported files say what the trained model says."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from voxloop_training.model import ConformerCtc
from voxloop_training.model.subsampling import OVERLAP_FRAMES, SUBSAMPLING_FRAMES

_MARGIN = 20.0


class ParityConfig(BaseModel):
    """How far the stages of an export may differ."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    onnx_limit: float = Field(1e-3, gt=0, description="largest difference of a log-probability, torch to ONNX fp32")
    streaming_limit: float = Field(1e-4, gt=0, description="largest difference of a log-probability, whole to chunks")
    wer_limit_ratio: float = Field(0.01, gt=0, description="most that int8 may add to the dev WER, share of words")


def streamed(model: ConformerCtc, features: Tensor, chunk_frames: int) -> Tensor:
    """Log-probabilities of (B, T, F) features, chunk by chunk in torch; T must be a whole number of chunks plus 3."""
    outputs, state = [], model.start(features.shape[0])
    for window in _windows(features, chunk_frames):
        with torch.no_grad():
            output, state = model.step(window, state)
        outputs.append(output)
    return torch.cat(outputs, dim=1)


def streamed_onnx(path: Path, model: ConformerCtc, features: Tensor, chunk_frames: int) -> npt.NDArray[np.float32]:
    """The same through an ONNX file, (B, T', V) float32."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    state = [tensor.numpy() for tensor in model.start(features.shape[0])]
    outputs = []
    for window in _windows(features, chunk_frames):
        signal = window.transpose(1, 2).contiguous().numpy()
        length = np.full(len(signal), window.shape[1], dtype=np.int64)
        output, _, *state = session.run(None, dict(zip(names, [signal, length, *state], strict=True)))
        outputs.append(output)
    return np.concatenate(outputs, axis=1)


def largest_differences(model: ConformerCtc, onnx: Path, int8: Path, chunk_frames: int) -> dict[str, float]:
    """Largest difference of a log-probability between the stages, on noise with the level of real features.

    Log-probabilities below -20 are as good as impossible; differences down there do not count.
    """
    generator = torch.Generator().manual_seed(0)
    frames = 12 * chunk_frames * SUBSAMPLING_FRAMES + OVERLAP_FRAMES
    noise = torch.randn(2, frames, model.config.mel_bins, generator=generator)
    features = model.mean + model.deviation * noise
    with torch.no_grad():
        whole = model.served(model(features, chunk_frames)).clamp(min=-_MARGIN)
    chunks = streamed(model, features, chunk_frames).clamp(min=-_MARGIN)
    exported = np.maximum(streamed_onnx(onnx, model, features, chunk_frames), -_MARGIN)
    small = np.maximum(streamed_onnx(int8, model, features, chunk_frames), -_MARGIN)
    return {
        "streaming_to_whole": float((chunks - whole).abs().max()),
        "onnx_to_torch": float(np.abs(exported - whole.numpy()).max()),
        "int8_to_torch": float(np.abs(small - whole.numpy()).max()),
    }


def _windows(features: Tensor, chunk_frames: int) -> list[Tensor]:
    shift = chunk_frames * SUBSAMPLING_FRAMES
    starts = range(0, features.shape[1] - OVERLAP_FRAMES, shift)
    return [features[:, start : start + shift + OVERLAP_FRAMES] for start in starts]
