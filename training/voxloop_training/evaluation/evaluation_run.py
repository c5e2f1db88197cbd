"""One evaluation: systems, sets, and the report of what was measured."""

import asyncio
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from voxloop_cloud.recognizer import Recognizer
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.display import ReplayProgress
from voxloop_edge.source import FileSource
from voxloop_proto import __version__
from voxloop_proto.errors import ConfigError, DataError
from voxloop_training.evaluation.bootstrap import Bootstrap
from voxloop_training.evaluation.clip_measures import ClipMeasures, measure_sound
from voxloop_training.evaluation.clip_set import ClipSet
from voxloop_training.evaluation.figures import ComparedFigures, EvaluationReport, SetFigures, SystemFigures
from voxloop_training.evaluation.heard_set import HeardSet
from voxloop_training.evaluation.offline import OfflineListener
from voxloop_training.evaluation.phone_confusions import Lexicon, lexicon_of
from voxloop_training.evaluation.streaming import open_listener
from voxloop_training.evaluation.summary import difference_figures, summarize_set
from voxloop_training.evaluation.system import System


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """What to evaluate, and how. systems: the first is the baseline of the others.

    concurrency: clips at the same time. latency_clips: of each set, played once more in real time.
    where, clips_per_set: how the sets were narrowed, for the report.
    """

    systems: tuple[System, ...]
    sets: tuple[ClipSet, ...]
    settings: DeviceConfig
    bootstrap: Bootstrap
    concurrency: int = 2
    latency_clips: int = 16
    hotwords_only: bool = False
    where: tuple[str, ...] = ()
    clips_per_set: int | None = None


class EvaluationRun:
    """Hears all sets with one system after the other. What is done when it is broken off stays."""

    def __init__(self, plan: EvaluationPlan) -> None:
        self._plan = plan
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._measures: dict[str, Mapping[str, ClipMeasures]] = {}
        self._figures: list[tuple[SystemFigures, dict[str, SetFigures]]] = []

    def run(self) -> None:
        """Raises what the replay of a set raises, what open_local_server raises, and KeyboardInterrupt."""
        for system in self._plan.systems:
            lexicon = lexicon_of(system.bundle)
            if system.mode == "streaming":
                asyncio.run(self._stream(system, lexicon))
            else:
                self._read(system, lexicon)

    def report(self) -> EvaluationReport | None:
        """What was measured so far; None if no set is done."""
        done = [(system, sets) for system, sets in self._figures if sets]
        if not done:
            return None
        (baseline, baseline_sets), *others = done
        plan = self._plan
        return EvaluationReport(
            voxloop_version=__version__,
            started=self._started,
            machine=f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            complete=sum(len(sets) for _, sets in done) == len(plan.systems) * len(plan.sets),
            where=list(plan.where),
            clips_per_set=plan.clips_per_set,
            seed=plan.bootstrap.seed,
            resamples=plan.bootstrap.resamples,
            system=baseline,
            sets=baseline_sets,
            compared=[self._compare(system, sets, baseline_sets) for system, sets in others],
        )

    async def _stream(self, system: System, lexicon: Lexicon) -> None:
        plan = self._plan
        async with open_listener(
            system.bundle.path, plan.settings, plan.concurrency, plan.latency_clips, plan.hotwords_only
        ) as listener:
            done = self._begin(system, listener.ready_s)
            for clip_set in plan.sets:
                heard = await listener.hear(clip_set, _doing(system, clip_set))
                done[clip_set.name] = self._summarize(clip_set, heard, lexicon)

    def _read(self, system: System, lexicon: Lexicon) -> None:
        start_s = time.monotonic()
        listener = OfflineListener(Recognizer(system.bundle), self._plan.concurrency, self._plan.hotwords_only)
        done = self._begin(system, time.monotonic() - start_s)
        for clip_set in self._plan.sets:
            with ReplayProgress(len(clip_set.clips), doing=_doing(system, clip_set)) as progress:
                heard = listener.hear(clip_set, progress.advance)
            done[clip_set.name] = self._summarize(clip_set, heard, lexicon)

    def _begin(self, system: System, ready_s: float) -> dict[str, SetFigures]:
        done: dict[str, SetFigures] = {}
        self._figures.append((system.figures(ready_s), done))
        return done

    def _summarize(self, clip_set: ClipSet, heard: HeardSet, lexicon: Lexicon) -> SetFigures:
        if clip_set.name not in self._measures:
            self._measures[clip_set.name] = measure_clips(clip_set)
        measures, plan = self._measures[clip_set.name], self._plan
        return summarize_set(clip_set, heard, measures, plan.bootstrap, lexicon, plan.hotwords_only)

    def _compare(
        self, system: SystemFigures, sets: dict[str, SetFigures], baseline: Mapping[str, SetFigures]
    ) -> ComparedFigures:
        found = {name: difference_figures(sets[name], baseline[name], self._plan.bootstrap) for name in sets}
        differences = {name: difference for name, difference in found.items() if difference is not None}
        return ComparedFigures(system=system, sets=sets, differences=differences)


def measure_clips(clip_set: ClipSet) -> dict[str, ClipMeasures]:
    """Measures of the clips that can be read, by id."""
    found: dict[str, ClipMeasures] = {}
    for clip in clip_set.clips:
        try:
            found[clip.id] = measure_sound(FileSource(clip.audio).chunks())
        except (ConfigError, DataError):  # whoever hears the clip says what is wrong with it
            continue
    return found


def _doing(system: System, clip_set: ClipSet) -> str:
    return f"{clip_set.name} ({system.label})"
