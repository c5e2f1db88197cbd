"""Keeps recent transcripts by session, so that a device that comes back gets them without a second recognition."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from voxloop_proto.errors import ContractError
from voxloop_proto.v1 import voxloop_pb2 as pb


class ResultsConfig(BaseModel):
    """How long the server remembers what it has answered; what is forgotten is recognised again when asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_sessions: int = Field(10_000, ge=1, description="most sessions; the least recently opened goes first")
    max_transcripts: int = Field(64, ge=1, description="most transcripts of a session; the oldest goes first")
    keep_ms: int = Field(86_400_000, ge=1_000, description="time that a session is remembered after it was last used")


@dataclass(slots=True)
class SessionResults:
    """The transcripts of one session, the newest last; bounded."""

    device_id: str
    resume_token: str
    max_transcripts: int
    used_s: float
    clock: Callable[[], float]
    transcripts: OrderedDict[int, pb.Transcript] = field(default_factory=OrderedDict)

    def keep(self, transcript: pb.Transcript) -> None:
        """Adds a transcript; the oldest is dropped when there are too many."""
        self.used_s = self.clock()
        self.transcripts[transcript.segment_id] = transcript
        while len(self.transcripts) > self.max_transcripts:
            self.transcripts.popitem(last=False)


class ResultStore:
    """The sessions of this process, the least recently opened dropped first.

    A device keeps a segment until it is answered, and gives each one's text once, so what is dropped here is only ever
    recognised again: never lost, and never given twice.
    """

    def __init__(self, config: ResultsConfig | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config or ResultsConfig()
        self._clock = clock
        self._sessions: OrderedDict[str, SessionResults] = OrderedDict()

    def open(self, hello: pb.Hello) -> SessionResults:
        """The results of a session, new or resumed.

        A token for a session that is not known is from before this server's start, or of another worker: the session
        goes on under it, so that a token never changes while its device lives. Raises ContractError when a session is
        known and the token does not match: another device may not take it.
        """
        self._forget_old()
        known = self._sessions.get(hello.session_id)
        if known is None:
            return self._add(hello)
        same_token = secrets.compare_digest(known.resume_token.encode(), hello.resume_token.encode())
        if known.device_id != hello.device_id or not same_token:
            raise ContractError(
                f"session {hello.session_id} is already known here, and the resume token is not its own; "
                "resume with the token of the last Welcome, or choose a new session id"
            )
        known.used_s = self._clock()
        self._sessions.move_to_end(hello.session_id)
        return known

    def forget(self, is_one: Callable[[str], bool]) -> None:
        """Forgets what was said in the sessions of such devices, by their ids; the sessions go on."""
        for results in self._sessions.values():
            if is_one(results.device_id):
                results.transcripts.clear()

    def _add(self, hello: pb.Hello) -> SessionResults:
        token = hello.resume_token or secrets.token_urlsafe(16)
        results = SessionResults(hello.device_id, token, self._config.max_transcripts, self._clock(), self._clock)
        self._sessions[hello.session_id] = results
        while len(self._sessions) > self._config.max_sessions:
            self._sessions.popitem(last=False)
        return results

    def _forget_old(self) -> None:
        """Looks at the least recently opened alone: one that is in use holds up those after it, within the count."""
        oldest_s = self._clock() - self._config.keep_ms / 1000.0
        while self._sessions and next(iter(self._sessions.values())).used_s < oldest_s:
            self._sessions.popitem(last=False)
