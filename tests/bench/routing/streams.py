"""Devices that speak without a pause, in real time, and what each segment was answered by and when."""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import grpc.aio

from voxloop_cloud.load.spoken_clip import SpokenClip, cut_clip, own_speech
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.contract import SCHEMA_VERSION
from voxloop_proto.v1 import voxloop_pb2 as pb

_Call: TypeAlias = "grpc.aio.StreamStreamCall[bytes, pb.RecognizeResponse]"
_Times: TypeAlias = dict[int, tuple[float, float]]
_METHOD = "/voxloop.v1.SpeechService/Recognize"
_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
_ANSWER_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Spoken:
    """One segment. Times by the monotonic clock, at the device; latency_ms: from its end sent to its text received."""

    device: int
    begun_s: float
    ended_s: float
    latency_ms: float
    bundle: str


class Streams:
    """All devices, in one event loop. Segments that were begun and never answered are lost; refused ones failed."""

    def __init__(self, address: str, count: int, speed: float = 1.0) -> None:
        """speed: of speaking; far above 1 the recognizer has no pause in which it could hear for a shadow."""
        self.spoken: list[Spoken] = []
        self.begun = 0
        self.failures: Counter[str] = Counter()
        self._is_over = asyncio.Event()
        self._address = address
        self._clips = [cut_clip(pcm) for pcm in own_speech()]
        self._count = count
        self._speed = speed

    def counts(self) -> dict[str, int]:
        """Segments answered, refused, and begun and neither of both."""
        failed = self.failures.total()
        return {"segments": len(self.spoken), "failed": failed, "lost": self.begun - len(self.spoken) - failed}

    @asynccontextmanager
    async def speaking(self) -> AsyncIterator[None]:
        """All speak until the block is left; it waits for the last text."""
        talking = asyncio.create_task(self._speak())
        yield
        self._is_over.set()
        await talking

    async def _speak(self) -> None:
        phases = random.Random(0)
        async with asyncio.TaskGroup() as group:
            for number in range(self._count):
                group.create_task(self._device(number, phases.uniform(0.0, 2.0)))

    async def _device(self, number: int, phase_s: float) -> None:
        await asyncio.sleep(phase_s)
        async with grpc.aio.insecure_channel(self._address, options=_OWN_CONNECTION) as channel:
            call: _Call = channel.stream_stream(_METHOD, response_deserializer=pb.RecognizeResponse.FromString)()
            await call.write(_hello(number))
            await call.read()
            times: _Times = {}
            reader = asyncio.create_task(self._read(call, number, times))
            segment_id = 0
            while not self._is_over.is_set():
                segment_id += 1
                await self._say(call, self._clips[(number + segment_id) % len(self._clips)], segment_id, times)
            await call.done_writing()
            await asyncio.wait_for(reader, _ANSWER_TIMEOUT_S)

    async def _say(self, call: _Call, clip: SpokenClip, segment_id: int, times: _Times) -> None:
        begun_s = time.monotonic()
        self.begun += 1
        for due_s, message in clip.messages(segment_id):
            if (wait_s := begun_s + due_s / self._speed - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            times[segment_id] = (begun_s, time.monotonic())
            await call.write(message)

    async def _read(self, call: _Call, number: int, times: _Times) -> None:
        while isinstance(response := await call.read(), pb.RecognizeResponse):
            if response.HasField("failure"):
                self.failures[pb.FailureCode.Name(response.failure.code)] += 1
            if response.HasField("transcript"):
                begun_s, ended_s = times.pop(response.transcript.segment_id)
                source = response.transcript.provenance
                bundle = f"{source.bundle}@{source.bundle_version}"
                latency_ms = (time.monotonic() - ended_s) * 1000.0
                self.spoken.append(Spoken(number, begun_s, ended_s, latency_ms, bundle))


def _hello(number: int) -> bytes:
    audio_format = pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=SAMPLE_RATE_HZ)
    hello = pb.Hello(schema_version=SCHEMA_VERSION, device_id=f"stream-{number}", session_id=uuid.uuid4().hex)
    hello.audio_format.CopyFrom(audio_format)
    return pb.RecognizeRequest(hello=hello).SerializeToString()
