"""A stream's messages and the answers to them, those included that people give later."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from voxloop_cloud.session import Session
from voxloop_proto.v1 import voxloop_pb2 as pb


async def converse(
    session: Session, requests: AsyncIterator[pb.RecognizeRequest], first: pb.RecognizeRequest | None
) -> AsyncGenerator[pb.RecognizeResponse, None]:
    """All responses of a session, from its first message to the end of the stream and the last answer that is due.

    Raises what the session and the stream do.
    """
    request = first
    while request is not None:
        async for response in session.answer(request):
            yield response
        if not session.awaited:
            request = await anext(requests, None)
            continue
        coming = asyncio.ensure_future(anext(requests, None))
        try:
            async for response in _meanwhile(session, coming):
                yield response
            request = await coming
        finally:
            coming.cancel()
    while session.awaited:
        yield await session.awaited.next()


async def _meanwhile(
    session: Session, coming: "asyncio.Future[pb.RecognizeRequest | None]"
) -> AsyncIterator[pb.RecognizeResponse]:
    """What people answer until the next message is there."""
    while session.awaited and not coming.done():
        late = asyncio.ensure_future(session.awaited.next())
        try:
            await asyncio.wait((coming, late), return_when=asyncio.FIRST_COMPLETED)
            if late.done():
                yield late.result()
        finally:
            late.cancel()
