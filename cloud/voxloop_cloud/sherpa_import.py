"""Makes a bundle of a model as sherpa-onnx publishes one: NeMo's CTC layouts, streaming or offline.

What the model expects is read from its inputs and metadata; what they don't say (name, language, licence), the user
does. The features are those that sherpa-onnx gives it, so that its tokens are the same here; docs/models.md has where
these differ from NeMo's own, which `exact_features` gives.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ValidationError

from voxloop_cloud.bundle import AUDIT_FILE, BLANK, CONFIG_FILE, MODEL_FILE, REFERENCE_FILE, TOKENS_FILE, load_bundle
from voxloop_cloud.bundle_config import (
    BundleConfig,
    ChunkConfig,
    ModelConfig,
    NormalizationConfig,
    ProvenanceConfig,
    WholeConfig,
)
from voxloop_cloud.checksums import write_checksums
from voxloop_cloud.decoder import SPACE
from voxloop_cloud.features import FeatureConfig
from voxloop_cloud.model_layout import INPUTS, OFFLINE_TENSORS, Tensor, read_integer
from voxloop_cloud.recognizer import Recognizer, open_session, tensors_of
from voxloop_cloud.sherpa_files import SherpaFiles, quantization_of, read_sherpa_tokens
from voxloop_proto.audio import SAMPLE_RATE_HZ, PaddingPolicy
from voxloop_proto.errors import ContractError, ModelError

_MEL_BINS = 80
"""What sherpa-onnx takes where a model doesn't say."""

_FRAME_EDGE_MS = 7.5
"""What the last feature frame of a window reaches beyond its own 10 ms."""

_TARGET_DBFS = -23.0
_SAME = 1e-3
"""Most that log-probabilities of a model that is exact in batches differ with the size of the batch."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a model's file doesn't say. exact_features: NeMo's own instead of sherpa-onnx's."""

    name: str
    version: str
    language: str
    licence: str
    exact_features: bool = False


def write_imported_bundle(files: SherpaFiles, label: Label, folder: Path, tell: Callable[[str], None]) -> None:
    """Fills a new or empty folder with a bundle of the model.

    tell: is told what is worth knowing of it. Raises ContractError if it can't be served.
    """
    tokens = read_sherpa_tokens(files.tokens)
    config = _describe(files.model, tokens, label, tell)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(files.model, folder / MODEL_FILE)
    for each in files.external:
        shutil.copyfile(each, folder / each.name)
    lines = [f"{token} {identifier}\n" for identifier, token in enumerate(tokens)]
    (folder / TOKENS_FILE).write_text("".join(lines), encoding="utf-8")
    for name in (REFERENCE_FILE, AUDIT_FILE):
        (folder / name).write_text(json.dumps({}) + "\n", encoding="utf-8")
    _write_config(folder, config)
    if not _is_exact_in_batches(Recognizer(load_bundle(folder))):
        inexact = config.model.model_copy(update={"quantization": "unknown, not exact in batches"})
        _write_config(folder, config.model_copy(update={"model": inexact}))
        tell(f"{files.model.name} is not exact in batches: it is served one window at a time")


def _write_config(folder: Path, config: BundleConfig) -> None:
    (folder / CONFIG_FILE).write_text(config.to_toml(), encoding="utf-8")
    write_checksums(folder)


def _describe(model: Path, tokens: Sequence[str], label: Label, tell: Callable[[str], None]) -> BundleConfig:
    session = open_session(model)
    metadata = session.get_modelmeta().custom_metadata_map
    inputs, _ = tensors_of(session)
    streaming = _is_streaming(model, inputs)
    _refuse_other_features(model, metadata)
    _check_vocabulary(model, metadata, len(tokens), streaming)
    normalized = _is_normalized(model, metadata)
    if normalized and streaming:
        tell(
            f"{model.name} has normalize_type = per_feature, which a stream can't have before its end; as in "
            "sherpa-onnx, nothing is normalized"
        )
    where = str(model)
    try:
        return BundleConfig(
            format=1,
            name=label.name,
            version=label.version,
            language=label.language,
            tokens=_kind_of(tokens),
            features=_features(
                _mel_bins(model, inputs[0], metadata), normalized and not streaming, label.exact_features
            ),
            chunk=_chunk(where, metadata) if streaming else None,
            whole=None
            if streaming
            else WholeConfig(subsampling_factor=read_integer(where, metadata, "subsampling_factor")),
            padding=PaddingPolicy(),
            normalization=NormalizationConfig(target_dbfs=_TARGET_DBFS),
            model=ModelConfig(parameters=0, quantization=quantization_of(model)),
            provenance=_provenance(model, metadata),
            licence=label.licence,
        )
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ContractError(f"{where} makes no bundle: {found}; see: voxloop models import --help") from error


def _provenance(model: Path, metadata: Mapping[str, str]) -> ProvenanceConfig:
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return ProvenanceConfig(created=created, parent=metadata.get("url") or model.name)


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


def _kind_of(tokens: Sequence[str]) -> Literal["characters", "bpe"]:
    return "characters" if all(len(token) == 1 for token in tokens if token != BLANK) and SPACE in tokens else "bpe"


def _features(mel_bins: int, per_feature: bool, exact: bool) -> FeatureConfig:
    """sherpa-onnx has NeMo's guard of the logarithm only where it normalizes."""
    return FeatureConfig(
        kind="nemo-fbank",
        mel_bins=mel_bins,
        low_hz=0,
        high_hz=SAMPLE_RATE_HZ / 2,
        window="hanning" if exact else "hann",
        log_guard="add" if exact or per_feature else "floor",
        normalization="per-feature" if per_feature else "none",
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


def _chunk(where: str, metadata: Mapping[str, str]) -> ChunkConfig:
    window_frames = read_integer(where, metadata, "window_size")
    return ChunkConfig(
        window_frames=window_frames,
        shift_frames=read_integer(where, metadata, "chunk_shift"),
        subsampling_factor=read_integer(where, metadata, "subsampling_factor"),
        look_ahead_ms=10 * window_frames + _FRAME_EDGE_MS,
    )


def _is_exact_in_batches(recognizer: Recognizer) -> bool:
    """True unless two windows, one loud and one quiet, come out otherwise together than alone. One that may not be in a
    batch anyway is taken as it is."""
    config = recognizer.bundle.config
    if recognizer.exact_batch is not None or config.chunk is None:
        return True
    random = np.random.default_rng(0)
    windows = random.normal(-8, 4, (2, config.chunk.window_frames, config.features.mel_bins)).astype(np.float32)
    windows[1] = 0.1 * windows[1] - 14
    starts = [recognizer.start()] * 2
    alone = [recognizer.step(starts[:1], window[None])[0] for window in windows]
    try:
        together, _ = recognizer.step(starts, windows)
    except ModelError:  # made for one stream, though it doesn't say so
        return False
    return bool(np.abs(together - np.concatenate(alone)).max() <= _SAME)
