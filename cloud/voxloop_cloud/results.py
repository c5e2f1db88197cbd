"""Keeps recent transcripts by session, so that a device that comes back gets them without a second recognition."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

from voxloop_proto.errors import ContractError
from voxloop_proto.v1 import voxloop_pb2 as pb


@dataclass(slots=True)
class SessionResults:
    """The transcripts of one session, the newest last; bounded."""

    device_id: str
    resume_token: str
    max_transcripts: int
    transcripts: OrderedDict[int, pb.Transcript] = field(default_factory=OrderedDict)

    def keep(self, transcript: pb.Transcript) -> None:
        """Adds a transcript; the oldest is dropped when there are too many."""
        self.transcripts[transcript.segment_id] = transcript
        while len(self.transcripts) > self.max_transcripts:
            self.transcripts.popitem(last=False)


class ResultStore:
    """The sessions of this process, the least recently opened dropped first.

    Bounds: max_sessions, and max_transcripts in each. A device keeps a segment until it is answered, so what is
    dropped here is only ever recognised again, never lost.
    """

    def __init__(self, max_sessions: int = 10_000, max_transcripts: int = 64) -> None:
        self._max_sessions = max_sessions
        self._max_transcripts = max_transcripts
        self._sessions: OrderedDict[str, SessionResults] = OrderedDict()

    def open(self, hello: pb.Hello) -> SessionResults:
        """The results of a session, new or resumed.

        Raises ContractError when a session is known and the token does not match: another device may not take it.
        """
        known = self._sessions.get(hello.session_id)
        if known is None:
            return self._add(hello)
        same_token = secrets.compare_digest(known.resume_token.encode(), hello.resume_token.encode())
        if known.device_id != hello.device_id or not same_token:
            raise ContractError(
                f"session {hello.session_id} is already known here, and the resume token is not its own; "
                "resume with the token of the last Welcome, or choose a new session id"
            )
        self._sessions.move_to_end(hello.session_id)
        return known

    def _add(self, hello: pb.Hello) -> SessionResults:
        results = SessionResults(hello.device_id, secrets.token_urlsafe(16), self._max_transcripts)
        self._sessions[hello.session_id] = results
        while len(self._sessions) > self._max_sessions:
            self._sessions.popitem(last=False)
        return results
