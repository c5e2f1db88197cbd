"""Admission: a model of who speaks, whatever order sessions come, speak, pause and go in."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from voxloop_cloud.admission import ACTIVE_S, Admission, Capacity
from voxloop_proto.errors import OverloadError


def admission(streams: int | None = 2, sessions: int = 100, device_sessions: int = 100) -> Admission:
    return Admission(Capacity(sessions, device_sessions, streams))


def test_a_session_beyond_the_measured_streams_is_refused_with_a_time_to_come_back() -> None:
    here = admission(streams=2)
    here.enter(1, "a", 0.0)
    here.enter(2, "b", 0.0)
    with pytest.raises(OverloadError, match="2 devices speak, the most at which") as caught:
        here.enter(3, "c", 1.0)
    assert caught.value.retry_after_ms > 0
    assert here.open_sessions == 2


def test_who_has_long_been_silent_makes_room_and_waits_for_it_when_speaking_again() -> None:
    here = admission(streams=1)
    here.enter(1, "a", 0.0)
    here.enter(2, "b", ACTIVE_S + 1)
    with pytest.raises(OverloadError):
        here.speak(1, ACTIVE_S + 2)
    here.leave(2, "b")
    here.speak(1, ACTIVE_S + 3)


def test_a_long_segment_is_not_silence() -> None:
    here = admission(streams=1)
    here.enter(1, "a", 0.0)
    here.speak(1, 1.0)
    with pytest.raises(OverloadError):
        here.enter(2, "b", 100 * ACTIVE_S)
    here.speak(1, 100 * ACTIVE_S)
    here.pause(1, 100 * ACTIVE_S)
    with pytest.raises(OverloadError):
        here.enter(2, "b", 100 * ACTIVE_S + 1)


def test_a_server_that_was_not_measured_limits_sessions_alone() -> None:
    here = admission(streams=None, sessions=3, device_sessions=2)
    here.enter(1, "a", 0.0)
    here.enter(2, "a", 0.0)
    with pytest.raises(OverloadError, match="device 'a' has 2 open sessions"):
        here.enter(3, "a", 0.0)
    here.enter(4, "b", 0.0)
    with pytest.raises(OverloadError, match="3 sessions are open"):
        here.enter(5, "c", 0.0)
    here.leave(1, "a")
    here.enter(6, "a", 0.0)


class Crowd(RuleBasedStateMachine):
    """Against a plain list of sessions, each with when it was last heard."""

    STREAMS, SESSIONS, DEVICE_SESSIONS = 3, 6, 2
    inside = Bundle("inside")

    def __init__(self) -> None:
        super().__init__()
        self.here = Admission(Capacity(self.SESSIONS, self.DEVICE_SESSIONS, self.STREAMS))
        self.now_s = 0.0
        self.last = 0
        self.device: dict[int, str] = {}
        self.heard_s: dict[int, float] = {}
        self.in_segment: set[int] = set()

    def model_speaking(self) -> set[int]:
        return {name for name, at in self.heard_s.items() if name in self.in_segment or at >= self.now_s - ACTIVE_S}

    @rule(passed_s=st.floats(0.1, 1.5 * ACTIVE_S))
    def wait(self, passed_s: float) -> None:
        self.now_s += passed_s

    @rule(target=inside, device=st.sampled_from("abcd"))
    def come(self, device: str) -> int:
        self.last += 1
        allowed = (
            list(self.device.values()).count(device) < self.DEVICE_SESSIONS
            and len(self.device) < self.SESSIONS
            and len(self.model_speaking()) < self.STREAMS
        )
        try:
            self.here.enter(self.last, device, self.now_s)
        except OverloadError:
            assert not allowed
            return 0
        assert allowed
        self.device[self.last], self.heard_s[self.last] = device, self.now_s
        return self.last

    @rule(session=inside)
    def speak(self, session: int) -> None:
        if session not in self.device:
            return
        allowed = session in self.model_speaking() or len(self.model_speaking()) < self.STREAMS
        try:
            self.here.speak(session, self.now_s)
        except OverloadError:
            assert not allowed
            return
        assert allowed
        self.in_segment.add(session)

    @rule(session=inside)
    def pause(self, session: int) -> None:
        self.here.pause(session, self.now_s)
        if session in self.in_segment:
            self.in_segment.remove(session)
            self.heard_s[session] = self.now_s

    @rule(session=consumes(inside))
    def go(self, session: int) -> None:
        if session in self.device:
            self.here.leave(session, self.device.pop(session))
            del self.heard_s[session]
            self.in_segment.discard(session)

    @invariant()
    def never_more_than_were_measured(self) -> None:
        assert self.here.speaking(self.now_s) == len(self.model_speaking()) <= self.STREAMS
        assert self.here.open_sessions == len(self.device)


TestCrowd = Crowd.TestCase
