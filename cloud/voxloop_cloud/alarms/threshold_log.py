"""Who changed which threshold when, and why; and the change itself."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, insert, select

from voxloop_cloud.alarms.rule import Rule
from voxloop_cloud.alarms.rule_edit import changed_text
from voxloop_cloud.alarms.rule_file import SHIPPED_RULES, read_text
from voxloop_cloud.security.private_file import locked, replace
from voxloop_cloud.store.database import writing
from voxloop_cloud.store.tables import THRESHOLD_CHANGES
from voxloop_proto.errors import ConfigError

_NEW_FILE_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class ThresholdChange:
    """One line of the history."""

    rule: str
    changed_s: float
    author: str
    reason: str
    before: float | None
    after: float


def change_threshold(
    store: Engine,
    file: Path,
    rule: str,
    threshold: float,
    resolves_at: float | None,
    author: str,
    reason: str,
    at_s: float,
) -> tuple[Rule, Rule]:
    """Writes the file with another threshold, and who did it into the store. Gives the rule before and after.

    Neither is done if the other fails, but for a power cut between the two. A file that is not there is made from the
    rules that ship. Raises ConfigError if the rule or the file may not be so.
    """
    try:
        with locked(file), writing(store) as connection:
            is_new = not file.exists()
            text, before, after = changed_text(
                read_text(SHIPPED_RULES if is_new else file), file, rule, threshold, resolves_at
            )
            change = ThresholdChange(rule, at_s, author, reason, before.threshold, after.threshold)
            connection.execute(insert(THRESHOLD_CHANGES).values(_row(change)))
            mode = _NEW_FILE_MODE if is_new else stat.S_IMODE(file.stat().st_mode)
            replace(file, text.encode())
            os.chmod(file, mode)
    except OSError as error:
        raise ConfigError(f"cannot write the alarm rules {file}: {error.strerror}") from error
    return before, after


def threshold_changes(store: Engine, rule: str | None = None) -> list[ThresholdChange]:
    """The history of one rule, or of all, the newest first."""
    columns = [THRESHOLD_CHANGES.c[name] for name in _COLUMNS]
    query = select(*columns).order_by(THRESHOLD_CHANGES.c.changed_s.desc(), THRESHOLD_CHANGES.c.id.desc())
    if rule is not None:
        query = query.where(THRESHOLD_CHANGES.c.rule == rule)
    with store.connect() as connection:
        return [ThresholdChange(*row) for row in connection.execute(query)]


_COLUMNS: Final = ("rule", "changed_s", "author", "reason", "before", "after")


def _row(change: ThresholdChange) -> dict[str, object]:
    return {name: getattr(change, name) for name in _COLUMNS}
