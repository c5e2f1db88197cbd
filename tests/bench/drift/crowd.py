"""The devices of the benchmark: each one speaker of a recorded set, with a microphone and a room of its own."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from voxloop_edge.manifest import Clip, read_clips

GAIN_DEVIATION_DB = 4.0
ROOM_DBFS = (-75.0, -58.0)


@dataclass(frozen=True, slots=True)
class Crowd:
    """Where speakers come from, manifest: (speakers, clips of each, shortest and longest clip in seconds), and the
    noise that is let into their rooms."""

    sets: Mapping[str, tuple[int, int, float, float]]
    noise: str


CROWDS: Final = {
    "choosing": Crowd(
        {
            "speechocean762/train.jsonl": (24, 9, 1.8, 4.5),
            "librispeech-train-clean-5/train.jsonl": (6, 7, 1.5, 6.0),
            "speech-commands/train.jsonl": (6, 8, 0.9, 1.1),
        },
        "background-noise/noise/running_tap.opus",
    ),
    "measuring": Crowd(
        {
            "speechocean762/test.jsonl": (24, 9, 1.8, 4.5),
            "librispeech-test-clean-a/test.jsonl": (6, 7, 1.5, 6.0),
            "speech-commands/test.jsonl": (6, 8, 0.9, 1.1),
        },
        "background-noise/noise/doing_the_dishes.opus",
    ),
}
"""Constants of the drift detection were chosen with one; the figures are measured with the other: they share no
speaker and no noise."""

_KINDS = ("raspberry-pi-4", "raspberry-pi-5", "laptop")
_LEAST_ACCURACY = 7.0


@dataclass(frozen=True, slots=True)
class Device:
    """A speaker, as far as they are this device's: what is said, the microphone's gain, the room's noise."""

    id: str
    kind: str
    clips: tuple[Clip, ...]
    gain_db: float
    room_dbfs: float
    seed: int


def choose_devices(data: Path, crowd: Crowd, seed: int) -> list[Device]:
    """The same devices for the same seed."""
    rng = np.random.default_rng(seed)
    devices: list[Device] = []
    for manifest, (speakers, clips, shortest_s, longest_s) in crowd.sets.items():
        spoken = _by_speaker(data / manifest, shortest_s, longest_s)
        full = sorted(speaker for speaker, those in spoken.items() if len(those) >= clips)
        for speaker in rng.choice(full, speakers, replace=False):
            chosen = rng.choice(len(spoken[speaker]), clips, replace=False)
            devices.append(device_of(len(devices), tuple(spoken[speaker][index] for index in chosen), rng))
    return devices


def device_of(number: int, clips: tuple[Clip, ...], rng: np.random.Generator) -> Device:
    """With a microphone and a room by chance."""
    return Device(
        id=f"device-{number:02d}",
        kind=_KINDS[number % len(_KINDS)],
        clips=clips,
        gain_db=float(rng.normal(0.0, GAIN_DEVIATION_DB)),
        room_dbfs=float(rng.uniform(*ROOM_DBFS)),
        seed=int(rng.integers(1 << 31)),
    )


def _by_speaker(manifest: Path, shortest_s: float, longest_s: float) -> dict[str, list[Clip]]:
    found: dict[str, list[Clip]] = defaultdict(list)
    for clip in read_clips([manifest]):
        clear = float(clip.tags.get("accuracy_score", 10.0)) >= _LEAST_ACCURACY
        if clip.speaker and clip.text and clear and shortest_s <= float(clip.tags["duration_s"]) <= longest_s:
            found[clip.speaker].append(clip)
    return found
