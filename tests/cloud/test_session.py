"""Sessions, driven message by message over a real engine with a small random bundle."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from voxloop_cloud.admission import ACTIVE_S, Admission, Capacity, Place
from voxloop_cloud.engine import Engine, EngineConfig, open_engine
from voxloop_cloud.limits import Limits
from voxloop_cloud.recognition import transcribe
from voxloop_cloud.results import ResultsConfig, ResultStore
from voxloop_cloud.routing.session_route import OneBundle
from voxloop_cloud.session import Session
from voxloop_cloud.testing import babble, tiny_bundle
from voxloop_proto.audio import Pcm, from_pcm16, to_pcm16
from voxloop_proto.contract import SCHEMA_VERSION
from voxloop_proto.errors import ContractError, ModelError
from voxloop_proto.v1 import voxloop_pb2 as pb

SPEECH = babble(1500)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundle")).path


def hello(**changes: object) -> pb.RecognizeRequest:
    fields: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "device_id": "kitchen",
        "session_id": "s1",
        "audio_format": pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=16_000),
    }
    return pb.RecognizeRequest(hello=pb.Hello(**(fields | changes)))  # type: ignore[arg-type]


def segment(segment_id: int, pcm: Pcm = SPEECH, packets: int = 5) -> list[pb.RecognizeRequest]:
    """A whole segment's messages."""
    payload = to_pcm16(pcm)
    step = max(2, len(payload) // packets // 2 * 2)
    pieces = [payload[start : start + step] for start in range(0, len(payload), step)]
    return [
        pb.RecognizeRequest(segment_start=pb.SegmentStart(segment_id=segment_id, start_sample=16_000)),
        *(
            pb.RecognizeRequest(audio=pb.Audio(segment_id=segment_id, sequence=number, payload=piece))
            for number, piece in enumerate(pieces)
        ),
        pb.RecognizeRequest(
            segment_end=pb.SegmentEnd(
                segment_id=segment_id, end_sample=16_000 + len(pcm), sent_samples=len(pcm), reason=pb.END_REASON_SILENCE
            )
        ),
    ]


@asynccontextmanager
async def sessions(bundle: Path, limits: Limits | None = None) -> AsyncIterator[Callable[[], Session]]:
    """Makes sessions that share one engine and one store of results."""
    async with open_engine(EngineConfig(bundle=str(bundle))) as engine:
        store = ResultStore()
        yield lambda: Session(OneBundle(engine), store, limits or Limits())


async def tell(session: Session, messages: Iterable[pb.RecognizeRequest]) -> list[pb.RecognizeResponse]:
    return [response for message in messages async for response in session.answer(message)]


def talk(bundle: Path, *messages: pb.RecognizeRequest, limits: Limits | None = None) -> list[pb.RecognizeResponse]:
    """All that a fresh session answers to the messages."""

    async def run() -> list[pb.RecognizeResponse]:
        async with sessions(bundle, limits) as open_session:
            return await tell(open_session(), messages)

    return asyncio.run(run())


def kinds(responses: Iterable[pb.RecognizeResponse]) -> list[str]:
    return [response.WhichOneof("payload") or "" for response in responses]


def test_a_segment_is_acknowledged_and_gets_one_transcript(bundle: Path) -> None:
    responses = talk(bundle, hello(), *segment(1))
    assert kinds(responses) == ["welcome", "ack", "transcript"]
    assert responses[1].ack.received_samples == len(SPEECH)


def test_the_transcript_is_what_offline_recognition_gives(bundle: Path) -> None:
    async def run() -> tuple[str, pb.Transcript]:
        async with open_engine(EngineConfig(bundle=str(bundle))) as engine:
            session = Session(OneBundle(engine), ResultStore(), Limits())
            responses = await tell(session, [hello(), *segment(1, packets=13)])
            return transcribe(engine.recognizer, from_pcm16(to_pcm16(SPEECH))).text, responses[-1].transcript

    offline, transcript = asyncio.run(run())
    assert transcript.text == offline != ""
    assert [word.text for word in transcript.words] == offline.split()
    assert all(16_000 <= word.start_sample <= word.end_sample <= 16_000 + len(SPEECH) for word in transcript.words)
    stages = [timing.stage for timing in transcript.provenance.timings]
    assert stages == ["router", "features", "recognizer", "decoder"]


def test_hypotheses_come_only_when_asked_for(bundle: Path) -> None:
    assert "hypothesis" in kinds(talk(bundle, hello(interim_results=True), *segment(1)))
    assert "hypothesis" not in kinds(talk(bundle, hello(), *segment(1)))


def test_silence_between_segments_and_heartbeats_are_legal(bundle: Path) -> None:
    heartbeat = pb.RecognizeRequest(heartbeat=pb.Heartbeat(sample=1))
    responses = talk(bundle, hello(), heartbeat, *segment(1), heartbeat, *segment(2))
    assert kinds(responses) == ["welcome", "ack", "transcript", "ack", "transcript"]


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (segment(1)[:1], "SegmentStart came while the session was NEW"),
        ([hello(), hello()], "Hello came while the session was BETWEEN"),
        ([hello(), segment(1)[1]], "Audio came while the session was BETWEEN"),
        ([hello(), *segment(1)[:2], segment(2)[0]], "SegmentStart came while the session was IN_SEGMENT"),
        ([hello(), *segment(2), segment(1)[0]], "segment 1 after segment 2"),
        ([pb.RecognizeRequest()], "empty request"),
        ([hello(schema_version=2000)], "the device speaks schema 2.0, this server at most 1.x; update the server"),
        ([hello(schema_version=0)], "schema_version 0"),
        ([hello(device_id="../etc")], "device_id '../etc'; allowed are 1 to 64 letters"),
        ([hello(session_id="")], "session_id ''"),
        ([hello(audio_format=pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=8000))], "sample_rate_hz 8000"),
        ([hello(audio_format=pb.AudioFormat(codec=9, sample_rate_hz=16000))], "codec 9"),  # type: ignore[arg-type]
        ([hello(hotwords=["a"] * 1001)], "1001 hotwords"),
        ([hello(hotwords=["a" * 101])], "hotword 1 has 101 characters"),
    ],
)
def test_what_breaks_the_contract_ends_the_session_with_a_clear_error(
    bundle: Path, messages: list[pb.RecognizeRequest], said: str
) -> None:
    with pytest.raises(ContractError, match=said):
        talk(bundle, *messages)


def broken(messages: list[pb.RecognizeRequest], position: int, change: Callable[[pb.RecognizeRequest], None]) -> None:
    change(messages[position])


def test_a_segment_that_breaks_the_contract_fails_alone(bundle: Path) -> None:
    def odd(message: pb.RecognizeRequest) -> None:
        message.audio.payload = message.audio.payload[:-1]

    def skipped(message: pb.RecognizeRequest) -> None:
        message.audio.sequence += 1

    def other(message: pb.RecognizeRequest) -> None:
        message.audio.segment_id = 77

    def large(message: pb.RecognizeRequest) -> None:
        message.audio.payload = bytes(100_000)

    for change, said in ((odd, "must be even"), (skipped, "the next one is"), (other, "audio of segment 77")):
        first = segment(1)
        broken(first, 2, change)
        responses = talk(bundle, hello(), *first, *segment(2))
        assert kinds(responses) == ["welcome", "failure", "ack", "transcript"]
        assert responses[1].failure.segment_id == 1
        assert said in responses[1].failure.message
        assert not responses[1].failure.retryable
    first = segment(1)
    broken(first, 2, large)
    assert "payload of 100000 bytes" in talk(bundle, hello(), *first)[1].failure.message


def test_a_device_need_not_send_the_rest_of_a_segment_that_failed(bundle: Path) -> None:
    first = segment(1)[:3]
    first[2].audio.sequence += 1
    responses = talk(bundle, hello(), *first, *segment(2))
    assert kinds(responses) == ["welcome", "failure", "ack", "transcript"]


def test_a_start_beyond_all_time_is_refused(bundle: Path) -> None:
    start = pb.RecognizeRequest(segment_start=pb.SegmentStart(segment_id=1, start_sample=2**63 - 1))
    with pytest.raises(ContractError, match="start_sample 9223372036854775807; allowed"):
        talk(bundle, hello(), start)


def test_a_device_that_may_not_come_in_is_refused_after_its_hello_is_found_good(bundle: Path) -> None:
    async def run(message: pb.RecognizeRequest) -> list[str]:
        asked: list[str] = []
        async with open_engine(EngineConfig(bundle=str(bundle))) as engine:
            with contextlib.suppress(ContractError):
                await tell(Session(OneBundle(engine), ResultStore(), Limits(), asked.append), [message])
        return asked

    assert asyncio.run(run(hello(device_id=""))) == []
    assert asyncio.run(run(hello())) == ["kitchen"]


def test_a_segment_that_came_incomplete_is_refused(bundle: Path) -> None:
    messages = segment(1)
    del messages[-2]
    responses = talk(bundle, hello(), *messages, *segment(2))
    assert kinds(responses) == ["welcome", "failure", "ack", "transcript"]
    assert "samples arrived of" in responses[1].failure.message


def test_a_segment_longer_than_the_limit_fails(bundle: Path) -> None:
    responses = talk(bundle, hello(), *segment(1), limits=Limits(max_segment_ms=1000))
    assert kinds(responses) == ["welcome", "failure"]
    assert "segment longer than 16000 samples" in responses[1].failure.message


def test_a_failing_model_fails_the_segment_and_not_the_session(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> list[pb.RecognizeResponse]:
        async with open_engine(EngineConfig(bundle=str(bundle))) as engine:
            session = Session(OneBundle(engine), ResultStore(), Limits())
            await tell(session, [hello()])
            with monkeypatch.context() as patch:
                patch.setattr(type(engine.recognizer), "step", _fail)
                first = await tell(session, segment(1))
            return first + await tell(session, segment(2))

    responses = asyncio.run(run())
    assert [kind for kind in kinds(responses) if kind != "ack"] == ["failure", "transcript"]


def _fail(*_: object) -> None:
    raise ModelError("the model failed")


def test_a_session_that_comes_back_gets_its_old_transcripts_without_a_second_recognition(bundle: Path) -> None:
    async def run() -> tuple[list[pb.RecognizeResponse], list[pb.RecognizeResponse]]:
        async with sessions(bundle) as open_session:
            first = await tell(open_session(), [hello(), *segment(1)])
            token = first[0].welcome.resume_token
            silent = segment(1, pcm=SPEECH * 0)  # the same segment with other sound: recognised again it would differ
            return first, await tell(open_session(), [hello(resume_token=token), *silent, *segment(2)])

    first, second = asyncio.run(run())
    assert list(second[0].welcome.transcribed_segments) == [1]
    assert kinds(second) == ["welcome", "transcript", "ack", "transcript"]
    assert second[1].transcript == first[-1].transcript


@pytest.mark.parametrize("changes", [{}, {"resume_token": "guessed"}, {"device_id": "thief"}])
def test_a_known_session_is_closed_to_others(bundle: Path, changes: dict[str, str]) -> None:
    async def run() -> None:
        async with sessions(bundle) as open_session:
            token = (await tell(open_session(), [hello()]))[0].welcome.resume_token
            if "device_id" in changes:
                changes["resume_token"] = token
            await tell(open_session(), [hello(**changes)])

    with pytest.raises(ContractError, match="resume token is not its own"):
        asyncio.run(run())


def test_the_store_of_results_is_bounded() -> None:
    store = ResultStore(ResultsConfig(max_sessions=2, max_transcripts=3))
    opened = [store.open(hello(session_id=name).hello) for name in ("a", "b", "c")]
    for number in range(5):
        opened[2].keep(pb.Transcript(segment_id=number))
    assert opened[2].segments == [2, 3, 4]
    assert opened[2].find(1) is None
    assert opened[2].find(3) == pb.Transcript(segment_id=3)
    assert store.open(hello(session_id="a").hello) is not opened[0]


def test_a_session_in_use_does_not_hold_up_the_forgetting_of_others() -> None:
    now_s = [0.0]
    store = ResultStore(ResultsConfig(keep_ms=10_000), lambda: now_s[0])
    long, left = (store.open(hello(session_id=name).hello) for name in ("long", "left"))
    now_s[0] = 9.0
    long.keep(pb.Transcript(segment_id=1))
    now_s[0] = 11.0
    store.open(hello(session_id="new").hello)
    assert store.open(hello(session_id="left", resume_token=left.resume_token).hello) is not left


def test_a_session_that_is_open_comes_back_when_it_was_dropped_and_takes_nobodys_place() -> None:
    store = ResultStore(ResultsConfig(max_sessions=2))
    open_one, *_ = (store.open(hello(session_id=name).hello) for name in ("a", "b", "c"))
    open_one.keep(pb.Transcript(segment_id=1))
    resumed = hello(session_id="a", resume_token=open_one.resume_token).hello
    assert store.open(resumed) is open_one
    store.open(hello(session_id="d").hello)
    store.open(hello(session_id="e").hello)
    newer = store.open(resumed)
    open_one.keep(pb.Transcript(segment_id=2))
    assert store.open(resumed) is newer


def test_a_session_goes_on_under_its_token_after_a_restart_and_at_another_worker() -> None:
    resumed = hello(session_id="s", resume_token="known to the device").hello
    assert ResultStore().open(resumed).resume_token == "known to the device"
    store = ResultStore()
    assert store.open(resumed) is store.open(resumed)
    with pytest.raises(ContractError, match="resume token is not its own"):
        store.open(hello(session_id="s", resume_token="another").hello)


def test_results_are_forgotten_in_time_and_those_in_use_are_not() -> None:
    now_s = [0.0]
    store = ResultStore(ResultsConfig(keep_ms=10_000), lambda: now_s[0])
    old, used = (store.open(hello(session_id=name).hello) for name in ("old", "used"))
    now_s[0] = 9.0
    used.keep(pb.Transcript(segment_id=1))
    now_s[0] = 11.0
    again = hello(session_id="used", resume_token=used.resume_token).hello
    assert store.open(again) is used
    assert store.open(hello(session_id="old", resume_token=old.resume_token).hello) is not old


def test_an_engine_describes_its_bundle(bundle: Path) -> None:
    async def run() -> pb.BundleInfo:
        async with open_engine(EngineConfig(bundle=str(bundle))) as engine:
            assert isinstance(engine, Engine)
            return engine.info()

    info = asyncio.run(run())
    assert info.name == "voxloop-tiny"
    assert info.padding.before_ms == 300


def test_a_segment_too_many_waits_and_the_session_goes_on(bundle: Path) -> None:
    """The device keeps a segment that is refused so, and sends it again."""
    admission = Admission(Capacity(sessions=9, device_sessions=9, streams=1))
    now_s = [0.0]
    other, mine = Place(admission, lambda: now_s[0]), Place(admission, lambda: now_s[0])

    async def run() -> list[pb.RecognizeResponse]:
        async with open_engine(EngineConfig(bundle=str(bundle))) as engine:
            session = Session(OneBundle(engine), ResultStore(), Limits(), mine.enter, place=mine)
            responses = await tell(session, [hello(), *segment(1)])
            now_s[0] += ACTIVE_S + 1.0
            other.enter("hall")
            responses += await tell(session, segment(2))
            other.leave()
            return responses + await tell(session, segment(3))

    responses = asyncio.run(run())
    assert kinds(responses) == ["welcome", "ack", "transcript", "failure", "ack", "transcript"]
    failure = responses[3].failure
    assert (failure.segment_id, failure.code, failure.retryable) == (2, pb.FAILURE_CODE_OVERLOAD, True)
    assert failure.retry_after_ms > 0
