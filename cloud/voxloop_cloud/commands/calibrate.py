"""`voxloop calibrate`: how many devices may speak at once on this machine."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import tomli_w
import typer

from voxloop_cloud.bundle import find_bundle, load_bundle
from voxloop_cloud.capacity_file import (
    MeasuredCapacity,
    bundle_digest,
    capacity_path,
    keep_capacity,
    machine_name,
    usable_cores,
)
from voxloop_cloud.load.crowd import Crowd, Plan
from voxloop_cloud.load.search import Target, Tried, judge, most_streams, next_streams
from voxloop_cloud.load.spoken_clip import SpokenClip, cut_clip, own_speech
from voxloop_cloud.server import ServerConfig
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError, UnavailableError

_NO_LIMIT = 1_000_000
_SAFE_SHARE = 0.85
"""Of the most that was in time: just above that number latency grows by the second (docs/performance.md)."""

_LONGER = 2.0
"""The last word has a run of twice the time."""


def calibrate(
    bundle: Annotated[str | None, typer.Option(help="bundle to serve, as of 'voxloop serve'", metavar="DIR")] = None,
    workers: Annotated[int | None, typer.Option(help="processes that share the port (default 1)")] = None,
    config: Annotated[Path | None, typer.Option(help="the server's settings file (TOML)")] = None,
    p95_ms: Annotated[float, typer.Option(min=1, help="latency that 95 of 100 segments keep")] = 200.0,
    p99_ms: Annotated[float, typer.Option(min=1, help="latency that 99 of 100 segments keep")] = 400.0,
    seconds: Annotated[float, typer.Option(min=2, help="measured for each number of devices")] = 12.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="measure, and write nothing down")] = False,
) -> None:
    """Measure how many devices may speak at once, and write it where `voxloop serve` finds it.

    Starts a server of its own on a free port of this machine and lets more and more devices speak to it without a
    pause, until their texts come too late: some minutes. Do nothing else on the machine meanwhile. The devices
    run here, too, and take some of it, so the server alone bears a little more.

    `voxloop serve` with the same bundle and number of workers then refuses whom it could not serve in time. To see
    what was measured: the file that is named at the end. To do without: remove it, or set max_streams.
    """
    flags = {"engine.bundle": bundle, "workers": workers}
    settings = read_settings(ServerConfig, config, os.environ, flags)
    target = Target(p95_ms, p99_ms)
    best = asyncio.run(_measure(settings, target, seconds))
    found = load_bundle(find_bundle(settings.engine.bundle))
    safe = max(1, int(best.streams * _SAFE_SHARE))
    typer.echo(f"{best.streams} devices were served in time: p95 {best.p95_ms:.0f} ms, p99 {best.p99_ms:.0f} ms")
    typer.echo(f"{safe} may speak at once: the rest is kept for what else the machine does")
    if dry_run:
        return
    keep_capacity(
        MeasuredCapacity(
            machine=machine_name(),
            bundle=found.label,
            bundle_sha256=bundle_digest(found),
            workers=settings.workers,
            cores=usable_cores(),
            streams=safe,
            p95_ms=round(best.p95_ms, 1),
            p99_ms=round(best.p99_ms, 1),
            measured=datetime.now(UTC).isoformat(timespec="seconds"),
        )
    )
    typer.echo(f"written to {capacity_path()}; 'voxloop serve' obeys it from its next start")


async def _measure(settings: ServerConfig, target: Target, seconds: float) -> Tried:
    clips = [cut_clip(pcm) for pcm in own_speech()]
    tried: list[Tried] = []
    async with _own_server(settings) as address:
        while (streams := next_streams(tried)) is not None:
            tried.append(await _try(address, clips, streams, seconds, target))
        while (streams := most_streams(tried)) > 0:
            last = await _try(address, clips, streams, _LONGER * seconds, target)
            if last.passed:
                return last
            tried.append(last)
            tried.append(await _try(address, clips, max(1, int(streams * 0.95)), seconds, target))
    raise ConfigError(
        f"not even one device has its text within {target.p95_ms:.0f} ms on this machine: p95 was "
        f"{tried[-1].p95_ms:.0f} ms; serve a smaller bundle, or ask for less with --p95-ms"
    )


async def _try(address: str, clips: list[SpokenClip], streams: int, seconds: float, target: Target) -> Tried:
    plan = Plan(streams, warm_up_s=min(8.0, seconds), measured_s=seconds)
    tried = judge(streams, await Crowd(address, clips, plan).speak(), target)
    verdict = "in time" if tried.passed else "too late"
    slow = "; the devices themselves were slow" if tried.crowd_was_slow else ""
    typer.echo(
        f"{streams:5d} devices: p50 {tried.p50_ms:.0f}, p95 {tried.p95_ms:.0f}, p99 {tried.p99_ms:.0f} ms, "
        f"{verdict}{slow}",
        err=True,
    )
    return tried


@asynccontextmanager
async def _own_server(settings: ServerConfig) -> AsyncIterator[str]:
    """A server with these settings, but in plaintext, for this machine alone, and without limits to the crowd."""
    engine = settings.engine.model_dump(exclude_none=True)
    limits = {"max_sessions_per_device": 1_000}
    own = {
        "listen": "127.0.0.1:0",
        "insecure": True,
        "workers": settings.workers,
        "max_sessions": _NO_LIMIT,
        "max_streams": _NO_LIMIT,
        "engine": engine,
        "limits": limits,
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "calibrate.toml"
        file.write_text(tomli_w.dumps(own), encoding="utf-8")
        command = [sys.executable, "-m", "voxloop_proto.cli", "serve", "--config", str(file)]
        command += ["--log-level", "error", "--until-stdin-closes"]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, start_new_session=True)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = (await process.stdout.readline()).decode()
            _, _, where = line.partition("listening on ")
            if not where:
                raise UnavailableError("the server to be measured did not start; it said why above")
            yield where.split(",")[0].strip()
        finally:
            process.stdin.close()
            await process.wait()
