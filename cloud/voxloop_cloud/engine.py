"""One bundle ready to recognise, and one segment on its way through it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from voxloop_cloud.batcher import Batcher
from voxloop_cloud.bundle import Bundle, find_bundle, load_bundle
from voxloop_cloud.decoder import Decoded, Hypothesis
from voxloop_cloud.hotword_list import HotwordList
from voxloop_cloud.recognition import SegmentRecognition
from voxloop_cloud.recognizer import Recognizer
from voxloop_proto.audio import Pcm
from voxloop_proto.errors import ConfigError
from voxloop_proto.telemetry import StageTiming
from voxloop_proto.v1 import voxloop_pb2 as pb

if TYPE_CHECKING:  # at run time only bundles of phones load what searches
    from voxloop_cloud.hotwords import Hotwords

MAX_EXACT_BATCH = 8
"""Beyond it a core gains little more (docs/decisions/0006) and the last in a batch waits longer."""


class EngineConfig(BaseModel):
    """What is served, and how windows of many streams become batches."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str | None = Field(None, description="folder of a bundle, or its name in the store; none: the default one")
    max_batch: int | None = Field(
        None, ge=1, le=256, description="most windows recognised at once; none: what the bundle's arithmetic allows"
    )
    max_wait_ms: float = Field(
        0.0, ge=0, le=1_000, description="longest wait for others to join a batch, in ms; 0: whoever is there goes"
    )
    queue_limit: int = Field(256, ge=1, description="most windows waiting; beyond it segments fail as overloaded")
    threads: int = Field(1, ge=1, le=256, description="batches recognised at the same time, one core each")


@dataclass(frozen=True, slots=True)
class Engine:
    """A bundle, its recognizer, and the batcher through which all streams share it."""

    bundle: Bundle
    recognizer: Recognizer
    batcher: Batcher

    async def prepare(self, hotwords: HotwordList) -> "Hotwords | None":
        """Makes a session's hotwords ready, in a thread; None if they have no effect. Raises as Decoding.prepare."""
        return await asyncio.to_thread(self.recognizer.decoding.prepare, hotwords)

    def start_segment(self, hotwords: "Hotwords | None" = None) -> "SegmentWork":
        """A new segment, at the recognizer's start state. hotwords: of its session, from `prepare`."""
        return SegmentWork(self, hotwords)

    def info(self) -> pb.BundleInfo:
        """The bundle as the contract describes it."""
        config = self.bundle.config
        return pb.BundleInfo(
            name=config.name,
            version=config.version,
            language=config.language,
            look_ahead_ms=round(config.windows.look_ahead_ms),
            padding=pb.PaddingSettings(before_ms=config.padding.before_ms, after_ms=config.padding.after_ms),
            normalization=pb.NormalizationSettings(enabled=True, target_dbfs=config.normalization.target_dbfs),
            takes_hotwords=self.recognizer.decoding.takes_hotwords,
        )


@asynccontextmanager
async def open_engine(config: EngineConfig) -> AsyncIterator[Engine]:
    """An engine, until the block is left.

    Raises ConfigError if there is no such bundle or it can't be served like this, ContractError if it is wrong.
    """
    bundle = load_bundle(find_bundle(config.bundle))
    recognizer = Recognizer(bundle)
    max_batch = _max_batch(config, recognizer)
    async with Batcher(recognizer, max_batch, config.max_wait_ms, config.queue_limit, config.threads) as batcher:
        yield Engine(bundle, recognizer, batcher)


def _max_batch(config: EngineConfig, recognizer: Recognizer) -> int:
    """In a batch that isn't exact, a stream's text would depend on its neighbours (docs/decisions/0006): the operator
    may have that, but no batch at all of an offline model."""
    if config.max_batch and config.max_batch > 1 and recognizer.bundle.config.whole:
        raise ConfigError(
            f"engine.max_batch {config.max_batch} with the offline bundle {recognizer.bundle.label}, "
            "whose segments differ in length; allowed is 1: leave engine.max_batch out"
        )
    return config.max_batch or recognizer.exact_batch or MAX_EXACT_BATCH


class SegmentWork:
    """One segment: takes sound as it comes, keeps the recognizer fed, and gives text."""

    def __init__(self, engine: Engine, hotwords: "Hotwords | None" = None) -> None:
        self._batcher = engine.batcher
        self._recognition = SegmentRecognition(engine.recognizer, hotwords)

    async def push(self, pcm: Pcm) -> Hypothesis:
        """Takes sound; returns the text so far once all that is ready has been recognised.

        Raises OverloadError when too many windows wait, ModelError when the recognizer fails.
        """
        self._recognition.push(pcm)
        await self._advance()
        return self._recognition.hypothesis()

    async def finish(self) -> Decoded:
        """Ends the segment; returns its text. Raises as `push` does."""
        self._recognition.finish()
        await self._advance()
        return self._recognition.result()

    def timings(self) -> tuple[StageTiming, ...]:
        """Time of each stage on this segment, in the order in which sound passes them."""
        return self._recognition.timings()

    async def _advance(self) -> None:
        while (window := self._recognition.next_window()) is not None:
            step = await self._batcher.step(self._recognition.state, window)
            self._recognition.take(step.log_probs, step.state, busy_ms=step.busy_ms, waited_ms=step.waited_ms)
