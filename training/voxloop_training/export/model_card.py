"""What a bundle is good and bad at, for people: Markdown of its bundle.toml and an evaluation."""

from collections.abc import Iterator
from typing import Final

from voxloop_cloud.bundle_config import BundleConfig
from voxloop_training.evaluation.figures import EvaluationReport, SetFigures, SliceFigures

CARD_FILE: Final = "MODEL_CARD.md"
_SLICES: Final = 4
"""At most so many of the best and of the worst, for each set."""


def model_card(config: BundleConfig, report: EvaluationReport) -> str:
    """The card of a bundle, by an evaluation of it."""
    parts = (_head(config, report), _table(report), _slices(report), _origin(config))
    return "\n\n".join(parts) + "\n"


def _head(config: BundleConfig, report: EvaluationReport) -> str:
    system = report.system
    waits = "the segment's end" if system.look_ahead_ms is None else f"at most {system.look_ahead_ms:.0f} ms"
    return (
        f"# {config.name} {config.version}\n\n"
        f"Recognises {config.language}, {'streaming' if config.chunk else 'whole segments'}; a word waits for {waits} "
        f"of sound. {system.parameters / 1e6:.1f} M parameters, {config.model.quantization}, writing {config.tokens}; "
        f"{system.bundle_bytes / 1e6:.1f} MB in all. Meant for short spoken queries and commands, after the device's "
        f"VAD and levelling.\n\nMeasured on {report.machine} with `voxloop evaluate` {report.voxloop_version}, through "
        "the path that users are heard by. In brackets: 95 % intervals. Test speakers were never trained or tuned on."
    )


def _table(report: EvaluationReport) -> str:
    rows = [
        f"| {name}{_condition(report, figures)} | {figures.clips} | {_percent(figures.wer)} "
        f"{_interval(figures.wer_low, figures.wer_high)} | {_percent(figures.clips_right_ratio)} | "
        f"{_decimal(figures.cpu_s_per_audio_s)} | {_decimal(figures.user_latency_ms.p95, 0)} |"
        for name, figures in report.sets.items()
    ]
    head = "| set | clips | word errors | clips right | server CPU s per audio s | user latency p95, ms |"
    return "\n".join((head, "|---|---|---|---|---|---|", *rows))


def _condition(report: EvaluationReport, figures: SetFigures) -> str:
    conditions = list(report.where) if figures.clips_left_out and report.where else []
    conditions += (
        [f"{'only' if figures.hotwords_only else 'with'} {figures.hotwords} phrases"] if figures.hotwords else []
    )
    return f" ({', '.join(conditions)})" if conditions else ""


def _slices(report: EvaluationReport) -> str:
    lines = ["## Good and bad at", "By slice, where there are enough words."]
    for name, figures in report.sets.items():
        known = sorted(_known(figures), key=lambda found: found[2].wer or 0.0)
        count = min(_SLICES, len(known) // 2)
        if count:
            best, worst = known[:count], known[: -count - 1 : -1]
            lines.append(f"- **{name}**. Best: {_named(best)}. Worst: {_named(worst)}.")
    return "\n".join(lines)


def _known(figures: SetFigures) -> Iterator[tuple[str, str, SliceFigures]]:
    for dimension, values in figures.slices.items():
        for value, found in values.items():
            if found.wer is not None and not found.few_words and dimension != "speaker":
                yield dimension, value, found


def _named(slices: list[tuple[str, str, SliceFigures]]) -> str:
    return "; ".join(
        f"{dimension} {value} {_percent(found.wer)} {_interval(found.wer_low, found.wer_high)}"
        for dimension, value, found in slices
    )


def _origin(config: BundleConfig) -> str:
    origin = config.provenance
    rows = [
        ("hours of audio seen, repeats and augmentation included", f"{origin.hours_seen:.0f}"),
        ("trained on", origin.machine),
        ("training manifests, SHA-256", origin.data_manifest_sha256),
        ("code", origin.code_commit),
        ("seed", str(origin.seed)),
        ("began as", origin.parent or "random weights"),
        ("exported", origin.created),
        *(("data", f"{name}: {credit}") for name, credit in config.credits.items()),
    ]
    return "## Where it comes from\n\n| what | |\n|---|---|\n" + "\n".join(
        f"| {what} | {value} |" for what, value in rows
    )


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{100 * ratio:.1f} %"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{100 * low:.1f}, {100 * high:.1f}]"


def _decimal(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
