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

    max_sessions: int = Field(10_000, ge=1, description="most sessions; the least recently used goes first")
    max_transcripts: int = Field(64, ge=1, description="most transcripts of a session; the oldest goes first")
    keep_ms: int = Field(900_000, ge=1_000, description="time that a session is remembered after it was last used")


@dataclass(slots=True)
class SessionResults:
    """The transcripts of one session, the newest last; bounded. Held as bytes, a fifth of what messages take.

    on_use: called when it is used.
    """

    device_id: str
    resume_token: str
    max_transcripts: int
    on_use: Callable[[], None]
    used_s: float = 0.0
    _transcripts: OrderedDict[int, bytes] = field(default_factory=OrderedDict)

    @property
    def segments(self) -> list[int]:
        """Those whose transcripts are held, the oldest first."""
        return list(self._transcripts)

    def keep(self, transcript: pb.Transcript) -> None:
        """Adds a transcript; the oldest is dropped when there are too many."""
        self.on_use()
        self._transcripts[transcript.segment_id] = transcript.SerializeToString()
        while len(self._transcripts) > self.max_transcripts:
            self._transcripts.popitem(last=False)

    def find(self, segment_id: int) -> pb.Transcript | None:
        """The transcript of a segment, if it is held."""
        held = self._transcripts.get(segment_id)
        return None if held is None else pb.Transcript.FromString(held)

    def forget(self) -> None:
        """Drops them all."""
        self._transcripts.clear()


class ResultStore:
    """The sessions of this process, the least recently used dropped first.

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
        known.on_use()
        return known

    def forget(self, is_one: Callable[[str], bool]) -> None:
        """Forgets what was said in the sessions of such devices, by their ids; the sessions go on."""
        for results in self._sessions.values():
            if is_one(results.device_id):
                results.forget()

    def _add(self, hello: pb.Hello) -> SessionResults:
        session_id = hello.session_id
        token = hello.resume_token or secrets.token_urlsafe(16)
        results = SessionResults(
            hello.device_id, token, self._config.max_transcripts, on_use=lambda: self._use(session_id, results)
        )
        results.on_use()
        return results

    def _use(self, session_id: str, results: SessionResults) -> None:
        """Puts it behind all others; one that is open but was dropped meanwhile comes back."""
        results.used_s = self._clock()
        self._sessions.setdefault(session_id, results)
        self._sessions.move_to_end(session_id)
        while len(self._sessions) > self._config.max_sessions:
            self._sessions.popitem(last=False)

    def _forget_old(self) -> None:
        oldest_s = self._clock() - self._config.keep_ms / 1000.0
        while self._sessions and next(iter(self._sessions.values())).used_s < oldest_s:
            self._sessions.popitem(last=False)
