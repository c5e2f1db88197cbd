"""Sends what earlier runs left in the spool, one session after the other, each as itself."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import grpc.aio

from voxloop_edge.client import Client
from voxloop_edge.client_config import ClientConfig
from voxloop_edge.replies import Reply, SessionStuck
from voxloop_edge.safekeeping import Safekeeping
from voxloop_proto.errors import DataError, OverloadError, UnavailableError, VoxloopError


@dataclass(slots=True)
class Uploader:
    """Works through sessions on disk. A server that is away is given up as the settings say.

    before_segment: awaited before each segment that is fetched from disk, so that live speech goes first.
    stuck: the sessions that the server refused.
    """

    channel: grpc.aio.Channel
    config: ClientConfig
    keeping: Safekeeping
    on_reply: Callable[[Reply], None]
    before_segment: Callable[[], Awaitable[None]]
    stuck: set[str] = field(default_factory=set)

    async def upload(self, sessions: Iterable[str]) -> None:
        """Sends all segments of these sessions, and gives their transcripts.

        A session that the server refuses stays in the spool, is told (SessionStuck), and the next one has its turn.
        Raises UnavailableError or OverloadError when the server is away or full for too long.
        """
        for session in sessions:
            try:
                await self.before_segment()
                await self._upload(session)
            except (UnavailableError, OverloadError):
                raise
            except VoxloopError as error:
                self.stuck.add(session)
                self.on_reply(SessionStuck(session, len(self.keeping.segments(session)), error))

    async def _upload(self, session: str) -> None:
        try:
            hello = await self.keeping.hello(session)
        except DataError as error:
            for segment in self.keeping.segments(session):
                await self.keeping.lose(session, segment, error.message)
            await self.keeping.close_session(session)
            return
        hello.interim_results = False
        async with Client(
            self.channel,
            hello,
            self.config,
            self.on_reply,
            keeping=self.keeping,
            session=session,
            before_fetch=self.before_segment,
        ) as client:
            await client.finish()
