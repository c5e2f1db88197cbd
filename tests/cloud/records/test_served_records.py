"""Records through the real server and its real client: what is kept, what is told, what is erased."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from voxloop_cloud.engine import EngineConfig
from voxloop_cloud.records.clip import from_flac
from voxloop_cloud.records.redo import REDO_THRESHOLD
from voxloop_cloud.server import ServerConfig, open_server
from voxloop_cloud.store.store_config import StoreConfig
from voxloop_cloud.testing import babble, tiny_bundle
from voxloop_proto.audio import SAMPLE_RATE_HZ, from_pcm16, to_pcm16
from voxloop_proto.contract import SCHEMA_VERSION
from voxloop_proto.v1 import voxloop_pb2 as pb
from voxloop_proto.v1.voxloop_pb2_grpc import SpeechServiceStub

SPEECH = babble(800)
ALL = pb.Consent(keep_audio=True, keep_text=True, train=True, terms_version="2026-01")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_bundle(tmp_path_factory.mktemp("bundle")).path)


def with_server(bundle: str, state: Path | None, use: Callable[[grpc.aio.Channel], Awaitable[None]]) -> None:
    config = ServerConfig(
        listen="127.0.0.1:0",
        insecure=True,
        drain_ms=100,
        engine=EngineConfig(bundle=bundle),
        store=StoreConfig(state=state),
    )

    async def run() -> None:
        async with open_server(config) as address, grpc.aio.insecure_channel(address) as channel:
            await use(channel)

    asyncio.run(run())


async def speak(
    channel: grpc.aio.Channel,
    segments: int = 1,
    device_id: str = "kitchen",
    session_id: str = "s1",
    consent: pb.Consent | None = None,
) -> list[str]:
    """Some segments of a session, one after the other; their texts."""
    payload = to_pcm16(SPEECH)
    audio_format = pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=SAMPLE_RATE_HZ)
    hello = pb.Hello(
        schema_version=SCHEMA_VERSION,
        device_id=device_id,
        session_id=session_id,
        audio_format=audio_format,
        consent=consent,
    )
    messages = [pb.RecognizeRequest(hello=hello)]
    for number in range(1, segments + 1):
        start, size = (number - 1) * 3 * SAMPLE_RATE_HZ, len(SPEECH)
        messages += [
            pb.RecognizeRequest(segment_start=pb.SegmentStart(segment_id=number, start_sample=start)),
            pb.RecognizeRequest(audio=pb.Audio(segment_id=number, payload=payload)),
            pb.RecognizeRequest(
                segment_end=pb.SegmentEnd(segment_id=number, end_sample=start + size, sent_samples=size)
            ),
        ]
    call: Any = SpeechServiceStub(channel).Recognize(iter(messages))
    return [response.transcript.text async for response in call if response.HasField("transcript")]


async def tell(channel: grpc.aio.Channel, **said: Any) -> None:
    fields: dict[str, Any] = {"device_id": "kitchen", "session_id": "s1", "segment_id": 1}
    feedback = pb.FeedbackRequest(**(fields | said))
    await SpeechServiceStub(channel).Feedback(feedback)  # type: ignore[misc] # the stub is the asynchronous one


def rows(state: Path, *columns: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(state / "voxloop.db") as connection:
        return connection.execute(f"SELECT {', '.join(columns)} FROM utterances ORDER BY segment_id").fetchall()


def test_each_segment_is_a_row_and_a_clip_when_that_was_agreed_to(bundle: str, tmp_path: Path) -> None:
    texts: list[str] = []

    async def use(channel: grpc.aio.Channel) -> None:
        texts.extend(await speak(channel, 3, consent=ALL))

    with_server(bundle, tmp_path, use)
    found = rows(
        tmp_path, "segment_id", "text", "bundle", "route", "terms_version", "clip", "feature_mean", "level_dbfs"
    )
    assert [row[:5] for row in found] == [
        (number, text, "voxloop-tiny@0.0.1", "primary", "2026-01") for number, text in enumerate(texts, start=1)
    ]
    for *_, clip, mean, level in found:
        sound = from_flac((tmp_path / "clips" / clip).read_bytes())
        assert np.array_equal(sound, from_pcm16(to_pcm16(SPEECH)))
        assert -20.0 < mean < 0.0
        assert -60.0 < level < 0.0


def test_without_consent_neither_text_nor_sound_is_on_the_disk(bundle: str, tmp_path: Path) -> None:
    texts: list[str] = []

    async def use(channel: grpc.aio.Channel) -> None:
        texts.extend(await speak(channel, 2))

    with_server(bundle, tmp_path, use)
    assert rows(tmp_path, "text", "clip", "is_null") == [(None, None, 0)] * 2
    assert len(texts[0]) > 3
    assert list((tmp_path / "clips").rglob("*.flac")) == []
    assert all(texts[0].encode() not in file.read_bytes() for file in tmp_path.glob("voxloop.db*"))


def test_a_session_that_comes_back_leaves_one_row_for_each_segment(bundle: str, tmp_path: Path) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        await speak(channel, 2, consent=ALL)

    for _ in range(2):  # the second server knows nothing of the first, and recognises again
        with_server(bundle, tmp_path, use)
    assert len(rows(tmp_path, "id")) == 2


def test_the_same_said_again_is_found(bundle: str, tmp_path: Path) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        await speak(channel, 3)

    with_server(bundle, tmp_path, use)
    first, second, last = (found for (found,) in rows(tmp_path, "redo_probability"))
    assert first > REDO_THRESHOLD
    assert second > REDO_THRESHOLD
    assert last is None


def test_feedback_may_come_at_once_and_twice(bundle: str, tmp_path: Path) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        await speak(channel, 2, consent=ALL)
        await tell(channel, segment_id=2, clicked=True)  # the row is still in the queue
        await tell(channel, segment_id=2, clicked=True)
        await tell(channel, corrected_text="what was said")

    with_server(bundle, tmp_path, use)
    assert rows(tmp_path, "outcome", "corrected_text") == [("corrected", "what was said"), ("clicked", None)]


def test_feedback_on_what_is_not_there_is_not_found(bundle: str, tmp_path: Path) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        await speak(channel, consent=ALL)
        for another in ({"segment_id": 7}, {"session_id": "s9"}, {"device_id": "attic"}):
            with pytest.raises(grpc.aio.AioRpcError, match="there is no segment") as refused:
                await tell(channel, clicked=True, **another)
            assert refused.value.code() == grpc.StatusCode.NOT_FOUND
        with pytest.raises(grpc.aio.AioRpcError, match="the feedback says nothing") as refused:
            await tell(channel)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT

    with_server(bundle, tmp_path, use)


def test_erasing_reaches_rows_clips_and_memory_and_is_idempotent(bundle: str, tmp_path: Path) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        await speak(channel, 3, consent=ALL)
        await speak(channel, 1, "attic", "s2", ALL)
        stub = SpeechServiceStub(channel)
        erased = [await stub.Erase(pb.EraseRequest(device_id="kitchen")) for _ in range(2)]  # type: ignore[misc]
        assert [each.erased_utterances for each in erased] == [3, 0]
        assert erased[0].erased_bytes > 10_000
        assert erased[1].erased_bytes == 0
        await speak(channel, 1, "kitchen", "s3", ALL)  # it may speak again

    with_server(bundle, tmp_path, use)
    assert sorted(rows(tmp_path, "device_id", "session_id")) == [("attic", "s2"), ("kitchen", "s3")]
    assert len(list((tmp_path / "clips").rglob("*.flac"))) == 2


def test_what_was_erased_is_nowhere_in_the_files(bundle: str, tmp_path: Path) -> None:
    texts: list[str] = []

    async def use(channel: grpc.aio.Channel) -> None:
        texts.extend(await speak(channel, 3, consent=ALL))
        await tell(channel, segment_id=2, corrected_text="a word nobody else says")
        kept = [file.read_bytes() for file in tmp_path.glob("voxloop.db*")]
        for word in (texts[0].encode(), b"a word nobody else says"):
            assert any(word in content for content in kept)
        await SpeechServiceStub(channel).Erase(pb.EraseRequest(device_id="kitchen"))  # type: ignore[misc] # asynchronous
        left = [file.read_bytes() for file in tmp_path.glob("voxloop.db*")]
        for word in (texts[0].encode(), b"a word nobody else says", b"kitchen"):
            assert not any(word in content for content in left)

    with_server(bundle, tmp_path, use)
    assert list((tmp_path / "clips").iterdir()) == []


def test_a_database_that_is_locked_delays_nobody_and_loses_nothing(bundle: str, tmp_path: Path) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        other = sqlite3.connect(tmp_path / "voxloop.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(4.0):  # less than the lock is waited for
            await speak(channel, 3, consent=ALL)
        other.execute("ROLLBACK")
        other.close()

    with_server(bundle, tmp_path, use)
    assert len(rows(tmp_path, "id")) == 3


def test_a_server_without_a_store_keeps_nothing_and_says_so(bundle: str, tmp_path: Path) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        await speak(channel, consent=ALL)
        with pytest.raises(grpc.aio.AioRpcError, match="keeps no utterances") as refused:
            await tell(channel, clicked=True)
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED

    with_server(bundle, None, use)
    assert list(tmp_path.iterdir()) == []
