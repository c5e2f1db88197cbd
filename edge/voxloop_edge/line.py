"""The channel that a session goes over: the one it shares with others, until it is refused there."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc.aio

from voxloop_edge.channel import open_channel, open_stub
from voxloop_edge.client_config import ClientConfig

if TYPE_CHECKING:
    from voxloop_proto.v1.voxloop_pb2_grpc import SpeechServiceAsyncStub


class Line:
    """Behind one address there may be many workers, and a connection leads to the same one for as long as it lives."""

    def __init__(
        self,
        shared: grpc.aio.Channel,
        config: ClientConfig,
        open_fresh: Callable[[ClientConfig], grpc.aio.Channel] = open_channel,
    ) -> None:
        self._shared = shared
        self._config = config
        self._open_fresh = open_fresh
        self._own: grpc.aio.Channel | None = None

    @property
    def stub(self) -> "SpeechServiceAsyncStub":
        """The service at the other end."""
        return open_stub(self._own or self._shared)

    async def renew(self) -> None:
        """Goes over a connection of its own from now on, a new one, so that another worker may answer."""
        await self.close()
        self._own = self._open_fresh(self._config)

    async def close(self) -> None:
        """Closes what is the session's own; the shared channel is its owner's."""
        if self._own is not None:
            await self._own.close()
            self._own = None
