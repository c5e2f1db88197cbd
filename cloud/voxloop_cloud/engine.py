"""A bundle ready to recognise, in the one thread that all bundles of a process share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from voxloop_cloud.bundle import Bundle, find_bundle, load_bundle
from voxloop_cloud.hotword_list import HotwordList
from voxloop_cloud.lane import Lane
from voxloop_cloud.recognition import SegmentRecognition
from voxloop_cloud.recognition_thread import RecognitionThread
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.segment_work import SegmentWork, ShadowWork
from voxloop_proto.errors import ConfigError
from voxloop_proto.v1 import voxloop_pb2 as pb

if TYPE_CHECKING:  # at run time only bundles of phones load what searches
    from voxloop_cloud.hotwords import Hotwords

MAX_EXACT_BATCH = 16
"""Beyond it a core gains little more (docs/decisions/0006) and the last in a batch waits longer."""


class EngineConfig(BaseModel):
    """What is served, and how windows of many streams become batches."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str | None = Field(None, description="folder of a bundle, or its name in the store; none: the default one")
    max_batch: int | None = Field(
        None, ge=1, le=256, description="most windows recognised at once; none: what the bundle's arithmetic allows"
    )
    shadow_ratio: float = Field(
        0.1,
        gt=0,
        le=1,
        description="of the recognition thread's time, what bundles that listen in take at most; as many of those who "
        "come wait for the end of a turn of theirs",
    )


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """A bundle's recognizer, its lane, and the thread in which all streams of a process share what is loaded."""

    recognizer: Recognizer
    lane: Lane
    thread: RecognitionThread

    @property
    def bundle(self) -> Bundle:
        """What is recognised with."""
        return self.recognizer.bundle

    @property
    def key(self) -> str:
        """NAME@VERSION of the bundle."""
        return self.bundle.key

    async def prepare(self, hotwords: HotwordList) -> "Hotwords | None":
        """Makes a session's hotwords ready, in a thread; None if they have no effect. Raises as Decoding.prepare."""
        return await asyncio.to_thread(self.recognizer.decoding.prepare, hotwords)

    def start_segment(self, hotwords: "Hotwords | None" = None) -> "SegmentWork":
        """A new segment, at the recognizer's start state. hotwords: of its session, from `prepare`.

        Raises UnavailableError when the engine is shutting down.
        """
        return self.thread.start(SegmentRecognition(self.recognizer, hotwords), self.lane)

    def start_shadow(self, hotwords: "Hotwords | None" = None) -> "ShadowWork":
        """A copy of a segment, recognised when nobody else waits. Raises as `start_segment`."""
        return self.thread.start_shadow(SegmentRecognition(self.recognizer, hotwords), self.lane)

    async def open_beside(self, path: Path, config: EngineConfig) -> "Engine":
        """Another bundle in the same thread, loaded meanwhile in one of its own: seconds, if it has a graph.

        Raises as `load_recognizer`.
        """
        recognizer = await asyncio.to_thread(load_recognizer, config.model_copy(update={"bundle": str(path)}))
        return Engine(recognizer, Lane(recognizer, _max_batch(config, recognizer)), self.thread)

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


def load_recognizer(config: EngineConfig) -> Recognizer:
    """The recognizer of the configured bundle.

    Raises ConfigError if there is no such bundle or it can't be served like this, ContractError if it is wrong.
    """
    recognizer = Recognizer(load_bundle(find_bundle(config.bundle)))
    _max_batch(config, recognizer)
    return recognizer


@asynccontextmanager
async def open_engine(config: EngineConfig, recognizer: Recognizer | None = None) -> AsyncIterator[Engine]:
    """An engine, until the block is left. recognizer: from `load_recognizer`, if it is there already.

    Raises as `load_recognizer`.
    """
    recognizer = recognizer or load_recognizer(config)
    async with RecognitionThread(recognizer, _max_batch(config, recognizer), config.shadow_ratio) as thread:
        yield Engine(recognizer, thread.lane, thread)


def _max_batch(config: EngineConfig, recognizer: Recognizer) -> int:
    """In a batch that isn't exact, a stream's text would depend on its neighbours (docs/decisions/0006): the operator
    may have that, but no batch at all of an offline model."""
    if config.max_batch and config.max_batch > 1 and recognizer.bundle.config.whole:
        raise ConfigError(
            f"engine.max_batch {config.max_batch} with the offline bundle {recognizer.bundle.label}, "
            "whose segments differ in length; allowed is 1: leave engine.max_batch out"
        )
    return config.max_batch or recognizer.exact_batch or MAX_EXACT_BATCH
