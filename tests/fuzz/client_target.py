"""What servers send: streams of RecognizeResponse, and how a call may end, against the device's client."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from typing import Any, cast

import grpc
import grpc.aio
from tests.fuzz.choices import Choices
from tests.fuzz.message_faults import spoil
from tests.fuzz.target import FuzzTarget

from voxloop_edge.client import Client
from voxloop_edge.client_config import ClientConfig
from voxloop_edge.replies import Reply, SegmentFailed, TranscriptArrived
from voxloop_proto.contract import RETRY_AFTER_METADATA_KEY, SCHEMA_VERSION
from voxloop_proto.errors import VoxloopError
from voxloop_proto.events import EncodedEvent, EndReason, SegmentEnded, SegmentMeasures, SegmentPayload, SegmentStarted
from voxloop_proto.v1 import voxloop_pb2 as pb

_SEGMENTS = 2
_MOST_S = 5.0
_STATUSES = tuple(grpc.StatusCode)
_RETRY_AFTER = ("", "1", "0", "-1", "x", "9" * 12, "9" * 5_000)
_CONFIG = ClientConfig(
    first_backoff_ms=1,
    longest_backoff_ms=1,
    longest_retry_after_ms=1,
    connect_timeout_ms=100,
    outage_timeout_ms=100,
)

Stream = list[pb.RecognizeResponse]
Ending = Callable[[], None]


def run(data: bytes) -> None:
    """After a first connection that says anything at all, and a second one that is right: the client either raises a
    VoxloopError or has exactly one answer for each segment, and in no case waits without end."""
    choices = Choices(data)
    ending = _read_ending(choices)
    stream = good_stream()
    spoil(stream, choices)  # type: ignore[arg-type] # a list of one kind of message is one of messages
    _loop().run_until_complete(_converse(_Channel(stream, ending)))


def good_stream() -> Stream:
    """What a right server answers to two segments."""
    stream = [pb.RecognizeResponse(welcome=pb.Welcome(schema_version=SCHEMA_VERSION, resume_token="t"))]
    for segment_id in range(1, _SEGMENTS + 1):
        word = pb.Word(text="yes", start_sample=0, end_sample=1600, confidence=0.9)
        stream += [
            pb.RecognizeResponse(hypothesis=pb.Hypothesis(segment_id=segment_id, text="ye", stable_characters=1)),
            pb.RecognizeResponse(ack=pb.Ack(segment_id=segment_id, received_samples=1600)),
            pb.RecognizeResponse(transcript=pb.Transcript(segment_id=segment_id, text="yes", words=[word])),
        ]
    return [*stream, pb.RecognizeResponse(throttle=pb.Throttle(retry_after_ms=1, reason="busy"))]


def _read_ending(choices: Choices) -> Ending:
    """How the first connection ends: by itself, or with any status, detail and retry-after."""
    ends_well = choices.below(4) < 2
    status, after = choices.pick(_STATUSES), choices.pick(_RETRY_AFTER)
    metadata = grpc.aio.Metadata((RETRY_AFTER_METADATA_KEY, after))
    details = choices.pick(("", "gone", "x" * 10_000))

    def end() -> None:
        if not ends_well and status is not grpc.StatusCode.OK:
            raise grpc.aio.AioRpcError(status, grpc.aio.Metadata(), metadata, details)

    return end


async def _converse(channel: "_Channel") -> None:
    replies: list[Reply] = []
    hello = pb.Hello(schema_version=SCHEMA_VERSION, device_id="d", session_id="s")
    try:
        async with (
            asyncio.timeout(_MOST_S),
            Client(
                cast("grpc.aio.Channel", channel),
                hello,
                _CONFIG,
                replies.append,
                open_fresh=lambda _: cast("grpc.aio.Channel", channel),
            ) as client,
        ):
            for event in _events():
                await client.send(event)
            await client.finish()
    except VoxloopError:
        return
    answered = Counter(reply.transcript.segment_id for reply in replies if isinstance(reply, TranscriptArrived))
    answered += Counter(reply.segment_id for reply in replies if isinstance(reply, SegmentFailed))
    assert answered == Counter(range(1, _SEGMENTS + 1)), answered


@lru_cache
def _events() -> tuple[EncodedEvent, ...]:
    measures = SegmentMeasures(-30.0, 0.0, 0.9, 20.0)
    return tuple(
        event
        for segment_id in range(1, _SEGMENTS + 1)
        for event in (
            SegmentStarted(segment_id, 0, 0, -60.0),
            SegmentPayload(segment_id, bytes(3200), 1600, 0.0),
            SegmentEnded(segment_id, 1600, 1600, EndReason.SILENCE, measures),
        )
    )


@lru_cache(1)
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


class _Channel:
    """As much of a channel as a stub needs: the first call answers a script, the others what is right."""

    def __init__(self, script: Stream, ending: Ending) -> None:
        self._script: Stream | None = script
        self._ending = ending

    def unary_unary(self, *_: Any, **__: Any) -> Callable[[], Any]:
        """No unary call is made here."""
        return lambda: None

    def stream_stream(self, *_: Any, **__: Any) -> Callable[[], "_Call"]:
        """Opens calls."""
        return self._open

    async def close(self) -> None:
        """Nothing is held."""

    def _open(self) -> "_Call":
        script, self._script = self._script, None
        return _Call(script, self._ending)


class _Call:
    """One connection. With a script it says that and ends; without one it answers as a right server does."""

    def __init__(self, script: Stream | None, ending: Ending) -> None:
        self._script = script
        self._ending = ending
        self._requests: asyncio.Queue[pb.RecognizeRequest | None] = asyncio.Queue()

    async def write(self, request: pb.RecognizeRequest) -> None:
        """What the device says."""
        self._requests.put_nowait(request)

    async def done_writing(self) -> None:
        """The device is done."""
        self._requests.put_nowait(None)

    def cancel(self) -> None:
        """Nothing is held."""

    async def __aiter__(self) -> AsyncIterator[pb.RecognizeResponse]:
        if self._script is not None:
            for response in self._script:
                await asyncio.sleep(0)
                yield response
            self._ending()
            return
        while (request := await self._requests.get()) is not None:
            if request.HasField("hello"):
                yield good_stream()[0]
            if request.HasField("segment_end"):
                yield pb.RecognizeResponse(transcript=pb.Transcript(segment_id=request.segment_end.segment_id))


def _seeds() -> list[bytes]:
    """Undisturbed; each status; one fault of each kind."""
    return (
        [b""]
        + [bytes([3, status, after]) for status in range(len(_STATUSES)) for after in (0, 5, 6)]
        + [bytes([0, 0, 0, 0, place, kind, 2, 3, 4]) for place in (0, 1, 3) for kind in range(8)]
    )


CLIENT = FuzzTarget("client", "streams of RecognizeResponse against the device's client", _seeds, run)
