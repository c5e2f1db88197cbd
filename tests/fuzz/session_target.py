"""What devices send: streams of RecognizeRequest, against the server's Session with a real small engine."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from pathlib import Path

from tests.fuzz.choices import Choices
from tests.fuzz.message_faults import spoil
from tests.fuzz.target import FuzzTarget

from voxloop_cloud.engine import Engine, EngineConfig, open_engine
from voxloop_cloud.limits import Limits
from voxloop_cloud.results import ResultsConfig, ResultStore
from voxloop_cloud.routing.session_route import OneBundle
from voxloop_cloud.session import Session
from voxloop_cloud.testing import babble, tiny_bundle
from voxloop_proto.audio import to_pcm16
from voxloop_proto.contract import MAX_PAYLOAD_BYTES, OPUS_PACKET_SAMPLES, SCHEMA_VERSION
from voxloop_proto.errors import ModelError, VoxloopError
from voxloop_proto.opus import OpusEncoder
from voxloop_proto.v1 import voxloop_pb2 as pb

_PACKET_SAMPLES = 1_600
_PACKETS = 3
_SEGMENTS = 2
_LIMITS = Limits(max_segment_ms=1_000)
_MOST_TRANSCRIPTS = 2

Stream = list[pb.RecognizeRequest]


def run(data: bytes) -> None:
    """A spoilt stream gets VoxloopErrors and nothing else, at most one answer a segment, and harms no other session."""
    choices = Choices(data)
    stream = good_stream(opus=bool(choices.below(2)), interim=bool(choices.below(2)))
    spoil(stream, choices)  # type: ignore[arg-type] # a list of one kind of message is one of messages
    loop, _, engine = _opened()
    loop.run_until_complete(_serve(engine, stream))


def good_stream(opus: bool = False, interim: bool = False) -> Stream:
    """Hello and two short segments."""
    audio_format = pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=16_000)
    if opus:
        audio_format = pb.AudioFormat(codec=pb.CODEC_OPUS, sample_rate_hz=16_000, packet_samples=OPUS_PACKET_SAMPLES)
    hello = pb.Hello(schema_version=SCHEMA_VERSION, device_id="d", session_id="s", audio_format=audio_format)
    hello.interim_results = interim
    stream = [pb.RecognizeRequest(hello=hello)]
    for segment_id in range(1, _SEGMENTS + 1):
        stream += _segment(segment_id, opus)
    return stream


def _segment(segment_id: int, opus: bool) -> Stream:
    samples = _PACKETS * _PACKET_SAMPLES
    return [
        pb.RecognizeRequest(segment_start=pb.SegmentStart(segment_id=segment_id, start_sample=16_000 * segment_id)),
        *(
            pb.RecognizeRequest(audio=pb.Audio(segment_id=segment_id, sequence=number, payload=payload))
            for number, payload in enumerate(_payloads(opus))
        ),
        pb.RecognizeRequest(segment_end=pb.SegmentEnd(segment_id=segment_id, sent_samples=samples)),
    ]


@lru_cache
def _payloads(opus: bool) -> list[bytes]:
    pcm = babble(_PACKETS * _PACKET_SAMPLES / 16)
    parts = [pcm[start : start + _PACKET_SAMPLES] for start in range(0, len(pcm), _PACKET_SAMPLES)]
    if not opus:
        return [to_pcm16(part) for part in parts]
    encoder = OpusEncoder()
    return [*(encoder.encode(part) for part in parts[:-1]), encoder.finish(parts[-1])]


@lru_cache(1)
def _opened() -> tuple[asyncio.AbstractEventLoop, AbstractAsyncContextManager[Engine], Engine]:
    """One engine for all runs, and what would close it, which is never called: it ends with the process."""
    loop = asyncio.new_event_loop()
    bundle = tiny_bundle(Path(tempfile.mkdtemp(prefix="voxloop-fuzz-")))
    opening = open_engine(EngineConfig(bundle=str(bundle.path)))
    return loop, opening, loop.run_until_complete(opening.__aenter__())


async def _serve(engine: Engine, stream: Stream) -> None:
    store = ResultStore(ResultsConfig(max_sessions=2, max_transcripts=_MOST_TRANSCRIPTS))
    check_answers(await _answers(Session(OneBundle(engine), store, _LIMITS), stream))
    other = good_stream()
    other[0].hello.session_id = "other"
    healthy = await _answers(Session(OneBundle(engine), store, _LIMITS), other)
    assert [response.WhichOneof("payload") for response in healthy] == ["welcome", *["ack", "transcript"] * _SEGMENTS]


async def _answers(session: Session, stream: Stream) -> list[pb.RecognizeResponse]:
    """All responses; what is raised ends the stream, as it does in the server."""
    responses: list[pb.RecognizeResponse] = []
    try:
        for request in stream:
            async for response in session.answer(request):
                responses.append(response)  # noqa: PERF401 (what came before an error counts)
    except ModelError as error:
        raise AssertionError("a device's message made the model fail") from error
    except VoxloopError:
        pass
    assert session.received_samples <= sum(_most_samples(request) for request in stream)
    return responses


def _most_samples(request: pb.RecognizeRequest) -> int:
    """Two bytes are a sample of PCM16; three an Opus packet."""
    return min(len(request.audio.payload), MAX_PAYLOAD_BYTES) * OPUS_PACKET_SAMPLES // 2


def check_answers(responses: Iterable[pb.RecognizeResponse]) -> None:
    """Each segment has one final answer, and none blames the server."""
    final: Counter[int] = Counter()
    for response in responses:
        assert response.failure.code != pb.FAILURE_CODE_MODEL, response.failure.message
        assert len(response.SerializeToString()) < _LIMITS.max_message_bytes
        if response.HasField("transcript"):
            final[response.transcript.segment_id] += 1
        if response.HasField("failure"):
            final[response.failure.segment_id] += 1
    assert not final or max(final.values()) == 1, final


def _seeds() -> list[bytes]:
    """Undisturbed, by codec and interim results; and one fault of each kind."""
    return [bytes([opus, interim]) for opus in (0, 1) for interim in (0, 1)] + [
        bytes([0, 1, place, kind, 2, 3, 4]) for place in (0, 1, 2, 4) for kind in range(8)
    ]


SESSION = FuzzTarget("session", "streams of RecognizeRequest against the server's sessions", _seeds, run)
