"""Stands before every method: lets in who shows a token or certificate, and ends calls whose token is revoked."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import grpc
import grpc.aio
import structlog

from voxloop_cloud.security.audit_log import AuditLog
from voxloop_cloud.security.authentication import CALLER, Authenticator, Caller
from voxloop_cloud.security.token_store import WatchedTokens
from voxloop_proto.errors import UnauthenticatedError, UnavailableError, VoxloopError, row_of

FREE_METHODS = frozenset({"/grpc.health.v1.Health/Check"})
"""What anyone may call: whoever balances loads must learn whether this server is well, and learns no more from it."""

WATCH_INTERVAL_S = 1.0
"""Time between looks at the file of tokens, each one `stat`: the longest that a revoked token lives on."""

_log = structlog.get_logger("voxloop.gate")
_Answer = Callable[[AsyncIterator[Any], Any], AsyncGenerator[Any, None]]


class Gate(grpc.aio.ServerInterceptor):
    """Refuses a call before anything of it is read, unless its caller is known."""

    def __init__(self, authenticator: Authenticator, tokens: WatchedTokens | None, audit: AuditLog | None) -> None:
        self._authenticator = authenticator
        self._tokens = tokens
        self._audit = audit
        self._open: dict[asyncio.Timeout, Caller] = {}

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """The method's handler, behind this gate."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method in FREE_METHODS:
            return handler
        answer = _as_stream(handler)
        method = handler_call_details.method

        async def guarded(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
            try:
                caller = self._identify(context)
                async with aclosing(self._let_in(caller, answer, requests, context)) as responses:
                    async for response in responses:
                        yield response
            except grpc.aio.AbortError:
                if context.code() is grpc.StatusCode.PERMISSION_DENIED:
                    self._note(method, context.details(), context)
                raise
            except (UnauthenticatedError, UnavailableError) as error:
                await self._refuse(error, method, context)

        # A stream, whatever the method is: of one that takes a single message, that would be read before any code runs.
        return grpc.stream_stream_rpc_method_handler(guarded, handler.request_deserializer, handler.response_serializer)

    async def watch(self) -> None:
        """Ends calls whose token no longer counts, within two seconds of its revocation; runs until it is cancelled."""
        while self._tokens is not None:
            await asyncio.sleep(WATCH_INTERVAL_S)
            try:
                if await asyncio.to_thread(self._tokens.refresh):
                    self._end_revoked()
            except Exception:  # noqa: BLE001 (the task's boundary: a look that fails must not be the last)
                _log.exception("gate.watch_failed")

    def _identify(self, context: Any) -> Caller:
        return self._authenticator.identify(context.invocation_metadata() or (), context.auth_context(), _now())

    async def _let_in(
        self, caller: Caller, answer: _Answer, requests: AsyncIterator[Any], context: Any
    ) -> AsyncGenerator[Any, None]:
        """The responses, until the caller's token ends. Raises UnauthenticatedError or UnavailableError then."""
        CALLER.set(caller)
        try:
            async with asyncio.timeout(_seconds_until(caller.token_end)) as deadline:
                self._open[deadline] = caller
                try:
                    async with aclosing(answer(requests, context)) as responses:
                        async for response in responses:
                            yield response
                finally:
                    del self._open[deadline]
        except TimeoutError:
            if not deadline.expired():
                raise
            raise self._why_ended(caller) from None

    def _end_revoked(self) -> None:
        """Moves the end of each open call to that of its token."""
        now_s = asyncio.get_running_loop().time()
        for deadline, caller in tuple(self._open.items()):
            if caller.token_id is not None and self._tokens is not None and not deadline.expired():
                record = self._tokens.book.find(caller.token_id)
                deadline.reschedule(now_s + (_seconds_until(record.end if record else _now()) or 0.0))

    def _why_ended(self, caller: Caller) -> VoxloopError:
        """UnavailableError where the device has a newer token already: it need only come again."""
        if self._tokens is not None and self._tokens.book.of(caller.device_id, _now()):
            return UnavailableError(f"the token of {caller.device_id} was replaced; connect again with the new one")
        return UnauthenticatedError(f"the token of {caller.device_id} was revoked or has ended; issue a new one")

    async def _refuse(self, error: VoxloopError, method: str, context: Any) -> None:
        self._note(method, error.message, context)
        await context.abort(row_of(error).status, error.message)

    def _note(self, method: str, why: str, context: Any) -> None:
        caller = CALLER.get()
        _log.warning("call.refused", method=method, peer=context.peer(), error=why)
        if self._audit is not None:
            self._audit.refuse(method, why, context.peer(), caller.device_id if caller else "")


def _as_stream(handler: Any) -> _Answer:
    """A handler of any kind as one that takes and gives streams."""

    async def answer(requests: AsyncIterator[Any], context: Any) -> AsyncGenerator[Any, None]:
        if handler.request_streaming:
            asked: Any = requests
        elif (asked := await anext(requests, None)) is None:
            return
        whole = handler.unary_unary or handler.stream_unary
        if whole is not None:
            yield await whole(asked, context)
            return
        responses = (handler.unary_stream or handler.stream_stream)(asked, context)
        if inspect.isawaitable(responses):  # it writes to the context itself
            await responses
            return
        async for response in responses:
            yield response

    return answer


def _now() -> datetime:
    return datetime.now(UTC)


def _seconds_until(end: datetime | None) -> float | None:
    return None if end is None else max(0.0, (end - _now()).total_seconds())
