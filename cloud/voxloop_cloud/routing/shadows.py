"""Bundles that listen in: a copy of the segment's sound, recognised when nobody waits, compared, never sent."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from pydantic import BaseModel, ConfigDict, Field

from voxloop_cloud.engine import Engine
from voxloop_cloud.hotword_list import HotwordList
from voxloop_cloud.routing.shadow_result import ShadowResult, disagreement
from voxloop_proto.audio import Pcm, ms_to_samples
from voxloop_proto.errors import VoxloopError

_log = structlog.get_logger("voxloop.shadows")

Listener = Callable[[ShadowResult], None]
"""Is told of each result, on the event loop: it must return at once."""


class ShadowsConfig(BaseModel):
    """How much of what only listens in a process bears; beyond it copies are dropped and counted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    most_waiting: int = Field(64, ge=1, le=10_000, description="copies of ended segments that wait to be recognised")
    most_held_ms: int = Field(
        300_000, ge=1_000, le=10_000_000, description="sound held for all copies, in ms; 64 bytes each (300 s: 19 MB)"
    )


@dataclass(slots=True)
class ShadowCounts:
    """Of one process since its start, by bundle: copies that were heard, dropped for want of room, and failed."""

    heard: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


class ShadowCopy:
    """A segment's sound, held for those who listen in until the segment has its text."""

    def __init__(self, shadows: "Shadows", engines: Sequence[Engine], hotwords: HotwordList | None) -> None:
        self.engines = engines
        self.hotwords = hotwords
        self.pieces: list[Pcm] = []
        self.samples = 0
        self._shadows = shadows
        self._is_held = True

    def push(self, pcm: Pcm) -> None:
        """Holds a piece, not a copy of it; none any more once there was no room."""
        if self._is_held:
            self._is_held = self._shadows.hold(self, pcm)

    def compare(self, session_id: str, segment_id: int, told: str) -> None:
        """The device has its text: now the others are asked. Returns at once."""
        if self._is_held:
            self._is_held = False
            self._shadows.ask(self, session_id, segment_id, told)

    def let_go(self) -> None:
        """The segment has no text to compare with."""
        if self._is_held:
            self._is_held = False
            self._shadows.release(self)


class Shadows:
    """All that listens in, of one process. Use as `async with open_shadows(...)`.

    Two bounds, on copies that wait and on the sound that they hold: beyond either a copy is dropped and counted, and
    nobody else notices. In the recognition thread a shadow comes after everybody who waits, a window at a time.
    """

    def __init__(self, config: ShadowsConfig) -> None:
        self.counts = ShadowCounts()
        self.listeners: list[Listener] = []
        self._config = config
        self._most_held_samples = ms_to_samples(config.most_held_ms)
        self._held_samples = 0
        self._hearings: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Copies that wait to be recognised, or are."""
        return len(self._hearings)

    @property
    def held_samples(self) -> int:
        """Sound that is held for all copies, those of segments that go on included."""
        return self._held_samples

    def copy(self, engines: Sequence[Engine], hotwords: HotwordList | None) -> ShadowCopy | None:
        """For a segment that begins; None if nobody listens in. hotwords: of its session."""
        return ShadowCopy(self, engines, hotwords) if engines else None

    def hold(self, copy: ShadowCopy, pcm: Pcm) -> bool:
        """Takes a piece of a segment's sound; if there is no room, lets go of what it had and says so."""
        if self._held_samples + pcm.size > self._most_held_samples:
            self._drop(copy)
            return False
        copy.pieces.append(pcm)
        copy.samples += pcm.size
        self._held_samples += pcm.size
        return True

    def ask(self, copy: ShadowCopy, session_id: str, segment_id: int, told: str) -> None:
        """Lets each engine of the copy hear it, one after the other, if not too many wait already."""
        if len(self._hearings) >= self._config.most_waiting:
            self._drop(copy)
            return
        hearing = asyncio.create_task(self._hear_all(copy, session_id, segment_id, told), name="shadow")
        self._hearings.add(hearing)
        hearing.add_done_callback(self._hearings.discard)

    def release(self, copy: ShadowCopy) -> None:
        """The sound is not held any more."""
        self._held_samples -= copy.samples
        copy.samples = 0
        copy.pieces = []

    async def close(self) -> None:
        """What waits is not recognised any more."""
        hearings = list(self._hearings)
        for hearing in hearings:
            hearing.cancel()
        await asyncio.gather(*hearings, return_exceptions=True)

    def _drop(self, copy: ShadowCopy) -> None:
        self.release(copy)
        self.counts.dropped.update(engine.key for engine in copy.engines)

    async def _hear_all(self, copy: ShadowCopy, session_id: str, segment_id: int, told: str) -> None:
        try:
            for engine in copy.engines:
                if found := await self._hear(engine, copy, session_id, segment_id, told):
                    self.counts.heard[engine.key] += 1
                    for listener in self.listeners:
                        listener(found)
                else:
                    self.counts.failed[engine.key] += 1
        finally:
            self.release(copy)

    async def _hear(
        self, engine: Engine, copy: ShadowCopy, session_id: str, segment_id: int, told: str
    ) -> ShadowResult | None:
        """A shadow that fails is logged, and is nobody else's business."""
        try:
            heard, confidence, busy_ms = await _recognise(engine, copy)
            errors, words = await asyncio.to_thread(disagreement, told, heard)
        except VoxloopError as error:
            _log.warning("shadow.failed", bundle=engine.key, session=session_id, error=error.message)
            return None
        except Exception:  # noqa: BLE001 (the task's boundary)
            _log.exception("shadow.crashed", bundle=engine.key, session=session_id)
            return None
        return ShadowResult(session_id, segment_id, engine.key, heard, confidence, busy_ms, errors, words)


@asynccontextmanager
async def open_shadows(config: ShadowsConfig) -> AsyncIterator[Shadows]:
    """Room for shadows, until the block is left."""
    shadows = Shadows(config)
    try:
        yield shadows
    finally:
        await shadows.close()


async def _recognise(engine: Engine, copy: ShadowCopy) -> tuple[str, float, float]:
    """Text, confidence and busy ms of all stages."""
    hotwords = await engine.prepare(copy.hotwords) if copy.hotwords else None
    work = engine.start_shadow(hotwords)
    try:
        for pcm in copy.pieces:
            work.push(pcm)
        decoded = await work.finish()
        return decoded.text, decoded.confidence, sum(timing.busy_ms for timing in work.timings())
    finally:
        work.abandon()
