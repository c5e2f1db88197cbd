"""What is evaluated: a bundle, heard one way or the other."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voxloop_cloud.bundle import Bundle, load_bundle
from voxloop_training.evaluation.figures import Mode, SystemFigures


@dataclass(frozen=True, slots=True)
class System:
    """A bundle and a mode. label: tells it from the others of an evaluation."""

    bundle: Bundle
    mode: Mode
    label: str

    def figures(self, ready_s: float | None) -> SystemFigures:
        """What it is, in figures. ready_s: what it took to start."""
        config = self.bundle.config
        return SystemFigures(
            label=self.label,
            bundle=config.name,
            version=config.version,
            mode=self.mode,
            tokens=config.tokens,
            quantization=config.model.quantization,
            parameters=config.model.parameters,
            look_ahead_ms=config.chunk.look_ahead_ms if config.chunk else None,
            bundle_bytes=sum(file.stat().st_size for file in self.bundle.path.iterdir() if file.is_file()),
            ready_s=None if ready_s is None else round(ready_s, 3),
        )


def open_systems(folders: Sequence[Path], modes: Sequence[Mode]) -> list[System]:
    """Each bundle in each mode, labelled by what sets them apart. Raises ContractError for a bundle that is wrong."""
    bundles = [load_bundle(folder) for folder in folders]
    return [
        System(bundle, mode, f"{label}, {mode}" if len(modes) > 1 else label)
        for bundle, label in zip(bundles, _labels(bundles), strict=True)
        for mode in modes
    ]


def _quantization(bundle: Bundle) -> str:
    quantization = bundle.config.model.quantization
    return "float32" if quantization == "none" else quantization


def _look_ahead(bundle: Bundle) -> str:
    chunk = bundle.config.chunk
    return f"{chunk.look_ahead_ms:.0f} ms ahead" if chunk else "offline"


def _folder(bundle: Bundle) -> str:
    return str(bundle.path)


_DISTINCTIONS: Final[tuple[Callable[[Bundle], str], ...]] = (_quantization, _look_ahead, _folder)


def _labels(bundles: Sequence[Bundle]) -> list[str]:
    """Name and version, and as much of what else sets those apart that share them."""
    labels = [bundle.label for bundle in bundles]
    for distinction in _DISTINCTIONS:
        taken = Counter(labels)
        labels = [
            label if taken[label] == 1 else f"{label}, {distinction(bundle)}"
            for label, bundle in zip(labels, bundles, strict=True)
        ]
    return labels
