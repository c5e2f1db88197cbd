"""Bundles that listen in: a copy of the segment's sound, recognised when nobody waits, compared, never sent."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from pydantic import BaseModel, ConfigDict, Field

from voxloop_cloud.engine import Engine
from voxloop_cloud.hotword_list import HotwordList
from voxloop_cloud.routing.shadow_hotwords import ShadowHotwords
from voxloop_cloud.routing.shadow_result import ShadowResult, disagreement
from voxloop_proto.audio import Pcm, ms_to_samples
from voxloop_proto.errors import VoxloopError

if TYPE_CHECKING:  # at run time only bundles of phones load what searches
    from voxloop_cloud.hotwords import Hotwords

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

    Copies are heard one after the other, so that each is heard soon or not at all: of many at once none would be done
    while others come. Two bounds, on copies that wait and on the sound that they hold: beyond either a copy is dropped
    and counted, and nobody else notices. In the recognition thread a shadow comes after everybody who waits, a window
    at a time, and no more often than its pace allows (shadow_pace.py).
    """

    def __init__(self, config: ShadowsConfig) -> None:
        self.counts = ShadowCounts()
        self.listeners: list[Listener] = []
        self._config = config
        self._most_held_samples = ms_to_samples(config.most_held_ms)
        self._held_samples = 0
        self._waiting: deque[_Asked] = deque()
        self._hearing: asyncio.Task[None] | None = None
        self._under_way = 0
        self._hotwords = ShadowHotwords()
        self._kept: frozenset[str] | None = None  # None: any bundle

    @property
    def waiting(self) -> int:
        """Copies that wait to be recognised, or are."""
        return len(self._waiting) + self._under_way

    @property
    def held_samples(self) -> int:
        """Sound that is held for all copies, those of segments that go on included."""
        return self._held_samples

    def keep(self, bundles: Iterable[str]) -> None:
        """No others listen in any more: copies that wait for them alone are let go of."""
        self._kept = frozenset(bundles)
        self._hotwords.clear()
        for asked in [asked for asked in self._waiting if not any(map(self._listens, asked.copy.engines))]:
            self._waiting.remove(asked)
            self.release(asked.copy)

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
        """Lets each engine of the copy hear it, after the copies that wait already, if these are not too many."""
        if self.waiting >= self._config.most_waiting:
            self._drop(copy)
            return
        self._waiting.append(_Asked(copy, session_id, segment_id, told))
        if self._hearing is None:
            self._hearing = asyncio.create_task(self._hear_waiting(), name="shadows")

    def release(self, copy: ShadowCopy) -> None:
        """The sound is not held any more."""
        self._held_samples -= copy.samples
        copy.samples = 0
        copy.pieces = []

    async def close(self) -> None:
        """What waits is not recognised any more."""
        while self._waiting:
            self.release(self._waiting.popleft().copy)
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.gather(self._hearing, return_exceptions=True)
            self._hearing = None

    def _listens(self, engine: Engine) -> bool:
        return self._kept is None or engine.key in self._kept

    def _drop(self, copy: ShadowCopy) -> None:
        self.release(copy)
        self.counts.dropped.update(engine.key for engine in copy.engines)

    async def _hear_waiting(self) -> None:
        """Until none waits."""
        try:
            while self._waiting:
                await self._hear_all(self._waiting.popleft())
        finally:
            self._hearing = None

    async def _hear_all(self, asked: "_Asked") -> None:
        self._under_way = 1
        try:
            for engine in filter(self._listens, asked.copy.engines):
                await self._try_to_hear(engine, asked)
        finally:
            self._under_way = 0
            self.release(asked.copy)

    async def _try_to_hear(self, engine: Engine, asked: "_Asked") -> None:
        """A shadow that fails is counted and logged, and is nobody else's business."""
        try:
            await self._hear(engine, asked)
        except VoxloopError as error:
            self.counts.failed[engine.key] += 1
            _log.warning("shadow.failed", bundle=engine.key, session=asked.session_id, error=error.message)
        except Exception:  # noqa: BLE001 (the task's boundary)
            self.counts.failed[engine.key] += 1
            _log.exception("shadow.crashed", bundle=engine.key, session=asked.session_id)

    async def _hear(self, engine: Engine, asked: "_Asked") -> None:
        hotwords = await self._hotwords.of(engine, asked.copy.hotwords)
        heard, confidence, busy_ms = await _recognise(engine, asked.copy, hotwords)
        errors, words = await asyncio.to_thread(disagreement, asked.told, heard)
        found = ShadowResult(asked.session_id, asked.segment_id, engine.key, heard, confidence, busy_ms, errors, words)
        self.counts.heard[engine.key] += 1
        for listener in self.listeners:
            listener(found)


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A copy whose device was told its text."""

    copy: ShadowCopy
    session_id: str
    segment_id: int
    told: str


@asynccontextmanager
async def open_shadows(config: ShadowsConfig) -> AsyncIterator[Shadows]:
    """Room for shadows, until the block is left."""
    shadows = Shadows(config)
    try:
        yield shadows
    finally:
        await shadows.close()


async def _recognise(engine: Engine, copy: ShadowCopy, hotwords: "Hotwords | None") -> tuple[str, float, float]:
    """Text, confidence and busy ms of all stages."""
    work = engine.start_shadow(hotwords)
    try:
        for pcm in copy.pieces:
            work.push(pcm)
        decoded = await work.finish()
        return decoded.text, decoded.confidence, sum(timing.busy_ms for timing in work.timings())
    finally:
        work.abandon()
