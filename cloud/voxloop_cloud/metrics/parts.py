"""What the parts of a server have to tell: some say it when it happens, others are read once a second."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from voxloop_cloud.metrics.figures import Figures
from voxloop_cloud.metrics.pulse import Reader
from voxloop_cloud.records.redo import REDO_THRESHOLD
from voxloop_cloud.security.gate import Gate

if TYPE_CHECKING:  # at run time only servers with a store load SQLAlchemy
    from voxloop_cloud.records.feedback import Outcome
    from voxloop_cloud.records.records import Records
    from voxloop_cloud.records.redo_watch import Redo


def watch_parts(figures: Figures, sessions: Reader, gate: Gate | None, records: "Records | None") -> Sequence[Reader]:
    """Listens to the parts that speak; returns what is to be read of those that don't."""
    if gate is not None:
        gate.on_refusal = figures.refused
    if records is None:
        return (sessions,)
    writer = records.writer

    def count_outcome(outcome: "Outcome") -> None:
        if outcome.outcome != outcome.before:
            figures.outcome(outcome.bundle, outcome.route, outcome.outcome)

    def count_redo(redo: "Redo") -> None:
        if redo.probability >= REDO_THRESHOLD:
            figures.outcome(redo.record.bundle, redo.record.route, "redo_detected")

    def read_writer(figures: Figures) -> None:
        counts = writer.counts
        figures.total("voxloop_server_dropped_records_total", counts.dropped + counts.lost)

    records.listeners.on_feedback.append(count_outcome)
    records.listeners.on_redo.append(count_redo)
    return (sessions, read_writer)
