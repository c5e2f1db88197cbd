"""The table of all metrics in docs/metrics.md, made from the catalogue."""

from collections.abc import Iterable, Iterator

from voxloop_proto.metrics.spec import STAGES, MetricSpec


def reference(specs: Iterable[MetricSpec]) -> str:
    """A table in Markdown, stage after stage."""
    return "\n".join(_lines(tuple(specs))) + "\n"


def _lines(specs: tuple[MetricSpec, ...]) -> Iterator[str]:
    yield "| stage | metric | kind | unit | labels | what it says |"
    yield "|---|---|---|---|---|---|"
    for stage in STAGES:
        for spec in specs:
            if spec.stage == stage:
                labels = ", ".join(spec.labels)
                yield f"| {stage} | `{spec.name}` | {spec.kind.value} | {spec.unit} | {labels} | {spec.help} |"
