"""Makes a bundle of a model as sherpa-onnx publishes one: NeMo's CTC layouts, streaming or offline.

What the model expects is read from its inputs and metadata; what they don't say (name, language, licence), the user
does. The features are those that sherpa-onnx gives it, so that its tokens are the same here; docs/models.md has where
these differ from NeMo's own, which `exact_features` gives.
"""

import json
import shutil
from collections.abc import Callable, Sequence
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
from voxloop_cloud.feature_config import FeatureConfig
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.sherpa_files import SherpaFiles, quantization_of, read_sherpa_tokens
from voxloop_cloud.sherpa_model import SherpaModel, read_sherpa_model
from voxloop_proto.audio import SAMPLE_RATE_HZ, PaddingPolicy
from voxloop_proto.errors import ConfigError, ModelError

_TARGET_DBFS = -23.0
_SAME = 0.01
"""Most that log-probabilities of a model that is exact in batches differ with the size of the batch."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a model's file doesn't say. exact_features: NeMo's own instead of sherpa-onnx's."""

    name: str
    version: str
    language: str
    licence: str
    exact_features: bool = False


def write_imported_bundle(
    files: SherpaFiles, label: Label, folder: Path, tell: Callable[[str], None] = lambda _: None
) -> None:
    """Fills a new or empty folder with a bundle of the model.

    tell: is told what is worth knowing of it. Raises ContractError for the model, ConfigError for the label.
    """
    tokens = read_sherpa_tokens(files.tokens)
    model = read_sherpa_model(files.model, len(tokens))
    if model.per_feature and isinstance(model.windows, ChunkConfig):
        tell(
            f"{files.model.name} has normalize_type = per_feature, which a stream can't have before its end; as in "
            "sherpa-onnx, nothing is normalized"
        )
    config = _describe(model, files, tokens, label)
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


def _describe(model: SherpaModel, files: SherpaFiles, tokens: Sequence[str], label: Label) -> BundleConfig:
    streaming = isinstance(model.windows, ChunkConfig)
    try:
        return BundleConfig(
            format=1,
            name=label.name,
            version=label.version,
            language=label.language,
            tokens=_kind_of(tokens),
            features=_features(model.mel_bins, model.per_feature and not streaming, label.exact_features),
            chunk=model.windows if isinstance(model.windows, ChunkConfig) else None,
            whole=model.windows if isinstance(model.windows, WholeConfig) else None,
            padding=PaddingPolicy(),
            normalization=NormalizationConfig(target_dbfs=_TARGET_DBFS),
            model=ModelConfig(parameters=0, quantization=quantization_of(files.model)),
            provenance=ProvenanceConfig(created=datetime.now(UTC).isoformat(timespec="seconds"), parent=model.origin),
            licence=label.licence,
        )
    except ValidationError as error:  # the label's: the model's own facts are checked
        found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ConfigError(f"{found}; see: voxloop models import --help") from error


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
