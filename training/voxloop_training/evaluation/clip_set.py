"""The sets of clips that are evaluated, each from a manifest."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxloop_edge.manifest import MANIFEST_SUFFIXES, Clip, read_clips
from voxloop_proto.errors import ConfigError, DataError
from voxloop_training.evaluation.condition import Condition, fields_of


@dataclass(frozen=True, slots=True)
class ClipSet:
    """Clips of a manifest, in its order. all_clips: how many the manifest has.

    hotwords: phrases that the device names as likely while it plays this set.
    """

    name: str
    clips: tuple[Clip, ...]
    all_clips: int
    hotwords: tuple[str, ...] = ()


def read_clip_sets(
    manifests: Sequence[Path], conditions: Sequence[Condition] = (), most_clips: int | None = None, seed: int = 0
) -> list[ClipSet]:
    """The sets, named FOLDER/FILE. A condition concerns those that have its field, and must concern one.

    most_clips: of each set, drawn at random, as manifests are sorted by speaker. Raises ConfigError for a file that is
    not there or a condition that concerns nothing, DataError for a manifest that is wrong or of which nothing is left.
    """
    found: dict[str, list[Clip]] = {}
    for manifest in manifests:
        name = f"{manifest.absolute().parent.name}/{manifest.stem}"
        if name in found:
            raise ConfigError(f"two sets are called {name}; rename the folder or file of {manifest}, or leave it out")
        found[name] = _read(manifest)
    _check_conditions(found, conditions)
    return [_narrow(name, clips, conditions, most_clips, seed) for name, clips in found.items()]


def _read(manifest: Path) -> list[Clip]:
    if not manifest.is_file() or manifest.suffix.lower() not in MANIFEST_SUFFIXES:
        suffixes = ", ".join(sorted(MANIFEST_SUFFIXES))
        what = "is no manifest" if manifest.exists() else "is not there"
        raise ConfigError(f"set {manifest} {what}; give a JSONL file ({suffixes}) with a clip per line")
    return read_clips([manifest])


def _check_conditions(sets: Mapping[str, list[Clip]], conditions: Sequence[Condition]) -> None:
    for condition in conditions:
        if not any(condition.concerns(clips) for clips in sets.values()):
            fields = fields_of([clip for clips in sets.values() for clip in clips])
            raise ConfigError(
                f"--where {condition}: no set has a field {condition.field!r}; they have {', '.join(fields) or 'none'}"
            )


def _narrow(
    name: str, clips: list[Clip], conditions: Sequence[Condition], most_clips: int | None, seed: int
) -> ClipSet:
    concerning = [condition for condition in conditions if condition.concerns(clips)]
    left = [clip for clip in clips if all(condition.holds(clip) for condition in concerning)]
    if not left:
        wanted = " and ".join(str(condition) for condition in concerning)
        raise DataError(f"set {name}: none of its {len(clips)} clips has {wanted}; ask for less with --where")
    if most_clips is not None and most_clips < len(left):
        drawn = sorted(random.Random(seed).sample(range(len(left)), most_clips))
        left = [left[index] for index in drawn]
    return ClipSet(name, tuple(left), len(clips))
