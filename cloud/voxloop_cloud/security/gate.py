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
        self.on_refusal: Callable[[VoxloopError], None] = lambda _: None
        self._open: set[_OpenCall] = set()

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
        """Who calls. A token that is not known may be a moment old: the file is looked at before it is refused."""
        shown, peer = context.invocation_metadata() or (), context.auth_context()
        try:
            return self._authenticator.identify(shown, peer, _now())
        except UnauthenticatedError:
            if self._tokens is None or not self._tokens.refresh():
                raise
            self._end_revoked()
        return self._authenticator.identify(shown, peer, _now())

    async def _let_in(
        self, caller: Caller, answer: _Answer, requests: AsyncIterator[Any], context: Any
    ) -> AsyncGenerator[Any, None]:
        """The responses, until the caller's token ends. Raises UnauthenticatedError or UnavailableError then."""
        CALLER.set(caller)
        call = _OpenCall(caller)
        self._open.add(call)
        try:
            async with aclosing(answer(requests, context)) as responses:
                while (response := await call.next_of(responses)) is not None:
                    yield response
        except TimeoutError:
            if not call.has_ended:
                raise
            raise self._why_ended(caller) from None
        finally:
            self._open.discard(call)

    def _end_revoked(self) -> None:
        """Moves the end of each open call to that of its token."""
        for call in self._open:
            if call.caller.token_id is not None and self._tokens is not None:
                record = self._tokens.book.find(call.caller.token_id)
                call.end_at(record.end if record else _now())

    def _why_ended(self, caller: Caller) -> VoxloopError:
        """UnavailableError where the device has a newer token already: it need only come again."""
        if self._tokens is not None and self._tokens.book.of(caller.device_id, _now()):
            return UnavailableError(f"the token of {caller.device_id} was replaced; connect again with the new one")
        return UnauthenticatedError(f"the token of {caller.device_id} was revoked or has ended; issue a new one")

    async def _refuse(self, error: VoxloopError, method: str, context: Any) -> None:
        self._note(method, error.message, context)
        self.on_refusal(error)
        await context.abort(row_of(error).status, error.message)

    def _note(self, method: str, why: str, context: Any) -> None:
        caller = CALLER.get()
        _log.warning("call.refused", method=method, peer=context.peer(), error=why)
        if self._audit is not None:
            self._audit.refuse(method, why, context.peer(), caller.device_id if caller else "")


class _OpenCall:
    """A call that ends with its caller's token.

    It ends while its next response is awaited, never while one is being sent: gRPC, cancelled there, would say nothing
    to the device. To one that does not read it is said when it does.
    """

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self._end_s = _loop_time_of(caller.token_end)
        self._deadline: asyncio.Timeout | None = None

    @property
    def has_ended(self) -> bool:
        """True once its token does not count any more."""
        return self._end_s is not None and asyncio.get_running_loop().time() >= self._end_s

    def end_at(self, end: datetime) -> None:
        """Its token ends at another time."""
        self._end_s = _loop_time_of(end)
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(self._end_s)

    async def next_of(self, responses: AsyncGenerator[Any, None]) -> Any:
        """The next response; None at the end. Raises TimeoutError when the token has ended first."""
        try:
            async with asyncio.timeout_at(self._end_s) as self._deadline:
                return await anext(responses, None)
        finally:
            self._deadline = None


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


def _loop_time_of(end: datetime | None) -> float | None:
    """A time of day by the event loop's clock; None is never."""
    return None if end is None else asyncio.get_running_loop().time() + (end - _now()).total_seconds()
