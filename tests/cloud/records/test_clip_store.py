"""Clips: by keys that no device chooses, in a folder and in S3 alike."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloop_cloud.records.clip import from_flac, to_flac
from voxloop_cloud.records.clip_key import clip_key, day_in, day_of, device_digest
from voxloop_cloud.records.clip_store import ClipStore, open_clip_store
from voxloop_cloud.records.testing import NOON_S
from voxloop_proto.audio import from_pcm16, to_pcm16
from voxloop_proto.errors import ConfigError, DataError, UnavailableError

DAY_S = 86_400.0


@pytest.fixture
def clips(tmp_path: Path) -> ClipStore:
    return open_clip_store(str(tmp_path / "clips"))


def key(device_id: str = "kitchen", segment_id: int = 1, days: float = 0.0) -> str:
    return clip_key(device_id, "s1", segment_id, NOON_S + days * DAY_S)


def test_a_clip_loses_nothing_of_its_16_bits() -> None:
    pcm = from_pcm16(to_pcm16(np.random.default_rng(0).uniform(-1, 1, 5_000).astype(np.float32)))
    assert np.array_equal(from_flac(to_flac((pcm[:1_000], pcm[1_000:]))), pcm)


def test_what_is_no_clip_is_said_to_be_none() -> None:
    with pytest.raises(DataError, match="a clip of 4 bytes cannot be read"):
        from_flac(b"RIFF")


@given(st.text(max_size=64), st.text(max_size=64), st.integers(0, (1 << 63) - 1))
def test_nothing_that_a_device_says_becomes_a_path(device_id: str, session_id: str, segment_id: int) -> None:
    parts = clip_key(device_id, session_id, segment_id, NOON_S).split("/")
    assert parts[:2] == [device_digest(device_id), "2027-01-15"]
    assert parts[2].endswith(f"-{segment_id}.flac")
    assert len(parts) == 3
    assert set("".join(parts)) <= set("0123456789abcdefghijklmnopqrstuvwxyz-.")


def test_a_key_knows_its_day() -> None:
    assert day_in(key()) == day_of(NOON_S)
    assert day_in("notes.txt") is None
    assert day_in("a/b/c") is None


def test_a_clip_is_kept_and_a_second_one_leaves_it_as_it_is(clips: ClipStore) -> None:
    clips.put(key(), b"first")
    clips.put(key(), b"second")
    assert clips.get(key()) == b"first"


def test_what_was_deleted_is_not_there_and_may_be_deleted_again(clips: ClipStore) -> None:
    clips.put(key(), b"sound")
    for _ in range(2):
        clips.delete([key(), key(segment_id=2)])
    with pytest.raises(DataError, match="erased, or is older"):
        clips.get(key())


def test_all_of_a_device_goes_and_nothing_of_others(clips: ClipStore) -> None:
    for number in range(3):
        clips.put(key(segment_id=number, days=number), b"12345")
    clips.put(key("attic"), b"stays")
    assert clips.erase("kitchen") == 15
    assert clips.erase("kitchen") == 0
    assert clips.get(key("attic")) == b"stays"


def test_nothing_of_an_erased_device_is_left_behind_not_even_a_folder(clips: ClipStore, tmp_path: Path) -> None:
    for number in range(2):
        clips.put(key(segment_id=number, days=number), b"12345")
    clips.erase("kitchen")
    assert list((tmp_path / "clips").iterdir()) == []
    clips.put(key(), b"said since")
    assert clips.get(key()) == b"said since"


def test_nobody_else_on_the_machine_may_hear_clips(clips: ClipStore, tmp_path: Path) -> None:
    assert (tmp_path / "clips").stat().st_mode & 0o077 == 0


def test_old_days_go_and_nothing_that_is_no_clip(clips: ClipStore, tmp_path: Path) -> None:
    (tmp_path / "clips" / "notes.txt").write_text("of the operator")
    for days in (-2, -1, 0):
        clips.put(key(segment_id=days + 5, days=days), b"12345")
    assert clips.delete_before(day_of(NOON_S)) == 10
    assert clips.get(key(segment_id=5)) == b"12345"
    assert (tmp_path / "clips" / "notes.txt").exists()


@pytest.mark.parametrize("where", ["/proc/clips", "nonsense://bucket", "s3://"])
def test_a_place_that_cannot_be_is_said_at_the_start(where: str) -> None:
    with pytest.raises(ConfigError, match="clips cannot be kept in"):
        open_clip_store(where)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_unavailable(clips: ClipStore, tmp_path: Path) -> None:
    (tmp_path / "clips").chmod(0o500)
    with pytest.raises(UnavailableError, match="the clip store failed"):
        clips.put(key(), b"sound")


def test_a_store_that_fails_is_unavailable(clips: ClipStore, tmp_path: Path) -> None:
    (tmp_path / "clips" / device_digest("kitchen")).write_text("a file where a folder is to be")
    with pytest.raises(UnavailableError, match="the clip store failed"):
        clips.put(key(), b"sound")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket in moto's S3, a real HTTP server of its own."""
    server = pytest.importorskip("moto.server", reason="moto is not installed")
    boto3 = pytest.importorskip("boto3")
    threaded = server.ThreadedMotoServer(port=0)
    threaded.start()
    host, port = threaded.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    settings = {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "REGION": "us-east-1", "ENDPOINT_URL": endpoint}
    for name, value in (settings | {"ALLOW_HTTP": "true"}).items():
        monkeypatch.setenv(f"AWS_{name}", value)
    boto3.client("s3").create_bucket(Bucket="speech")
    yield "speech"
    threaded.stop()


def test_s3_keeps_lists_and_erases_as_a_folder_does(bucket: str) -> None:
    clips = open_clip_store(f"s3://{bucket}/voxloop")
    for number in (1, 2):
        clips.put(key(segment_id=number), b"12345")
        clips.put(key(segment_id=number), b"again")
    clips.put(key("attic"), b"stays")
    assert clips.get(key()) == b"12345"
    assert clips.erase("kitchen") == 10
    assert clips.erase("kitchen") == 0
    with pytest.raises(DataError, match="erased, or is older"):
        clips.get(key())
    assert clips.delete_before(day_of(NOON_S + DAY_S)) == 5
