"""What `voxloop replay` shows in the terminal."""

from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from voxloop_edge.report import ReplayReport, Totals, UtteranceReport

MOST_SLICE_ROWS = 30
_PLAIN_BITS_PER_S = 256_000


class ReplayProgress:
    """Progress on standard error, and with `verbose` a line per utterance on standard output."""

    def __init__(self, clips: int, verbose: bool = False, doing: str = "replaying") -> None:
        """doing: what it says of itself."""
        self._out = Console(highlight=False, soft_wrap=True)
        self._verbose = verbose
        self._clips = clips
        self._doing = doing
        self._done = 0
        self._error = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._error,
            transient=True,
            disable=not self._error.is_terminal,
        )
        self._task = self._bar.add_task(doing, total=clips)

    def __enter__(self) -> "ReplayProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, utterance: UtteranceReport) -> None:
        """One more utterance is done."""
        self.advance()
        if self._verbose:
            self._verbose = _print(self._out, _utterance_lines(utterance))

    def advance(self) -> None:
        """One more clip is done."""
        self._done += 1
        self._bar.advance(self._task)
        tenth = max(1, self._clips // 10)
        if not self._error.is_terminal and self._done % tenth == 0:
            self._error.print(f"{self._doing}: {self._done} of {self._clips} clips", markup=False)


def _utterance_lines(utterance: UtteranceReport) -> str:
    wer = "" if utterance.wer is None else f"  WER {utterance.wer:.0%}"
    lines = [f"[bold]{escape(utterance.id)}[/bold]  {utterance.audio_s:.1f} s{wer}"]
    if utterance.reference is not None:
        lines.append(f"  said      {escape(utterance.reference)}")
    lines += [
        f"  {segment.start_s:6.2f} to {segment.end_s:6.2f} s  {escape(segment.text) or '[dim](no words)[/dim]'}"
        f"  [dim]{segment.latency_ms:.0f} ms, confidence {segment.confidence:.2f}[/dim]"
        for segment in utterance.segments
    ]
    if not utterance.segments:
        lines.append("  [dim]no speech found, nothing sent[/dim]")
    if utterance.error is not None:
        lines.append(f"  [red]{escape(utterance.error)}[/red]")
    return "\n".join(lines)


def print_report(report: ReplayReport) -> None:
    """The tables at the end of a replay."""
    console = Console(highlight=False)
    tables = [_totals_table(report)]
    if report.totals.stages:
        tables.append(_stage_table(report.totals))
    rows = [found for found in report.slices if found.wer is not None]
    if len({(found.tag, found.value) for found in rows}) > 1:
        tables.append(_slice_table(report))
    for table in tables:
        if not _print(console, table):
            return


def _print(console: Console, what: str | Table) -> bool:
    """False once nobody reads any more: `| head` must not end a replay before its report."""
    try:
        console.print(what)
    except SystemExit:  # how rich tells of a broken pipe; standard output leads nowhere from then on
        return False
    return True


def _totals_table(report: ReplayReport) -> Table:
    totals = report.totals
    table = Table(title=escape(f"{report.bundle} at {report.server}"), show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    failed = f", {totals.failed} failed" if totals.failed else ""
    table.add_row("utterances", f"{totals.utterances}{failed}; {totals.segments} segments")
    table.add_row("word errors", _ratio(totals.wer, f" of {totals.words} words"))
    table.add_row("character errors", _ratio(totals.cer))
    table.add_row("clips all right", _ratio(totals.clips_right_ratio))
    table.add_row("null transcripts", f"{totals.null_transcripts} of {totals.segments} segments")
    table.add_row("audio", f"{_duration(totals.audio_s)}, of which sent {_duration(totals.speech_s)}")
    table.add_row("uplink", _uplink(totals))
    table.add_row("latency", _latency(totals.latency_ms.p50, totals.latency_ms.p95, totals.latency_ms.p99))
    user = totals.user_latency_ms
    table.add_row("  to the user", _latency(user.p50, user.p95, user.p99) + ", from the last voiced sample")
    if totals.real_time_factor is not None:
        table.add_row("real-time factor", f"{totals.real_time_factor:.4f} (wall time by audio time)")
    table.add_row("CPU by audio time", _cpu(totals))
    return table


def _uplink(totals: Totals) -> str:
    if totals.uplink_bits_per_s is None:
        return "nothing sent"
    share = totals.sent_bytes / totals.plain_pcm16_bytes if totals.plain_pcm16_bytes else 0.0
    return (
        f"{totals.sent_bytes:,} bytes, {totals.uplink_bits_per_s / 1000:.0f} kbit/s: "
        f"{share:.0%} of plain PCM16 streaming ({_PLAIN_BITS_PER_S / 1000:.0f} kbit/s)"
    )


def _cpu(totals: Totals) -> str:
    parts = [
        ("edge stages (without the gRPC client)", totals.edge_cpu_s_per_audio_s),
        ("server", totals.server_cpu_s_per_audio_s),
    ]
    return ", ".join(f"{name} {value:.4f}" for name, value in parts if value is not None)


def _stage_table(totals: Totals) -> Table:
    table = Table(title="time per segment", title_justify="left")
    table.add_column("stage")
    for heading in ("median ms", "p95 ms", "waiting, median ms"):
        table.add_column(heading, justify="right")
    for name, stage in totals.stages.items():
        table.add_row(escape(name), f"{stage.median_ms:.2f}", f"{stage.p95_ms:.2f}", f"{stage.median_wait_ms:.2f}")
    return table


def _slice_table(report: ReplayReport) -> Table:
    table = Table(title="word errors by slice", title_justify="left")
    table.add_column("tag")
    table.add_column("value")
    for heading in ("utterances", "words", "WER"):
        table.add_column(heading, justify="right")
    scored = [found for found in report.slices if found.wer is not None]
    for found in scored[:MOST_SLICE_ROWS]:
        tag, value = escape(found.tag), escape(found.value)
        table.add_row(tag, value, str(found.utterances), str(found.words), _ratio(found.wer))
    if len(scored) > MOST_SLICE_ROWS:
        table.add_row("...", f"{len(scored) - MOST_SLICE_ROWS} more, see --report", "", "", "")
    return table


def _ratio(value: float | None, of: str = "") -> str:
    return "not known (no reference text)" if value is None else f"{value:.1%}{of}"


def _latency(p50: float | None, p95: float | None, p99: float | None) -> str:
    if p50 is None or p95 is None or p99 is None:
        return "no segments"
    return f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
