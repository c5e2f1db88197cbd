"""`voxloop replay`: audio files and test sets through the whole path, measured."""

import asyncio
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from voxloop_edge.commands.connection_flags import (
    Ca,
    Certificate,
    Insecure,
    Key,
    Server,
    SettingsFile,
    TokenFile,
    connection_settings,
)
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.display import ReplayProgress, print_report
from voxloop_edge.hotword_file import read_hotword_file
from voxloop_edge.manifest import read_clips
from voxloop_edge.replay import ReplayPlan, run_replay
from voxloop_edge.report import ReplayReport
from voxloop_edge.report_file import check_report_file, check_writable
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError, DataError


def replay(
    sources: Annotated[
        list[Path], typer.Argument(help="audio files, folders of them, or JSONL manifests", metavar="SOURCE...")
    ],
    server: Server = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    certificate: Certificate = None,
    key: Key = None,
    insecure: Insecure = None,
    local: Annotated[bool, typer.Option("--local", help="start a server for this replay and stop it after")] = False,
    bundle: Annotated[str | None, typer.Option(help="bundle for --local: a folder or a name")] = None,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="as fast as a microphone, not as fast as can be")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=1000, help="clips at the same time")] = 2,
    limit: Annotated[int | None, typer.Option(min=1, help="only the first so many clips")] = None,
    report: Annotated[Path | None, typer.Option(help="write all that was measured to this JSON file")] = None,
    plots: Annotated[
        Path | None, typer.Option(help="draw latency, stages, slices and segments into this folder")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="a line per utterance")] = False,
    hotwords: Annotated[
        Path | None, typer.Option(help="file of likely words or phrases, one a line", metavar="FILE")
    ] = None,
    only_hotwords: Annotated[
        bool, typer.Option("--only-hotwords", help="nothing but the hotwords is said: commands, digits, a menu")
    ] = False,
    config: SettingsFile = None,
) -> None:
    """Send audio through the whole path (edge stages, gRPC, server) and measure it.

    A manifest's lines are JSON objects with "audio" (relative to the manifest's folder, or to the one above it) and,
    if known, "id", "text", "speaker" and any tags. Word errors are counted where there is a text, and by every tag.

    Latencies at full speed include the backlog of sound sent faster than it is spoken: add --realtime to measure
    what a user would feel. Exit code 6 if a clip could not be replayed to its end. After Ctrl-C the report holds what
    was done until then.
    """
    _check(server, local, bundle, report, plots)
    flags = {
        **connection_settings(server, ca, token_file, certificate, key, insecure),
        "hotwords": read_hotword_file(hotwords) if hotwords else None,
        "hotwords_only": only_hotwords or None,
    }
    settings = read_settings(DeviceConfig, config, os.environ, flags)
    clips = read_clips(sources)[:limit]
    plan = ReplayPlan(settings, clips, local, bundle, realtime, min(concurrency, len(clips)))
    with ReplayProgress(len(clips), verbose) as progress:
        outcome = asyncio.run(run_replay(plan, progress.show))
    if report is not None:
        outcome.report.write(report)
    if plots is not None:
        from voxloop_edge.plots import draw_plots  # noqa: PLC0415 (matplotlib only when asked for)

        draw_plots(outcome.report, plots)
    print_report(outcome.report)
    if outcome.error is not None:
        raise outcome.error
    _raise_for_failed_clips(outcome.report)


def _check(server: str | None, local: bool, bundle: str | None, report: Path | None, plots: Path | None) -> None:
    if local and server is not None:
        raise ConfigError("--local starts a server of its own and --server names another; give one of them")
    if bundle is not None and not local:
        raise ConfigError("--bundle chooses what --local serves; a running server has its own: add --local")
    if report is not None:
        check_report_file(report, "--report")
    if plots is not None:
        _check_plots(plots.absolute())


def _check_plots(plots: Path) -> None:
    if find_spec("matplotlib") is None:
        raise ConfigError("--plots needs matplotlib; install it with: pip install 'voxloop[plots]'")
    try:
        plots.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder --plots {plots}: {error.strerror}; name another") from error
    check_writable(plots, "--plots")


def _raise_for_failed_clips(report: ReplayReport) -> None:
    failed = [utterance for utterance in report.utterances if utterance.error is not None]
    if failed:
        lines = "".join(f"\n  {utterance.id}: {utterance.error}" for utterance in failed[:10])
        more = f"\n  and {len(failed) - 10} more (see --report)" if len(failed) > 10 else ""
        raise DataError(f"{len(failed)} of {len(report.utterances)} clips could not be replayed whole:{lines}{more}")
