"""Sets as users are heard: the device's stages, gRPC, and a server process of its own."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.display import ReplayProgress
from voxloop_edge.local_server import open_local_server
from voxloop_edge.manifest import Clip
from voxloop_edge.replay import ReplayPlan, run_replay
from voxloop_edge.report import ReplayReport, UtteranceReport, percentiles
from voxloop_training.evaluation.clip_set import ClipSet
from voxloop_training.evaluation.heard_clip import HeardClip, HeardWord
from voxloop_training.evaluation.heard_set import HeardSet

LATENCY_CONCURRENCY: Final = 4
"""Clips at a time while latency is measured: so few that, on two cores, hardly any waits for another."""


@dataclass(frozen=True, slots=True)
class StreamingListener:
    """Plays sets to a server. ready_s: what the server took to start.

    concurrency: clips at the same time at full speed. latency_clips: of each set, played once more in real time.
    """

    settings: DeviceConfig
    concurrency: int
    latency_clips: int
    hotwords_only: bool
    ready_s: float

    async def hear(self, clip_set: ClipSet, label: str) -> HeardSet:
        """Plays a set, with its hotwords. label: what the progress bar says.

        Raises what broke the replay off, KeyboardInterrupt included: half a set is no figure.
        """
        settings = self.settings.model_copy(
            update={
                "hotwords": clip_set.hotwords,
                "hotwords_only": self.hotwords_only and bool(clip_set.hotwords),
            }
        )
        report = await _play(ReplayPlan(settings, list(clip_set.clips), concurrency=self.concurrency), label)
        timed = _spread(clip_set.clips, self.latency_clips)
        latency = ReplayPlan(settings, timed, realtime=True, concurrency=min(LATENCY_CONCURRENCY, max(1, len(timed))))
        totals = (await _play(latency, f"{label}, latency")).totals if timed else None
        server_cpu = report.totals.server_cpu_s_per_audio_s
        clip_of_id = {clip.id: clip for clip in clip_set.clips}
        return HeardSet(
            clips=tuple(_heard(clip_of_id[utterance.id], utterance) for utterance in report.utterances),
            cpu_s=None if server_cpu is None else server_cpu * report.totals.audio_s,
            edge_cpu_s=sum(utterance.edge_cpu_s for utterance in report.utterances),
            wall_s=report.totals.wall_s,
            latency_clips=len(timed),
            latency_ms=totals.latency_ms if totals else percentiles([]),
            user_latency_ms=totals.user_latency_ms if totals else percentiles([]),
        )


@asynccontextmanager
async def open_listener(
    bundle: Path, settings: DeviceConfig, concurrency: int, latency_clips: int, hotwords_only: bool
) -> AsyncIterator[StreamingListener]:
    """A listener with a server of its own, which ends with the block. Raises as open_local_server."""
    start_s = time.monotonic()
    async with open_local_server(str(bundle)) as address:
        ready_s = time.monotonic() - start_s
        client = settings.client.to_local(address)
        served = settings.model_copy(update={"client": client})
        yield StreamingListener(served, concurrency, latency_clips, hotwords_only, ready_s)


async def _play(plan: ReplayPlan, label: str) -> ReplayReport:
    with ReplayProgress(len(plan.clips), doing=label) as progress:
        outcome = await run_replay(plan, progress.show)
    if outcome.error is not None:
        raise outcome.error
    return outcome.report


def _spread(clips: Sequence[Clip], most: int) -> list[Clip]:
    """So many clips, evenly from all of them."""
    count = min(most, len(clips))
    return [clips[index * len(clips) // count] for index in range(count)]


def _heard(clip: Clip, utterance: UtteranceReport) -> HeardClip:
    words = [word for segment in utterance.segments for word in segment.words]
    heard = tuple(HeardWord(word.text, word.confidence) for word in words)
    return HeardClip(clip, utterance.text, heard, utterance.error)
