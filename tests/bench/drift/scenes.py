"""All recordings that the benchmark draws from: those of a crowd with each change, and of voices in each language."""

from collections.abc import Callable, Set
from pathlib import Path

from tests.bench.drift.crowd import CROWDS, choose_devices
from tests.bench.drift.injection import BASE, INJECTIONS, LANGUAGES, SMALL
from tests.bench.drift.recorded import Say, recorded
from tests.bench.drift.streams import Recordings
from tests.bench.drift.voices import speaking_devices

from voxloop_cloud.recognizer import Recognizer


def open_crowd(
    cache: Path, data: Path, name: str, seed: int, wanted: Set[str], open_model: Callable[[], Recognizer], say: Say
) -> Recordings:
    """Its devices in the conditions that are wanted. cache: keeps what was recognised."""
    crowd = CROWDS[name]
    devices = choose_devices(data, crowd, seed)
    conditions = [each for each in (BASE, *INJECTIONS, SMALL) if each.name in wanted]
    return Recordings(recorded(cache / name, data / crowd.noise, devices, conditions, open_model, say))


def open_voices(
    cache: Path, data: Path, name: str, seed: int, open_model: Callable[[], Recognizer], say: Say
) -> Recordings:
    """The same voices in English, which is the base, and in each other language. name: of the crowd with that seed."""
    rows = {}
    for condition, language in ((BASE.name, "en"), *((each.name, each.name) for each in LANGUAGES)):
        devices = speaking_devices(cache / "voices", language, seed)
        found = recorded(cache / f"{name}-{language}", data / CROWDS[name].noise, devices, (BASE,), open_model, say)
        rows[condition] = found[BASE.name]
    return Recordings(rows)
