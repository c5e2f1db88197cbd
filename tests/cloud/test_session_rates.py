"""A device's minute in a session: a segment beyond it is answered, and all goes on."""

import asyncio
from pathlib import Path

import pytest

from voxloop_cloud.engine import EngineConfig, open_engine
from voxloop_cloud.limits import Limits
from voxloop_cloud.results import ResultStore
from voxloop_cloud.routing.session_route import OneBundle
from voxloop_cloud.security.rate_limit import DeviceRates
from voxloop_cloud.session import Session
from voxloop_cloud.testing import babble, tiny_bundle
from voxloop_proto.audio import to_pcm16
from voxloop_proto.contract import MAX_PAYLOAD_BYTES, SCHEMA_VERSION
from voxloop_proto.errors import OverloadError
from voxloop_proto.v1 import voxloop_pb2 as pb


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundle")).path


def hello(session_id: str, token: str = "") -> pb.RecognizeRequest:
    return pb.RecognizeRequest(
        hello=pb.Hello(
            schema_version=SCHEMA_VERSION,
            device_id="kitchen",
            session_id=session_id,
            resume_token=token,
            audio_format=pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=16_000),
        )
    )


def segment(segment_id: int, payload: bytes) -> list[pb.RecognizeRequest]:
    return [
        pb.RecognizeRequest(segment_start=pb.SegmentStart(segment_id=segment_id)),
        pb.RecognizeRequest(audio=pb.Audio(segment_id=segment_id, payload=payload)),
        pb.RecognizeRequest(segment_end=pb.SegmentEnd(segment_id=segment_id, sent_samples=len(payload) // 2)),
    ]


async def tell(session: Session, *messages: pb.RecognizeRequest) -> list[pb.RecognizeResponse]:
    return [response for message in messages async for response in session.answer(message)]


def kinds(responses: list[pb.RecognizeResponse]) -> list[str]:
    return [response.WhichOneof("payload") or "" for response in responses]


def test_a_segment_beyond_the_minute_fails_alone_and_passes_when_it_is_sent_again_in_time(bundle: Path) -> None:
    limits, now_s = Limits(max_segments_per_minute=2), 0.0
    speech = to_pcm16(babble(500))

    async def run() -> None:
        nonlocal now_s
        async with open_engine(EngineConfig(bundle=str(bundle))) as engine:
            store, rates = ResultStore(), DeviceRates(limits, clock=lambda: now_s)
            first = Session(OneBundle(engine), store, limits, rates=rates)
            (welcome,) = await tell(first, hello("s1"))
            spoken = [message for number in (1, 2, 3) for message in segment(number, speech)]
            answers = await tell(first, *spoken)
            assert kinds(answers) == ["ack", "transcript", "ack", "transcript", "failure"]
            failure = answers[-1].failure
            assert (failure.segment_id, failure.code, failure.retryable) == (3, pb.FAILURE_CODE_OVERLOAD, True)
            # the limit is the device's, not the session's
            other = Session(OneBundle(engine), store, limits, rates=rates)
            assert kinds(await tell(other, hello("s2"), *segment(1, speech))) == ["welcome", "failure"]
            now_s += failure.retry_after_ms / 1000.0
            again = Session(OneBundle(engine), store, limits, rates=rates)
            answers = await tell(again, hello("s1", welcome.welcome.resume_token), *spoken)
            assert kinds(answers) == ["welcome", "transcript", "transcript", "ack", "transcript"]
            assert [answer.transcript.segment_id for answer in answers if answer.HasField("transcript")] == [1, 2, 3]

    asyncio.run(run())


def test_sound_that_belongs_to_no_segment_is_bounded_too(bundle: Path) -> None:
    """A device that goes on to send the sound of a segment that has failed is cut off at last."""
    limits = Limits(max_bytes_per_minute=1 << 20, max_segment_ms=1_000, max_sessions_per_device=1)
    flood = pb.RecognizeRequest(audio=pb.Audio(segment_id=1, sequence=9, payload=bytes(MAX_PAYLOAD_BYTES)))

    async def run() -> None:
        async with open_engine(EngineConfig(bundle=str(bundle))) as engine:
            session = Session(OneBundle(engine), ResultStore(), limits, rates=DeviceRates(limits, clock=lambda: 0.0))
            answers = await tell(session, hello("s1"), segment(1, b"")[0], flood)  # out of order: the segment fails
            assert kinds(answers) == ["welcome", "failure"]
            with pytest.raises(OverloadError, match="1048576 bytes in a minute") as refused:
                await tell(session, *[flood] * 20)
            assert refused.value.retry_after_ms > 0

    asyncio.run(run())
