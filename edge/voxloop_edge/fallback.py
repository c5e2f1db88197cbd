"""Text from the device's own server while the cloud is away: `--fallback local`."""

import asyncio
import importlib.util
import math
import time
from collections.abc import Callable
from contextlib import suppress

from voxloop_edge.answers import arrival_of, line_of
from voxloop_edge.channel import open_channel
from voxloop_edge.client_config import ClientConfig
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.local_server import open_local_server
from voxloop_edge.offline_call import OfflineCall
from voxloop_edge.outbox import PendingSegment
from voxloop_edge.replies import FallbackChanged, Reply
from voxloop_edge.safekeeping import Safekeeping
from voxloop_edge.uplink import Uplink
from voxloop_proto.errors import ConfigError, DataError, ModelError, VoxloopError, row_of
from voxloop_proto.v1 import voxloop_pb2 as pb

_RETRY_S = 10.0  # before a local server that failed is started again
_LIBRARIES = ("voxloop_cloud", "onnxruntime", "kaldi_native_fbank", "kaldi_decoder", "grpc_health")


def check_fallback(settings: DeviceConfig) -> None:
    """Raises ConfigError if the device could not fall back as its settings ask."""
    if settings.client.fallback == "none":
        return
    if settings.spool.dir is None:
        raise ConfigError(
            "--fallback local uploads later what it transcribes, and so needs a spool: add --spool DIR (spool.dir)"
        )
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"--fallback local runs a server on this device, which needs {', '.join(missing)}; "
            "install it with: pip install 'voxloop[edge,cloud]'"
        )


class Fallback:
    """Gives a segment's text when the cloud is late with it, or gone; the segment stays for the cloud all the same.

    A segment is due `fallback_after_ms` after its end, or at once while the cloud has been away for as long. They are
    transcribed one at a time, in the order of speech. The server is started when the first one is due, or when speech
    begins while the cloud is away, and stopped when it was not needed for `fallback_keep_ms`.
    """

    def __init__(
        self,
        config: ClientConfig,
        session: str,
        hello: pb.Hello,
        uplink: Uplink,
        keeping: Safekeeping,
        on_reply: Callable[[Reply], None],
    ) -> None:
        """session, hello, uplink: of the live session whose segments these are."""
        self._config = config
        self._session = session
        self._hello = hello
        self._uplink = uplink
        self._keeping = keeping
        self._on_reply = on_reply
        self._works = True

    async def run(self) -> None:
        """Works until it is cancelled. What goes wrong is told, and tried again unless it can never go right."""
        try:
            while True:
                await self._wait_until_due(starts=True)
                try:
                    await self._run_server()
                    self._on_reply(FallbackChanged(False))
                except VoxloopError as error:
                    self._on_reply(FallbackChanged(False, error.message))
                    await self._fail()
                    if not row_of(error).retryable:
                        return
                    await asyncio.sleep(_RETRY_S)
        finally:
            await self._fail()

    async def _fail(self) -> None:
        self._works = False
        await self._uplink.notify()

    async def settle(self) -> None:
        """Waits until each segment that has ended has its text, from here or from the cloud; not if this fails."""
        await self._uplink.wait_until(lambda: not self._works or self._uplink.outbox.untried() is None)

    async def _run_server(self) -> None:
        async with (
            open_local_server(self._config.fallback_bundle) as address,
            open_channel(self._config.to_local(address)) as channel,
        ):
            self._works = True
            self._on_reply(FallbackChanged(True))
            call = OfflineCall(channel, self._hello, self._config.transcript_timeout_ms)
            while await self._wait_until_due(starts=False):
                if (pending := self._uplink.outbox.untried()) is not None:
                    await self._transcribe(call, pending)

    async def _transcribe(self, call: OfflineCall, pending: PendingSegment) -> None:
        try:
            messages = list(pending.messages) or await self._keeping.load(self._session, pending.segment_id)
            transcript = await call.transcribe(messages)
        except DataError:  # it is not on disk: the cloud has answered it, or the client tells that it is lost
            pending.is_tried = True
        except ModelError as error:
            pending.is_tried = True
            self._on_reply(FallbackChanged(False, f"segment {pending.segment_id}: {error.message}"))
        else:
            pending.is_tried = True
            await self._give(pending, transcript)
        await self._uplink.notify()

    async def _give(self, pending: PendingSegment, transcript: pb.Transcript) -> None:
        if self._uplink.outbox.pending(pending.segment_id) is not pending:
            return  # the cloud was quicker
        pending.is_given = True  # before anything is awaited: the cloud's text is not shown from now on
        transcript.provenance.route = pb.ROUTE_LOCAL
        latency_ms = (time.monotonic() - (pending.ended_s or 0.0)) * 1000.0
        if await self._keeping.give(line_of(self._session, transcript, pending), keeps_sound=True):
            self._on_reply(arrival_of(self._session, transcript, pending, latency_ms))

    async def _wait_until_due(self, *, starts: bool) -> bool:
        """Waits for a segment that is due. False if the server was not needed for a while.

        starts: to be true before there is a server: then waits without end, and not for the end of speech.
        """
        stop_s = time.monotonic() + self._config.fallback_keep_ms / 1000.0
        while (due_s := self._due_s(starts)) > (now_s := time.monotonic()):
            if not starts and now_s >= stop_s:
                if self._due_s(starts=True) > now_s:
                    return False
                stop_s = now_s + self._config.fallback_keep_ms / 1000.0
            wake_s = due_s if starts else min(due_s, stop_s)
            await self._wait_for_change(lambda: self._due_s(starts), wake_s - now_s)
        return True

    async def _wait_for_change(self, state: Callable[[], float], most_s: float) -> None:
        before = state()
        with suppress(TimeoutError):
            async with asyncio.timeout(None if most_s == math.inf else most_s):
                await self._uplink.wait_until(lambda: state() != before)

    def _due_s(self, starts: bool) -> float:
        """When there is something to do; infinity if nothing waits. It changes only with a change of the uplink."""
        pending, away_since_s = self._uplink.outbox.untried(), self._uplink.away_since_s
        moments = [pending.ended_s] if pending is not None and pending.ended_s is not None else []
        if away_since_s is not None and (moments or (starts and len(self._uplink.outbox))):
            moments.append(away_since_s)
        return min(moments, default=math.inf) + self._config.fallback_after_ms / 1000.0
