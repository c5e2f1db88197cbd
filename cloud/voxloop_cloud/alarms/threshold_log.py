"""Who changed which threshold when, and why; and the change itself."""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Select, insert, select
from sqlalchemy.exc import SQLAlchemyError

from voxloop_cloud.alarms.rule import Rule
from voxloop_cloud.alarms.rule_edit import changed_text
from voxloop_cloud.alarms.rule_file import SHIPPED_RULES, read_text
from voxloop_cloud.security.private_file import locked, replace
from voxloop_cloud.store.database import writing
from voxloop_cloud.store.tables import THRESHOLD_CHANGES
from voxloop_proto.errors import ConfigError

MOST_AUTHOR_CHARACTERS: Final = 64
BY_HAND: Final = "?"
"""The author of a change that somebody made in the file itself."""

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
    rules that ship. Raises ConfigError if the rule, the file, author or reason may not be so, and as SQLAlchemy does.
    """
    reason = reason.replace("\x00", "").strip()
    if not reason:
        raise ConfigError("no reason; say in a sentence why, for those who come after you")
    if not 0 < len(author.strip()) <= MOST_AUTHOR_CHARACTERS:
        raise ConfigError(f"an author of {len(author)} characters; allowed are 1 to {MOST_AUTHOR_CHARACTERS}")
    try:
        with locked(file), _as_it_was(file) as old, writing(store) as connection:
            text, before, after = changed_text(
                read_text(SHIPPED_RULES if old is None else file), file, rule, threshold, resolves_at
            )
            _write(connection, ThresholdChange(rule, at_s, author.strip(), reason, before.threshold, after.threshold))
            _write_file(file, text.encode(), _NEW_FILE_MODE if old is None else stat.S_IMODE(file.stat().st_mode))
    except OSError as error:
        raise ConfigError(f"cannot write the alarm rules {file}: {error.strerror}") from error
    return before, after


@contextmanager
def _as_it_was(file: Path) -> Iterator[bytes | None]:
    """Gives what the file holds, None if it is not there; and puts it back if the store fails in the block."""
    old = file.read_bytes() if file.exists() else None
    try:
        yield old
    except SQLAlchemyError:
        if old is None:
            file.unlink(missing_ok=True)
        elif old != file.read_bytes():
            _write_file(file, old, stat.S_IMODE(file.stat().st_mode))
        raise


def _write_file(file: Path, content: bytes, mode: int) -> None:
    replace(file, content)
    os.chmod(file, mode)


def note_edits(store: Engine, before: Iterable[Rule], after: Iterable[Rule], at_s: float) -> list[ThresholdChange]:
    """Writes down the thresholds that a file which was read again has, and nobody changed by `change_threshold`."""
    known = {rule.name: rule.threshold for rule in before}
    noted: list[ThresholdChange] = []
    with writing(store) as connection:
        for rule in after:
            if known.get(rule.name, rule.threshold) == rule.threshold:
                continue
            newest = _changes().where(THRESHOLD_CHANGES.c.rule == rule.name).limit(1)
            written = connection.execute(newest).first()
            if written is None or written.after != rule.threshold:
                reason = "changed in the file itself; who did it is not known"
                noted.append(ThresholdChange(rule.name, at_s, BY_HAND, reason, known[rule.name], rule.threshold))
                _write(connection, noted[-1])
    return noted


def threshold_changes(store: Engine, rule: str | None = None) -> list[ThresholdChange]:
    """The history of one rule, or of all, the newest first."""
    query = _changes()
    if rule is not None:
        query = query.where(THRESHOLD_CHANGES.c.rule == rule)
    with store.connect() as connection:
        return [ThresholdChange(*row) for row in connection.execute(query)]


_COLUMNS: Final = ("rule", "changed_s", "author", "reason", "before", "after")


def _changes() -> "Select[tuple[Any, ...]]":
    columns = [THRESHOLD_CHANGES.c[name] for name in _COLUMNS]
    return select(*columns).order_by(THRESHOLD_CHANGES.c.changed_s.desc(), THRESHOLD_CHANGES.c.id.desc())


def _write(connection: Connection, change: ThresholdChange) -> None:
    connection.execute(insert(THRESHOLD_CHANGES).values({name: getattr(change, name) for name in _COLUMNS}))
