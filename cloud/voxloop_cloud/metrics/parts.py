"""What the parts of a server have to tell: some say it when it happens, others are read once a second."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from voxloop_cloud.metrics.figures import Figures
from voxloop_cloud.metrics.pulse import Reader
from voxloop_cloud.records.redo import REDO_THRESHOLD
from voxloop_cloud.routing.shadows import Shadows
from voxloop_cloud.security.gate import Gate

if TYPE_CHECKING:  # at run time only servers with a store load SQLAlchemy
    from voxloop_cloud.records.feedback import Outcome
    from voxloop_cloud.records.records import Records
    from voxloop_cloud.records.redo_watch import Redo


def watch_parts(
    figures: Figures, sessions: Reader, shadows: Shadows, gate: Gate | None, records: "Records | None"
) -> Sequence[Reader]:
    """Listens to the parts that speak; returns what is to be read of those that don't."""
    if gate is not None:
        gate.on_refusal = figures.refused
    readers = [sessions, reader_of_shadows(shadows)]
    if records is not None:
        listen_to_records(figures, records)
        readers.append(reader_of_records(records))
    return readers


def listen_to_records(figures: Figures, records: "Records") -> None:
    """Counts what users did with a text, by the bundle that gave it."""

    def count_outcome(outcome: "Outcome") -> None:
        if outcome.outcome != outcome.before:  # told twice is done once
            figures.outcome(outcome.bundle, outcome.route, outcome.outcome)

    def count_redo(redo: "Redo") -> None:
        if redo.probability >= REDO_THRESHOLD:
            figures.outcome(redo.record.bundle, redo.record.route, "redo_detected")

    records.listeners.on_feedback.append(count_outcome)
    records.listeners.on_redo.append(count_redo)


def reader_of_records(records: "Records") -> Reader:
    """Reads what of the utterances was not written."""

    def read(figures: Figures) -> None:
        counts = records.writer.counts
        figures.total("voxloop_server_dropped_records_total", counts.dropped + counts.lost)

    return read


def reader_of_shadows(shadows: Shadows) -> Reader:
    """Reads what became of the copies for bundles in shadow."""

    def read(figures: Figures) -> None:
        counts = shadows.counts
        for code, by_bundle in (("heard", counts.heard), ("dropped", counts.dropped), ("failed", counts.failed)):
            for bundle, total in by_bundle.items():
                figures.total("voxloop_router_shadows_total", total, bundle, code)

    return read
