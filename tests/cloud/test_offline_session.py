"""A session with an offline bundle is a session like any other, only that its text comes at the end."""

import asyncio
from pathlib import Path

import pytest
from tests.cloud.test_session import hello, segment, talk

from voxloop_cloud.bundle import load_bundle
from voxloop_cloud.engine import EngineConfig, open_engine
from voxloop_cloud.limits import Limits
from voxloop_cloud.recognition import transcribe
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.sherpa_files import find_sherpa_files
from voxloop_cloud.sherpa_import import Label, write_imported_bundle
from voxloop_cloud.sherpa_testing import tiny_offline_model
from voxloop_cloud.testing import babble
from voxloop_proto.audio import from_pcm16, to_pcm16


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("offline")
    files = find_sherpa_files(tiny_offline_model(folder / "model"))
    write_imported_bundle(files, Label("tiny", "1", "en", ""), folder / "bundle")
    return folder / "bundle"


def test_there_is_no_hypothesis_before_the_transcript(offline: Path) -> None:
    answers = talk(offline, hello(interim_results=True), *segment(1), *segment(2, babble(700, seed=2)))
    assert [answer.WhichOneof("payload") for answer in answers] == ["welcome", *["ack", "transcript"] * 2]
    texts = [answer.transcript.text for answer in answers if answer.HasField("transcript")]
    recognizer = Recognizer(load_bundle(offline))
    heard = [from_pcm16(to_pcm16(pcm)) for pcm in (babble(1500), babble(700, seed=2))]
    assert texts == [transcribe(recognizer, pcm).text for pcm in heard]
    stages = [stage.stage for stage in answers[2].transcript.provenance.timings]
    assert stages == ["router", "features", "recognizer", "decoder"]


def test_a_segment_is_bounded_as_any_other(offline: Path) -> None:
    answers = talk(offline, hello(), *segment(1, babble(1500)), limits=Limits(max_segment_ms=1000))
    assert [answer.WhichOneof("payload") for answer in answers] == ["welcome", "failure"]


def test_segments_of_all_lengths_are_recognised_at_once(offline: Path) -> None:
    sounds = [babble(duration_ms, seed=duration_ms) for duration_ms in (300, 1500, 700, 2000)]

    async def recognise() -> list[str]:
        async with open_engine(EngineConfig(bundle=str(offline))) as engine:
            works = [engine.start_segment() for _ in sounds]
            for work, pcm in zip(works, sounds, strict=True):
                work.push(pcm)
            return [decoded.text for decoded in await asyncio.gather(*(work.finish() for work in works))]

    recognizer = Recognizer(load_bundle(offline))
    assert asyncio.run(recognise()) == [transcribe(recognizer, pcm).text for pcm in sounds]
