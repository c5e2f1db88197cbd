"""Devices that speak to a server in real time, and how long each waits for its text.

Each is a session over a connection of its own and speaks one clip after the other, without a pause: a message leaves
when its sound has been spoken, the segment's end with the last. Latency runs from there to the transcript's arrival,
which is `latency_ms` everywhere in voxloop. What is sent is serialized beforehand, so that the crowd takes little of a
machine that it may share with the server.
"""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import grpc
import grpc.aio

from voxloop_cloud.load.spoken_clip import SpokenClip
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.contract import SCHEMA_VERSION
from voxloop_proto.v1 import voxloop_pb2 as pb

_Call: TypeAlias = "grpc.aio.StreamStreamCall[bytes, pb.RecognizeResponse]"
_METHOD = "/voxloop.v1.SpeechService/Recognize"
_ANSWER_TIMEOUT_S = 30.0
_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


@dataclass(frozen=True, slots=True)
class Plan:
    """Who speaks, and for how long. Devices begin one by one within the warm-up, which is not counted.

    first: number of the first device, for several crowds at one server.
    """

    streams: int
    warm_up_s: float = 8.0
    measured_s: float = 15.0
    first: int = 0


@dataclass(slots=True)
class Outcome:
    """What was heard of the segments that ended while it counted.

    late_ms: how much after its sound a message left; above a few, it is the crowd that is too slow.
    refused: sessions by status, and refused_ms what each waited for that.
    """

    latency_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    texts: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    refused_ms: list[float] = field(default_factory=list)


class Crowd:
    """All devices of a plan, in one event loop."""

    def __init__(
        self, address: str, clips: Sequence[SpokenClip], plan: Plan, credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        """credentials: none for plaintext."""
        self.outcome = Outcome()
        self._address = address
        self._clips = clips
        self._plan = plan
        self._credentials = credentials

    async def speak(self) -> Outcome:
        """Until the plan's time is over and the last text has come."""
        self._starts_s = time.monotonic()
        self._counts_from_s = self._starts_s + self._plan.warm_up_s
        self._ends_s = self._counts_from_s + self._plan.measured_s
        longest_s = max(clip.due_s[-1] for clip in self._clips)
        phases = random.Random(self._plan.first)
        async with asyncio.TaskGroup() as group:
            for number in range(self._plan.first, self._plan.first + self._plan.streams):
                group.create_task(self._device(number, phases.uniform(0.0, min(longest_s, self._plan.warm_up_s))))
        return self.outcome

    async def _device(self, number: int, phase_s: float) -> None:
        """One device; it stays away once it is refused."""
        await asyncio.sleep(phase_s)
        asked_s = time.monotonic()
        try:
            async with self._open_channel() as channel:
                call: _Call = channel.stream_stream(_METHOD, response_deserializer=pb.RecognizeResponse.FromString)()
                await self._converse(call, number)
        except grpc.aio.AioRpcError as error:
            self.outcome.refused[error.code().name] += 1
            self.outcome.refused_ms.append((time.monotonic() - asked_s) * 1000.0)
        except (asyncio.InvalidStateError, TimeoutError) as error:
            self.outcome.failures[type(error).__name__] += 1

    def _open_channel(self) -> grpc.aio.Channel:
        if self._credentials is None:
            return grpc.aio.insecure_channel(self._address, options=_OWN_CONNECTION)
        return grpc.aio.secure_channel(self._address, self._credentials, options=_OWN_CONNECTION)

    async def _converse(self, call: _Call, number: int) -> None:
        await call.write(_hello(number))
        await call.read()
        ended_s: dict[int, float] = {}
        reader = asyncio.create_task(self._read(call, ended_s))
        begins_s, segment_id = time.monotonic(), 0
        while begins_s < self._ends_s and not reader.done():
            segment_id += 1
            clip = self._clips[(number + segment_id) % len(self._clips)]
            for due_s, message in clip.messages(segment_id):
                if (wait_s := begins_s + due_s - time.monotonic()) > 0:
                    await asyncio.sleep(wait_s)
                ended_s[segment_id] = time.monotonic()
                await call.write(message)
                self.outcome.late_ms.append((ended_s[segment_id] - begins_s - due_s) * 1000.0)
            begins_s += clip.due_s[-1]
        await call.done_writing()
        await asyncio.wait_for(reader, _ANSWER_TIMEOUT_S)

    async def _read(self, call: _Call, ended_s: dict[int, float]) -> None:
        while isinstance(response := await call.read(), pb.RecognizeResponse):
            if response.HasField("failure"):
                self.outcome.failures[pb.FailureCode.Name(response.failure.code)] += 1
            if response.HasField("transcript"):
                self._take(response.transcript, ended_s.pop(response.transcript.segment_id))

    def _take(self, transcript: pb.Transcript, ended_s: float) -> None:
        if self._counts_from_s <= ended_s < self._ends_s:
            self.outcome.latency_ms.append((time.monotonic() - ended_s) * 1000.0)
            self.outcome.texts += bool(transcript.text)


def _hello(number: int) -> bytes:
    hello = pb.Hello(
        schema_version=SCHEMA_VERSION,
        device_id=f"crowd-{number}",
        app_version="voxloop-load",
        session_id=uuid.uuid4().hex,
        audio_format=pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=SAMPLE_RATE_HZ),
        locale="en-US",
        consent=pb.Consent(keep_audio=True, keep_text=True),  # so that a server that keeps anything has all of the work
    )
    return pb.RecognizeRequest(hello=hello).SerializeToString()
