"""Sessions against a routing of tiny bundles, message by message."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy

from voxloop_cloud.engine import EngineConfig, open_engine
from voxloop_cloud.limits import Limits
from voxloop_cloud.results import ResultStore
from voxloop_cloud.routing.routing import Routing, RoutingConfig, open_routing
from voxloop_cloud.routing.session_route import Routes
from voxloop_cloud.security.audit_log import AuditLog
from voxloop_cloud.session import Session
from voxloop_cloud.testing import babble
from voxloop_proto.audio import Pcm, to_pcm16
from voxloop_proto.contract import SCHEMA_VERSION
from voxloop_proto.v1 import voxloop_pb2 as pb

SPEECH = babble(1500)
TIME_LIMIT_S = 30.0


@asynccontextmanager
async def open_tiny_routing(
    shelf: Path,
    database: sqlalchemy.Engine | None,
    name: str = "tiny-1",
    audit: AuditLog | None = None,
    **settings: Any,
) -> AsyncIterator[Routing]:
    """Routing whose first bundle is the one of this folder of the shelf."""
    engine_config = EngineConfig(bundle=str(shelf / name))
    config = RoutingConfig.model_validate({"watch_ms": 20} | settings)
    async with (
        open_engine(engine_config) as engine,
        open_routing(config, engine, engine_config, database, audit) as routing,
    ):
        yield routing


class Speaker:
    """One device's stream."""

    def __init__(self, routes: Routes, device_id: str = "kitchen", session_id: str = "s1") -> None:
        self.session = Session(routes, ResultStore(), Limits())
        self._hello = pb.Hello(
            schema_version=SCHEMA_VERSION,
            device_id=device_id,
            session_id=session_id,
            audio_format=pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=16_000),
        )
        self._segment_id = 0

    async def begin(self, **changes: object) -> pb.Welcome:
        """Says hello."""
        hello = pb.Hello()
        hello.CopyFrom(self._hello)
        hello.MergeFrom(pb.Hello(**changes))  # type: ignore[arg-type]
        (response,) = await self.tell([pb.RecognizeRequest(hello=hello)])
        return response.welcome

    async def say(self, pcm: Pcm = SPEECH, halfway: Callable[[], None] = lambda: None) -> pb.Transcript:
        """One segment; `halfway` is called between its two halves."""
        await self.start(pcm)
        halfway()
        return await self.end(pcm)

    async def start(self, pcm: Pcm = SPEECH) -> None:
        """The first half of a segment."""
        self._segment_id += 1
        start = pb.SegmentStart(segment_id=self._segment_id)
        half = pb.Audio(segment_id=self._segment_id, sequence=0, payload=to_pcm16(pcm[: len(pcm) // 2]))
        assert await self.tell([pb.RecognizeRequest(segment_start=start), pb.RecognizeRequest(audio=half)]) == []

    async def end(self, pcm: Pcm = SPEECH) -> pb.Transcript:
        """The rest of it."""
        rest = pb.Audio(segment_id=self._segment_id, sequence=1, payload=to_pcm16(pcm[len(pcm) // 2 :]))
        end = pb.SegmentEnd(segment_id=self._segment_id, end_sample=len(pcm), sent_samples=len(pcm))
        responses = await self.tell([pb.RecognizeRequest(audio=rest), pb.RecognizeRequest(segment_end=end)])
        assert [response.WhichOneof("payload") for response in responses] == ["ack", "transcript"]
        return responses[-1].transcript

    async def tell(self, messages: Iterable[pb.RecognizeRequest]) -> list[pb.RecognizeResponse]:
        """All that the server answers."""
        return [response for message in messages async for response in self.session.answer(message)]


def answered_by(transcript: pb.Transcript) -> str:
    """The bundle's key."""
    return f"{transcript.provenance.bundle}@{transcript.provenance.bundle_version}"


async def until(holds: Callable[[], bool]) -> None:
    """Waits for what happens in the background."""
    async with asyncio.timeout(TIME_LIMIT_S):
        while not holds():
            await asyncio.sleep(0.005)


def run(test: Coroutine[Any, Any, None]) -> None:
    """Runs a test to its end; a task that is still there afterwards is a failure."""

    async def checked() -> None:
        async with asyncio.timeout(TIME_LIMIT_S):
            await test
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(checked())
