"""Hotwords from Hello to the text, over engines with small random bundles of phones and of characters."""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
import structlog

from voxloop_cloud.bundle import load_bundle, write_checksums
from voxloop_cloud.engine import EngineConfig, open_engine
from voxloop_cloud.graph_config import DecoderConfig
from voxloop_cloud.graph_lexicon import GraphLexicon
from voxloop_cloud.graph_testing import phone_bundle
from voxloop_cloud.hotword_list import HotwordList
from voxloop_cloud.hotwords import MOST_GUESSED_WORDS, MOST_LISTS, HotwordStore
from voxloop_cloud.limits import Limits
from voxloop_cloud.pronouncer import Pronouncer, open_pronouncer
from voxloop_cloud.recognition import transcribe
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.results import ResultStore
from voxloop_cloud.routing.session_route import OneBundle
from voxloop_cloud.session import Session
from voxloop_cloud.spelling import SPELLING_FILE, Spelling, write_spelling
from voxloop_cloud.testing import babble, tiny_bundle
from voxloop_proto.audio import from_pcm16, to_pcm16
from voxloop_proto.contract import SCHEMA_VERSION
from voxloop_proto.errors import ContractError
from voxloop_proto.v1 import voxloop_pb2 as pb

WORDS = {letter * 2: (letter,) for letter in "abcdefghijklmnopqrstuvwxyz"}
SPEECH = babble(3000, seed=1)


@pytest.fixture(scope="module")
def phones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Says every letter that is not in its lexicon as the phone of that name, but q, which it cannot say."""
    path = phone_bundle(tmp_path_factory.mktemp("phones") / "bundle", WORDS).path
    units = [("#", ()), *((letter, (letter,)) for letter in "abcdefghijklmnoprstuvwxyz")]
    counts = [((unit,), 1) for unit in range(len(units))]
    write_spelling(Spelling(1, units, counts), counts, path / SPELLING_FILE)
    write_checksums(path)
    return path


@pytest.fixture(scope="module")
def characters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("characters")).path


def hello(hotwords: Sequence[str], only: bool = False) -> pb.RecognizeRequest:
    audio_format = pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=16_000)
    return pb.RecognizeRequest(
        hello=pb.Hello(
            schema_version=SCHEMA_VERSION,
            device_id="kitchen",
            session_id="s1",
            audio_format=audio_format,
            hotwords=hotwords,
            hotwords_only=only,
            interim_results=True,
        )
    )


def segment() -> list[pb.RecognizeRequest]:
    pieces = [to_pcm16(part) for part in np.array_split(SPEECH, 9)]
    audio = [pb.Audio(segment_id=1, sequence=number, payload=piece) for number, piece in enumerate(pieces)]
    end = pb.SegmentEnd(segment_id=1, end_sample=len(SPEECH), sent_samples=len(SPEECH), reason=pb.END_REASON_SILENCE)
    return [
        pb.RecognizeRequest(segment_start=pb.SegmentStart(segment_id=1)),
        *(pb.RecognizeRequest(audio=each) for each in audio),
        pb.RecognizeRequest(segment_end=end),
    ]


def talk(bundle: Path, *messages: pb.RecognizeRequest) -> list[pb.RecognizeResponse]:
    async def run() -> list[pb.RecognizeResponse]:
        async with open_engine(EngineConfig(bundle=str(bundle))) as engine:
            session = Session(OneBundle(engine), ResultStore(), Limits())
            return [response for message in messages async for response in session.answer(message)]

    return asyncio.run(run())


def transcript(responses: Iterable[pb.RecognizeResponse]) -> pb.Transcript:
    return next(each.transcript for each in responses if each.HasField("transcript"))


@pytest.mark.parametrize("only", [False, True])
def test_a_session_with_hotwords_hears_what_offline_recognition_with_them_hears(phones: Path, only: bool) -> None:
    recognizer = Recognizer(load_bundle(phones))
    listed = HotwordList((("bad",), ("cab", "ee")), only)
    expected = transcribe(recognizer, from_pcm16(to_pcm16(SPEECH)), recognizer.decoding.prepare(listed))
    responses = talk(phones, hello(["Bad!", "cab ee", "bad"], only), *segment())
    assert responses[0].welcome.hotwords == 2
    assert transcript(responses).text == expected.text
    assert [word.text for word in transcript(responses).words] == expected.text.split()
    if only:
        assert set(expected.text.split()) <= {"bad", "cab", "ee"}


def test_a_hotword_that_was_said_comes_into_the_text(phones: Path) -> None:
    heard = transcript(talk(phones, hello([]), *segment())).text.split()
    name = "".join(word[0] for word in heard[2:6])
    assert name not in heard
    assert name in transcript(talk(phones, hello([name]), *segment())).text.split()


def test_hotwords_have_no_effect_on_characters_and_the_device_is_told(characters: Path) -> None:
    without = transcript(talk(characters, hello([]), *segment()))
    responses = talk(characters, hello(["abc"]), *segment())
    assert responses[0].welcome.hotwords == 0
    assert transcript(responses).text == without.text


def test_characters_cannot_be_limited_to_hotwords(characters: Path) -> None:
    with pytest.raises(ContractError, match="writes characters, whose text cannot be limited to hotwords"):
        talk(characters, hello(["abc"], only=True))


@pytest.mark.parametrize("takes", [False, True])
def test_a_server_says_whether_its_bundle_takes_hotwords(characters: Path, phones: Path, takes: bool) -> None:
    async def info() -> pb.BundleInfo:
        async with open_engine(EngineConfig(bundle=str(phones if takes else characters))) as engine:
            return engine.info()

    assert asyncio.run(info()).takes_hotwords is takes


@pytest.mark.parametrize("only", [False, True])
def test_a_word_that_cannot_be_said_is_refused_and_never_quoted_or_logged(phones: Path, only: bool) -> None:
    with (
        structlog.testing.capture_logs() as logs,
        pytest.raises(
            ContractError, match=r"the 2\. of the distinct hotwords has a word that this bundle cannot say"
        ) as refused,
    ):
        talk(phones, hello(["bad", "qqq"], only))
    assert "qqq" not in refused.value.message + str(logs)


def test_without_a_model_of_spelling_only_the_lexicons_words_can_be_said(tmp_path: Path) -> None:
    bundle = phone_bundle(tmp_path / "bundle", WORDS)
    lexicon = GraphLexicon([("aa", ((0,),))])
    pronouncer = open_pronouncer(bundle, lexicon)
    assert pronouncer.pronunciations("aa") == ((0,),)
    assert pronouncer.pronunciations("ab") == ()


def store() -> HotwordStore:
    lexicon = GraphLexicon([("ab", ((0, 1),)), ("b", ((1,),))])
    return HotwordStore(Pronouncer(lexicon, ["a", "b"], list), DecoderConfig(), blank_id=2)


def test_a_list_is_made_ready_once_while_it_is_in_use() -> None:
    lists = store()
    free = lists.prepare(HotwordList((("ab",), ("b", "ab")), only=False))
    assert lists.prepare(HotwordList((("ab",), ("b", "ab")), only=False)) is free
    assert lists.prepare(HotwordList((("ab",), ("b", "ab")), only=True)) is not free


def test_lists_that_were_not_asked_for_lately_are_dropped() -> None:
    lists, first = store(), HotwordList((("ab",),), only=False)
    made = lists.prepare(first)
    for number in range(MOST_LISTS - 1):
        lists.prepare(HotwordList((("b",) * (number + 1),), only=False))
    assert lists.prepare(first) is made
    for number in range(MOST_LISTS):
        lists.prepare(HotwordList((("b",) * (number + 1),), only=True))
    assert lists.prepare(first) is not made


def test_what_a_list_may_cost_the_server_is_bounded() -> None:
    pronouncer = Pronouncer(GraphLexicon([("ab", ((0, 1), (1, 0)))]), ["a", "b"], list)
    store = HotwordStore(pronouncer, DecoderConfig(), blank_id=2)
    many = HotwordList(tuple((f"b{'a' * count}",) for count in range(MOST_GUESSED_WORDS + 1)), only=True)
    with pytest.raises(ContractError, match="501 of the hotwords' words are not in this bundle's lexicon; at most 500"):
        store.prepare(many)
    long = HotwordList(tuple((f"b{'a' * count}",) + ("ab",) * 110 for count in range(450)), only=False)
    with pytest.raises(ContractError, match="can be said in more than 100000 phones; name fewer or shorter"):
        store.prepare(long)
