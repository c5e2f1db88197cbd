"""`voxloop evaluate`: what a bundle can and cannot do, through the path that users are heard by."""

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from voxloop_cloud.bundle import find_bundle
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.report_file import check_report_file, write_report_file
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError, DataError
from voxloop_training.evaluation.bootstrap import Bootstrap
from voxloop_training.evaluation.clip_set import ClipSet, read_clip_sets
from voxloop_training.evaluation.condition import parse_condition
from voxloop_training.evaluation.evaluation_run import EvaluationPlan, EvaluationRun
from voxloop_training.evaluation.figures import EvaluationReport, Mode
from voxloop_training.evaluation.system import open_systems
from voxloop_training.evaluation.table import print_report, rows_of
from voxloop_training.evaluation.word_list import read_word_lists

_MODES: Final[dict[str, tuple[Mode, ...]]] = {
    "streaming": ("streaming",),
    "offline": ("offline",),
    "both": ("streaming", "offline"),
}
_MOST_NAMED: Final = 10


def evaluate(
    bundle: Annotated[str, typer.Argument(help="folder or name of a bundle, or a training run's checkpoint (.pt)")],
    sets: Annotated[list[Path], typer.Argument(help="manifests of labelled clips", metavar="SET.jsonl...")],
    json_file: Annotated[Path | None, typer.Option("--json", help="write all figures to this file")] = None,
    html: Annotated[
        Path | None, typer.Option(help="write a report with plots and the worst clips to this file")
    ] = None,
    mode: Annotated[
        Literal["streaming", "offline", "both"],
        typer.Option(help="offline: the recogniser alone on whole clips, without VAD, levelling and network"),
    ] = "streaming",
    compare: Annotated[
        list[str] | None, typer.Option(help="another bundle for the same clips; may be repeated", metavar="BUNDLE")
    ] = None,
    clips: Annotated[int | None, typer.Option(min=1, help="only so many clips of each set, drawn at random")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="only clips of which the manifest says FIELD>=VALUE (or <= > < = !=); may be repeated",
            metavar="CONDITION",
        ),
    ] = None,
    hotwords: Annotated[
        list[str] | None,
        typer.Option(help="likely words or phrases, one a line: FILE, or SET=FILE for one set", metavar="FILE"),
    ] = None,
    only_hotwords: Annotated[
        bool, typer.Option("--only-hotwords", help="nothing but the hotwords is said in the sets that have some")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=1000, help="clips at the same time")] = 2,
    latency_clips: Annotated[
        int, typer.Option(min=0, help="clips of each set to play once more in real time, to measure latency")
    ] = 16,
    seed: Annotated[int, typer.Option(min=0, help="of the clips drawn and of the bootstrap")] = 0,
    config: Annotated[
        Path | None, typer.Option(help="the device's settings (TOML); VOXLOOP_* variables win over it")
    ] = None,
) -> None:
    """Measure a bundle on labelled clips: word errors with intervals, by slice, with costs, latency and confusions.

    Each set is played through the device's stages, gRPC and a server process of its own. WER has a 95 % interval
    (bootstrap over speakers, or over clips where speakers are few); so has each slice. A set without transcripts has
    no word errors; its other figures stand.

    \b
      voxloop evaluate default data/librispeech/test.jsonl --html report.html
      voxloop evaluate default digits/test.jsonl --hotwords digits.txt --only-hotwords
      voxloop evaluate new speechocean762/test.jsonl --where "accuracy_score>=8" --compare default
      voxloop evaluate ahead-320 dev.jsonl --compare ahead-160 --compare ahead-640    # WER over look-ahead

    Exit code 6 if a clip could not be heard to its end. After Ctrl-C the files hold the sets that were done.
    """
    _check_files(json_file, html)
    settings = read_settings(DeviceConfig, config, os.environ)
    clip_sets = _with_hotwords(
        read_clip_sets(sets, [parse_condition(text) for text in where or []], clips, seed), hotwords or [], settings
    )
    only = only_hotwords or settings.hotwords_only
    if only and not any(clip_set.hotwords for clip_set in clip_sets):
        raise ConfigError("--only-hotwords needs hotwords; give them with --hotwords FILE")
    with ExitStack() as stack:
        folders = [_folder_of(name, stack) for name in (bundle, *(compare or []))]
        plan = EvaluationPlan(
            systems=tuple(open_systems(folders, _MODES[mode])),
            sets=tuple(clip_sets),
            settings=settings,
            bootstrap=Bootstrap(seed=seed),
            concurrency=concurrency,
            latency_clips=latency_clips,
            hotwords_only=only,
            where=tuple(where or ()),
            clips_per_set=clips,
        )
        _run(plan, json_file, html)


def _run(plan: EvaluationPlan, json_file: Path | None, html: Path | None) -> None:
    run = EvaluationRun(plan)
    try:
        run.run()
    finally:
        report = run.report()
        if report is not None:
            _write(report, plan.sets, json_file, html)
            print_report(report)
    if report is not None:
        _raise_for_failed_clips(report)


def _write(report: EvaluationReport, sets: Sequence[ClipSet], json_file: Path | None, html: Path | None) -> None:
    if json_file is not None:
        write_report_file(json_file, report.model_dump_json(indent=1) + "\n")
    if html is not None:
        from voxloop_training.evaluation.page import render_page  # noqa: PLC0415 (matplotlib only when asked for)

        write_report_file(html, render_page(report, sets))


def _folder_of(name: str, stack: ExitStack) -> Path:
    """A bundle's folder; of a checkpoint a temporary one, in float32 and without a graph."""
    checkpoint = Path(name)
    if checkpoint.suffix != ".pt":
        return find_bundle(name)
    if not checkpoint.is_file():
        raise ConfigError(f"no checkpoint {checkpoint}; a training run keeps them in its folder checkpoints")
    from voxloop_training.export.checkpoint_bundle import write_checkpoint_bundle  # noqa: PLC0415 (needs torch)

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    write_checkpoint_bundle(checkpoint, folder)
    return folder


def _with_hotwords(sets: list[ClipSet], arguments: Sequence[str], settings: DeviceConfig) -> list[ClipSet]:
    lists = read_word_lists(arguments, [each.name for each in sets])
    return [replace(each, hotwords=lists.get(each.name, settings.hotwords)) for each in sets]


def _check_files(json_file: Path | None, html: Path | None) -> None:
    if json_file is not None:
        check_report_file(json_file, "--json")
    if html is not None:
        check_report_file(html, "--html")
        for library in ("jinja2", "matplotlib"):
            if find_spec(library) is None:
                raise ConfigError(f"--html needs {library}; install it with: pip install 'voxloop[evaluate]'")


def _raise_for_failed_clips(report: EvaluationReport) -> None:
    failed = [
        f"{name}, {clip.id}: {clip.error}"
        for _, name, figures in rows_of(report)
        for clip in figures.utterances
        if clip.error is not None
    ]
    if failed:
        lines = "".join(f"\n  {each}" for each in failed[:_MOST_NAMED])
        more = f"\n  and {len(failed) - _MOST_NAMED} more" if len(failed) > _MOST_NAMED else ""
        raise DataError(f"{len(failed)} clips could not be heard to their end:{lines}{more}")
