"""Devices that speak to a routed server message by message, and what bundle each segment was answered by."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc.aio

from voxloop_cloud.testing import babble
from voxloop_proto.audio import SAMPLE_RATE_HZ, to_pcm16
from voxloop_proto.contract import SCHEMA_VERSION
from voxloop_proto.v1 import voxloop_pb2 as pb
from voxloop_proto.v1.voxloop_pb2_grpc import SpeechServiceStub

SOUND = to_pcm16(babble(400, seed=1))
SAMPLES = len(SOUND) // 2
_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


@dataclass(frozen=True, slots=True)
class Answer:
    """Which bundle answered a segment, and by which route."""

    bundle: str
    route: str
    text: str


class RoutedDevice:
    """An open session."""

    def __init__(self, call: "grpc.aio.StreamStreamCall[pb.RecognizeRequest, pb.RecognizeResponse]") -> None:
        self._call = call
        self._segment_id = 0

    async def say(self, pause_s: float = 0.0) -> Answer:
        """One segment, its sound after a pause. A failure is an error."""
        self._segment_id += 1
        number = self._segment_id
        await self._call.write(pb.RecognizeRequest(segment_start=pb.SegmentStart(segment_id=number)))
        await asyncio.sleep(pause_s)
        await self._call.write(pb.RecognizeRequest(audio=pb.Audio(segment_id=number, payload=SOUND)))
        end = pb.SegmentEnd(segment_id=number, end_sample=SAMPLES, sent_samples=SAMPLES)
        await self._call.write(pb.RecognizeRequest(segment_end=end))
        while True:
            response = await self._call.read()
            assert isinstance(response, pb.RecognizeResponse), "the stream ended"
            assert not response.HasField("failure"), response.failure.message
            if response.HasField("transcript"):
                return _answer(response.transcript, number)


def _answer(transcript: pb.Transcript, segment_id: int) -> Answer:
    assert transcript.segment_id == segment_id
    source = transcript.provenance
    return Answer(f"{source.bundle}@{source.bundle_version}", pb.Route.Name(source.route), transcript.text)


@asynccontextmanager
async def open_session(address: str, device_id: str) -> AsyncIterator[RoutedDevice]:
    """A session of a device over a connection of its own."""
    async with grpc.aio.insecure_channel(address, options=_OWN_CONNECTION) as channel:
        call = SpeechServiceStub(channel).Recognize()  # type: ignore[call-arg]
        hello = pb.Hello(schema_version=SCHEMA_VERSION, device_id=device_id, session_id=uuid.uuid4().hex)
        hello.audio_format.CopyFrom(pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=SAMPLE_RATE_HZ))
        await call.write(pb.RecognizeRequest(hello=hello))  # type: ignore[attr-defined]
        welcome = await call.read()  # type: ignore[attr-defined]
        assert welcome.HasField("welcome")
        yield RoutedDevice(call)  # type: ignore[arg-type]
        await call.done_writing()  # type: ignore[attr-defined]
        assert await call.read() == grpc.aio.EOF  # type: ignore[attr-defined]
