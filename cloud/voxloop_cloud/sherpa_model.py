"""What a NeMo CTC model says of itself, in its inputs and its metadata, as sherpa-onnx reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from voxloop_cloud.bundle_config import ChunkConfig, WholeConfig
from voxloop_cloud.model_layout import INPUTS, OFFLINE_TENSORS, Tensor, read_integer
from voxloop_cloud.recognizer import open_session, tensors_of
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.errors import ContractError

_MEL_BINS = 80
"""What sherpa-onnx takes where a model doesn't say."""

_FRAME_EDGE_MS = 7.5
"""What the last feature frame of a window reaches beyond its own 10 ms."""


@dataclass(frozen=True, slots=True)
class SherpaModel:
    """A model's own facts. per_feature: it says that it wants normalized features; origin: where it comes from."""

    windows: ChunkConfig | WholeConfig
    mel_bins: int
    per_feature: bool
    origin: str


def read_sherpa_model(model: Path, token_count: int) -> SherpaModel:
    """The facts of an ONNX file. token_count: blank included. Raises ContractError if it is none that can be served."""
    session = open_session(model)
    metadata = session.get_modelmeta().custom_metadata_map
    inputs, _ = tensors_of(session)
    streaming = _is_streaming(model, inputs)
    _refuse_other_features(model, metadata)
    _check_vocabulary(model, metadata, token_count, streaming)
    return SherpaModel(
        windows=_windows(model, metadata, streaming),
        mel_bins=_mel_bins(model, inputs[0], metadata),
        per_feature=_is_normalized(model, metadata),
        origin=metadata.get("url") or model.name,
    )


def _is_streaming(model: Path, inputs: Sequence[Tensor]) -> bool:
    names, layout = [tensor.name for tensor in inputs], [name for name, _, _ in INPUTS]
    if names not in (layout, layout[:OFFLINE_TENSORS]):
        raise ContractError(
            f"{model} has the inputs {', '.join(names)}; allowed are NeMo's CTC layouts: {', '.join(layout)} of a "
            f"streaming model, {' and '.join(layout[:OFFLINE_TENSORS])} of an offline one; other models are not served"
        )
    return names == layout


def _refuse_other_features(model: Path, metadata: Mapping[str, str]) -> None:
    """Metadata of models that look like NeMo's, and hear something else."""
    if metadata.get("is_giga_am", "0") not in ("", "0"):
        raise ContractError(f"{model} is a GigaAM model, whose features are its own; allowed are models of NeMo")
    rate = metadata.get("sample_rate", str(SAMPLE_RATE_HZ))
    if rate != str(SAMPLE_RATE_HZ):
        raise ContractError(f"{model} has sample_rate = {rate} in its metadata; allowed is {SAMPLE_RATE_HZ}")


def _check_vocabulary(model: Path, metadata: Mapping[str, str], token_count: int, streaming: bool) -> None:
    """vocab_size counts the tokens without the blank; some exporters of offline models count it in."""
    found = read_integer(str(model), metadata, "vocab_size")
    allowed = (token_count - 1,) if streaming else (token_count - 1, token_count)
    if found not in allowed:
        raise ContractError(
            f"{model} has vocab_size = {found} in its metadata, but its tokens are {token_count}, the blank included; "
            "they are not of one model: give the right --tokens"
        )


def _mel_bins(model: Path, signal: Tensor, metadata: Mapping[str, str]) -> int:
    declared = signal.shape[1] if len(signal.shape) > 1 else None
    told = read_integer(str(model), metadata, "feat_dim") if metadata.get("feat_dim") else None
    if isinstance(declared, int):
        if told not in (None, declared):
            raise ContractError(f"{model} has feat_dim = {told} in its metadata, but takes {declared} mel bins")
        return declared
    return told or _MEL_BINS


def _is_normalized(model: Path, metadata: Mapping[str, str]) -> bool:
    kind = metadata.get("normalize_type", "")
    if kind not in ("", "NA", "None", "per_feature"):
        raise ContractError(
            f"{model} has normalize_type = {kind!r} in its metadata; allowed are 'per_feature', 'NA' and nothing"
        )
    return kind == "per_feature"


def _windows(model: Path, metadata: Mapping[str, str], streaming: bool) -> ChunkConfig | WholeConfig:
    where = str(model)
    subsampling_factor = read_integer(where, metadata, "subsampling_factor")
    try:
        if not streaming:
            return WholeConfig(subsampling_factor=subsampling_factor)
        window_frames = read_integer(where, metadata, "window_size")
        return ChunkConfig(
            window_frames=window_frames,
            shift_frames=read_integer(where, metadata, "chunk_shift"),
            subsampling_factor=subsampling_factor,
            look_ahead_ms=10 * window_frames + _FRAME_EDGE_MS,
        )
    except ValidationError as error:
        found = "; ".join(each["msg"] for each in error.errors())
        raise ContractError(f"{where} has metadata that can't be: {found}; export it again") from error
