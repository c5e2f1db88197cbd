"""A bundle whose weights stay while the graph around them becomes a better one."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from voxloop_cloud.bundle import AUDIT_FILE, CONFIG_FILE, MODEL_FILE, load_bundle
from voxloop_cloud.bundle_config import BundleConfig
from voxloop_cloud.checksums import write_checksums
from voxloop_proto.errors import ConfigError, ModelError
from voxloop_training.export.model_card import CARD_FILE
from voxloop_training.export.onnx_file import write_int8, write_onnx
from voxloop_training.export.parity import ParityConfig, largest_differences
from voxloop_training.export.static_int8 import calibration_clips, fix_scales
from voxloop_training.model import ConformerCtc
from voxloop_training.model.subsampling import SUBSAMPLING_FRAMES

_INT8: Final = ("int8-dynamic", "int8-static")


def renew_bundle(
    old: Path, new: Path, model: ConformerCtc, version: str, calibrate: Sequence[Path] = ()
) -> dict[str, float]:
    """Writes the bundle `old` to the folder `new`, with its model exported again from `model`; returns the parity.

    calibrate: manifests of training clips; an int8 bundle gets fixed scales by them, and may then be served in batches.
    Error rates in audit and card stay those of `old`, and say so. Raises ConfigError if `new` is there or `old` is of a
    kind that is not exported here, ModelError if the exported model does not say what `model` says; then nothing is
    written.
    """
    config = load_bundle(old).config
    if new.exists():
        raise ConfigError(f"{new} is there already; give a folder that is not")
    if config.chunk is None or config.model.quantization not in ("none", *_INT8):
        raise ConfigError(
            f"{config.name} {config.version} is {'offline' if config.chunk is None else config.model.quantization}; "
            f"only streaming bundles of none, {' or '.join(_INT8)} are renewed"
        )
    if config.model.quantization == "int8-static" and not calibrate:
        raise ConfigError(
            f"{config.name} {config.version} is int8-static; name training clips with --calibrate MANIFEST"
        )
    model.writes_phones = config.tokens == "phones"
    chunk_frames = config.chunk.shift_frames // SUBSAMPLING_FRAMES
    created = datetime.now(UTC).isoformat(timespec="seconds")
    provenance = config.provenance.model_copy(update={"created": created})
    kind = config.model.quantization if config.model.quantization == "none" else _INT8[bool(calibrate)]
    arithmetic = config.model.model_copy(update={"quantization": kind})
    renewed = config.model_copy(update={"version": version, "provenance": provenance, "model": arithmetic})
    new.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=new.parent) as scratch:
        folder, full = Path(scratch, "bundle"), Path(scratch, MODEL_FILE)
        shutil.copytree(old, folder)
        write_onnx(model, chunk_frames, full)
        if kind == "none":
            shutil.copyfile(full, folder / MODEL_FILE)
        else:
            write_int8(full, folder / MODEL_FILE)
        if kind == "int8-static":
            clips = calibration_clips(calibrate, config.normalization.target_dbfs)
            fix_scales(folder / MODEL_FILE, config.features, config.chunk, clips)
        parity = largest_differences(model, full, folder / MODEL_FILE, chunk_frames)
        audit = _audit(json.loads((old / AUDIT_FILE).read_text(encoding="utf-8")), parity, config.version)
        (folder / AUDIT_FILE).write_text(json.dumps(audit, indent=1) + "\n", encoding="utf-8")
        (folder / CONFIG_FILE).write_text(renewed.to_toml(), encoding="utf-8")
        if (old / CARD_FILE).is_file():
            (folder / CARD_FILE).write_text(_card(old, config, renewed), encoding="utf-8")
        write_checksums(folder)
        load_bundle(folder)
        folder.rename(new)
    return parity


def _card(old: Path, before: BundleConfig, after: BundleConfig) -> str:
    """The card under the new version; what was measured with the old one says so."""
    lines = (old / CARD_FILE).read_text(encoding="utf-8").splitlines(keepends=True)
    lines[0] = f"# {after.name} {after.version}\n"
    measured = f"Measured as {before.name} {before.version}, the same weights in another graph, on "
    kinds = (f" parameters, {before.model.quantization}, ", f" parameters, {after.model.quantization}, ")
    dates = (f"| exported | {before.provenance.created} |", f"| exported | {after.provenance.created} |")
    return "".join(line.replace("Measured on ", measured).replace(*dates).replace(*kinds) for line in lines)


def _audit(old: dict[str, Any], parity: Mapping[str, float], old_version: str) -> dict[str, Any]:
    """The old audit with the gates and figures of parity measured anew. Raises ModelError if one does not hold."""
    limits = ParityConfig()
    gates = {
        "onnx_equals_torch": parity["onnx_to_torch"] <= limits.onnx_limit,
        "streaming_equals_whole": parity["streaming_to_whole"] <= limits.streaming_limit,
    }
    if not all(gates.values()):
        raise ModelError(f"the exported model does not say what the checkpoint says: {gates}, {dict(parity)}")
    figures = {name: float(f"{value:.3g}") for name, value in parity.items()}
    return {
        **old,
        "gates": {**old["gates"], **gates},
        "parity": {**old["parity"], **figures},
        "scores_measured_with": old.get("scores_measured_with", old_version),
    }
