"""One replay: clips, a server, and the report of what was measured."""

import asyncio
import os
import platform
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc
import grpc.aio

from voxloop_edge.call_error import to_error
from voxloop_edge.channel import open_channel, open_stub
from voxloop_edge.client_config import ClientConfig
from voxloop_edge.clip_player import play_clips
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.local_server import open_local_server
from voxloop_edge.manifest import Clip
from voxloop_edge.report import ReplayReport, UtteranceReport, slice_by_tags, summarize
from voxloop_proto import __version__
from voxloop_proto.errors import ConfigError, OverloadError, UnavailableError, VoxloopError
from voxloop_proto.v1 import voxloop_pb2 as pb


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What to replay, and how. local: start a server of one's own, with `bundle` if given."""

    settings: DeviceConfig
    clips: list[Clip]
    local: bool = False
    bundle: str | None = None
    realtime: bool = False
    concurrency: int = 1


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """The report, and why it is not complete (None: it is)."""

    report: ReplayReport
    error: OverloadError | UnavailableError | KeyboardInterrupt | None


async def run_replay(plan: ReplayPlan, on_done: Callable[[UtteranceReport], None]) -> ReplayOutcome:
    """Replays all clips; on_done gets each utterance as it is ready.

    If the server goes away for good, or the run is cancelled (Ctrl-C), the outcome holds what was done until then and
    why no more. Raises UnavailableError if there is no server to begin with, and what open_local_server raises.
    """
    done: dict[str, UtteranceReport] = {}

    def keep(utterance: UtteranceReport) -> None:
        done[utterance.id] = utterance
        on_done(utterance)

    started, client = datetime.now(UTC).isoformat(timespec="seconds"), plan.settings.client
    before: pb.GetServerInfoResponse | None = None
    error: OverloadError | UnavailableError | KeyboardInterrupt | None = None
    start_s, wall_s, server_cpu_s = time.monotonic(), None, None
    try:
        async with AsyncExitStack() as stack:
            if plan.local:
                address = await stack.enter_async_context(open_local_server(plan.bundle))
                client = client.to_local(address)
            channel = await stack.enter_async_context(open_channel(client))
            before = await _server_info(channel, client)
            _check_hotwords(plan.settings, before)
            start_s = time.monotonic()
            await play_clips(
                plan.clips,
                channel,
                plan.settings,
                client,
                realtime=plan.realtime,
                concurrency=plan.concurrency,
                on_done=keep,
            )
            wall_s = time.monotonic() - start_s
            server_cpu_s = await _cpu_since(before, channel, client)
    except (OverloadError, UnavailableError) as found:
        error = found
        if before is None:
            raise
    except asyncio.CancelledError:
        error = KeyboardInterrupt()
        if before is None:
            raise
    wall_s = time.monotonic() - start_s if wall_s is None else wall_s
    utterances = [done[clip.id] for clip in plan.clips if clip.id in done]
    report = ReplayReport(
        voxloop_version=__version__,
        started=started,
        machine=f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        server=f"{client.server}, voxloop {before.server_version}",
        bundle=", ".join(f"{bundle.name} {bundle.version}" for bundle in before.bundles),
        realtime=plan.realtime,
        concurrency=plan.concurrency,
        complete=error is None,
        totals=summarize(utterances, wall_s, server_cpu_s, plan.realtime),
        slices=slice_by_tags(utterances),
        utterances=utterances,
    )
    return ReplayOutcome(report, error)


def _check_hotwords(settings: DeviceConfig, info: pb.GetServerInfoResponse) -> None:
    """Raises ConfigError if hotwords would have no effect: figures measured so would say nothing of them."""
    if settings.hotwords and not any(bundle.takes_hotwords for bundle in info.bundles):
        names = ", ".join(f"{bundle.name} {bundle.version}" for bundle in info.bundles)
        raise ConfigError(f"hotwords have no effect on {names}: serve a bundle of phones, or leave the hotwords out")


async def _cpu_since(before: pb.GetServerInfoResponse, channel: grpc.aio.Channel, client: ClientConfig) -> float | None:
    """CPU time that the server took since; None if it does not say, or is another process by now."""
    try:
        spent_s = (await _server_info(channel, client)).cpu_s - before.cpu_s
    except VoxloopError:
        return None
    return spent_s if spent_s >= 0.0 else None


async def _server_info(channel: grpc.aio.Channel, client: ClientConfig) -> pb.GetServerInfoResponse:
    """What serves; waits for the server to be there, up to the client's connect timeout.

    Raises ConfigError at once if it cannot be trusted, and what it refuses with.
    """
    give_up_s = time.monotonic() + client.connect_timeout_ms / 1000.0
    why = ""
    while True:
        left_s = max(0.0, give_up_s - time.monotonic())
        try:
            return await open_stub(channel).GetServerInfo(pb.GetServerInfoRequest(), timeout=left_s)
        except grpc.aio.AioRpcError as error:
            meant = to_error(error, client)
            if not isinstance(meant, UnavailableError):
                raise meant from error
            if not why or error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:  # which says only that time is over
                why = meant.message
            if time.monotonic() >= give_up_s:
                raise UnavailableError(
                    f"no voxloop server answers at {client.server} ({why}); start one with 'voxloop serve', "
                    "name a running one with --server HOST:PORT, or add --local"
                ) from error
        await asyncio.sleep(min(left_s, client.first_backoff_ms / 1000.0))
