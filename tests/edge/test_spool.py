"""The spool against a model, with the power cut at any byte; and its bound, its lock and its permissions."""

import os
import random
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloop_edge.disk_testing import FragileDisk, PowerCutError
from voxloop_edge.folder_lock import FolderLock
from voxloop_edge.spool import Spool, SpooledSegment
from voxloop_edge.spool_config import DropRule
from voxloop_edge.spool_record import pack, unpack
from voxloop_proto.errors import ConfigError, DataError
from voxloop_proto.v1 import voxloop_pb2 as pb

ROOT = Path("/spool")
SESSIONS = ("a", "b")
MAX_BYTES = 500
Key = tuple[str, int]


def segment(segment_id: int, payload_bytes: int = 40) -> list[pb.RecognizeRequest]:
    start, end = pb.SegmentStart(segment_id=segment_id, start_sample=100), pb.SegmentEnd(end_sample=500)
    audio = pb.Audio(segment_id=segment_id, payload=bytes([segment_id % 256]) * payload_bytes)
    return [
        pb.RecognizeRequest(segment_start=start),
        pb.RecognizeRequest(audio=audio),
        pb.RecognizeRequest(segment_end=end),
    ]


def keys(spool: Spool) -> set[Key]:
    return {(kept.session, kept.segment_id) for session in spool.sessions() for kept in spool.segments(session)}


class Model:
    """What must be on disk, and what may be: that which was erased, or whose keeping was cut off."""

    def __init__(self) -> None:
        self.must: dict[Key, bool] = {}  # whether it was given
        self.may: set[Key] = set()
        self.hellos: dict[str, set[str]] = {}

    def forget(self, key: Key) -> None:
        if key in self.must:
            del self.must[key]
        self.may.add(key)


def act(spool: Spool, model: Model, step: tuple[str, str, int]) -> None:
    """One step on both; the model is told first what is under way, and after it what is sure."""
    what, session, number = step
    key = (session, number)
    if what == "hello":
        model.hellos.setdefault(session, set()).add(f"token {number}")
        spool.keep_hello(session, pb.Hello(session_id=session, resume_token=f"token {number}"))
        model.hellos[session] = {f"token {number}"}
    elif what == "keep" and session in spool.sessions() and not spool.has(*key):
        model.may.add(key)
        oldest_first = [(s.session, s.segment_id) for name in spool.sessions() for s in spool.segments(name)]
        before = dict(model.must)
        model.may |= set(oldest_first)
        model.must.clear()  # any may have to give way, until it is known which
        stored = spool.keep(session, segment(number))
        assert stored.error is None
        model.must = before
        for dropped in stored.dropped:
            model.forget((dropped.session, dropped.segment_id))
        if stored.is_kept:
            model.must[key] = False
            assert spool.size_bytes <= MAX_BYTES
    elif what == "erase" and spool.has(*key):
        model.forget(key)
        spool.erase(*key)
    elif what == "given" and spool.has(*key):
        was_given = model.must.pop(key, None)
        model.may.add(key)
        spool.mark_given(*key)
        if was_given is not None:
            model.must[key] = True
    elif what == "close":
        spool.close_session(session)


def check(spool: Spool, model: Model) -> None:
    found = keys(spool)
    assert model.must.keys() <= found, "a segment whose end was taken is lost"
    assert found <= model.must.keys() | model.may
    for session, number in found:
        assert spool.load(session, number) == segment(number)
        assert spool.hello(session).resume_token in model.hellos[session]
    for key, is_given in model.must.items():
        assert spool.is_given(*key) or not is_given
    names = [(kept.session, kept.segment_id) for name in spool.sessions() for kept in spool.segments(name)]
    assert len(names) == len(set(names))


STEPS = st.tuples(
    st.sampled_from(["hello", "keep", "keep", "keep", "erase", "given", "close"]),
    st.sampled_from(SESSIONS),
    st.integers(1, 6),
)
LIVES = st.lists(
    st.tuples(st.lists(STEPS, max_size=12), st.integers(0, 1500), st.integers(0, 1 << 30)), min_size=1, max_size=5
)


@settings(max_examples=200, deadline=None)
@given(lives=LIVES, when_full=st.sampled_from(["oldest", "newest"]))
def test_whatever_is_cut_off_when_all_that_was_kept_is_there_again(
    lives: list[tuple[list[tuple[str, str, int]], int, int]], when_full: DropRule
) -> None:
    disk, model = FragileDisk(ROOT), Model()
    for steps, budget, seed in lives:
        spool = Spool(ROOT, MAX_BYTES, when_full, disk)
        check(spool, model)
        model.must |= {key: spool.is_given(*key) for key in keys(spool)} if model.may else {}
        disk.budget = budget
        try:
            for step in [("hello", session, 0) for session in SESSIONS] + steps:
                act(spool, model, step)
        except PowerCutError:
            pass
        disk.restart(random.Random(seed))
    check(Spool(ROOT, MAX_BYTES, when_full, disk), model)


@given(st.integers(0, 10_000), st.integers(1, 255), st.booleans())
def test_a_file_that_is_torn_or_changed_at_any_byte_is_never_taken_for_whole(at: int, flip: int, torn: bool) -> None:
    data = pack(segment(1))
    at %= len(data)
    broken = data[:at] if torn else data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]
    with pytest.raises(DataError):
        unpack(broken)


def open_spool(folder: Path, max_bytes: int = 1 << 20, when_full: DropRule = "oldest") -> Spool:
    spool = Spool(folder, max_bytes, when_full)
    if "s" not in spool.sessions():
        spool.keep_hello("s", pb.Hello(session_id="s"))
    return spool


def test_the_oldest_gives_way_or_the_newest_is_not_taken(tmp_path: Path) -> None:
    room = 3 * len(pack(segment(1)))
    oldest, newest = open_spool(tmp_path / "o", room), open_spool(tmp_path / "n", room, "newest")
    for number in range(1, 6):
        stored = oldest.keep("s", segment(number))
        assert stored.is_kept
        assert [dropped.segment_id for dropped in stored.dropped] == ([number - 3] if number > 3 else [])
        assert newest.keep("s", segment(number)).is_kept == (number <= 3)
    assert sorted(keys(oldest)) == [("s", 3), ("s", 4), ("s", 5)]
    assert sorted(keys(newest)) == [("s", 1), ("s", 2), ("s", 3)]
    assert oldest.size_bytes == newest.size_bytes == room


def test_what_is_larger_than_the_whole_spool_drives_nothing_out(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, 1000)
    spool.keep("s", segment(1))
    assert not spool.keep("s", segment(2, payload_bytes=2000)).is_kept
    assert keys(spool) == {("s", 1)}


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    os.umask(0)
    try:
        open_spool(tmp_path / "spool").keep("s", segment(1))
    finally:
        os.umask(0o022)
    for path in [tmp_path / "spool", *(tmp_path / "spool").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_second_owner_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with pytest.raises(ConfigError, match=f"in use by process {os.getpid()}.*--spool"):
        FolderLock(tmp_path)
    lock.release()
    FolderLock(tmp_path).release()


def test_an_answered_session_leaves_nothing(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.keep("s", segment(1))
    spool.close_session("s")
    assert spool.sessions() == ["s"]
    spool.erase("s", 1)
    spool.close_session("s")
    assert list(tmp_path.iterdir()) == []


def test_what_was_left_comes_back_in_the_order_of_speech(tmp_path: Path) -> None:
    for session in ("zz", "aa"):
        spool = Spool(tmp_path, 1 << 20, "oldest")
        spool.keep_hello(session, pb.Hello(session_id=session))
        for number in (2, 10, 9_999_999_999):
            spool.keep(session, segment(number))
    again = Spool(tmp_path, 1 << 20, "oldest")
    assert again.sessions() == ["zz", "aa"]
    size = len(pack(segment(2)))
    assert again.segments("zz")[:1] == [SpooledSegment("zz", 2, 400, size)]
    assert [kept.segment_id for kept in again.segments("aa")] == [2, 10, 9_999_999_999]
