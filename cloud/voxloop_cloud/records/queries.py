"""What the console asks of the utterances: those that pass a filter, the newest first, by page; counts by slice."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Engine, and_, case, exists, func, or_, select, tuple_

from voxloop_cloud.records.redo import REDO_THRESHOLD
from voxloop_cloud.records.utterance import COLUMNS, UtteranceRecord
from voxloop_cloud.store.tables import TAGS, UTTERANCES
from voxloop_cloud.store.unindexed import Unindexed
from voxloop_proto.errors import ConfigError

MOST_ROWS: Final = 500
SLICES: Final = ("bundle", "route", "device_kind", "vad_kind", "app_version", "locale", "outcome", "failure")
"""What utterances are counted by."""

MOST_COUNTED: Final = 20_000
"""What a search is made of is told of its newest ones: a page must not take longer the more is kept."""


class Place(NamedTuple):
    """Where an utterance stands in time; the next page begins after it."""

    arrived_s: float
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceFilter:
    """Which utterances are asked for; all that is said must hold. Times are Unix seconds, until is not included.

    text: is in it, capital letters or not. outcome: what the user did, by feedback; is_redone: by the detector.
    """

    text: str | None = None
    since_s: float | None = None
    until_s: float | None = None
    bundle: str | None = None
    route: str | None = None
    outcome: str | None = None
    failure: str | None = None
    is_null: bool | None = None
    is_redone: bool | None = None
    least_confidence: float | None = None
    most_confidence: float | None = None
    device_id: str | None = None
    device_kind: str | None = None
    vad_kind: str | None = None
    app_version: str | None = None
    locale: str | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class StoredUtterance:
    """A row: its id, which labels and tags refer to, and its record."""

    id: int
    record: UtteranceRecord

    @property
    def place(self) -> Place:
        """Where it stands in time."""
        return Place(self.record.arrived_s, self.id)


@dataclass(frozen=True, slots=True)
class Page:
    """Utterances, the newest first. next: where the next page begins; None if there is none."""

    utterances: tuple[StoredUtterance, ...]
    next: Place | None


@dataclass(frozen=True, slots=True)
class SliceCounts:
    """How many utterances of one value of a slice there are, and what became of them. value: None if it has none.

    nulls: transcripts without a word. redone, typed, clicked, corrected: by feedback; likely_redone: by the detector.
    """

    value: str | None
    utterances: int
    failures: int
    nulls: int
    redone: int
    likely_redone: int
    typed: int
    clicked: int
    corrected: int
    mean_confidence: float | None


@dataclass(frozen=True, slots=True)
class Makeup:
    """What utterances are made of. counted: how many of them were looked at, the newest, at most MOST_COUNTED.

    numbers: by slice, each value that any of these has, and how many have it, the most frequent first.
    """

    counted: int
    numbers: Mapping[str, tuple[tuple[str, int], ...]]


def find(engine: Engine, wanted: UtteranceFilter, after: Place | None = None, limit: int = 50) -> Page:
    """A page of at most limit (up to 500) utterances; after: the `next` of the page before."""
    columns = UTTERANCES.c
    ids = select(columns.id).where(*_conditions(wanted, engine.dialect.name))
    if after is not None:
        ids = ids.where(
            columns.arrived_s <= after.arrived_s,
            tuple_(columns.arrived_s, columns.id) < tuple_(after.arrived_s, after.id),
        )
    limit = min(limit, MOST_ROWS)
    ids = ids.order_by(columns.arrived_s.desc(), columns.id.desc()).limit(limit + 1)
    rows = (
        select(columns.id, *(columns[name] for name in COLUMNS))
        .where(columns.id.in_(ids.subquery().select()))
        .order_by(columns.arrived_s.desc(), columns.id.desc())
    )
    with engine.connect() as connection:
        found = tuple(_stored(row) for row in connection.execute(rows))
    return Page(found[:limit], found[limit - 1].place if len(found) > limit else None)


def find_one(engine: Engine, utterance_id: int) -> StoredUtterance | None:
    """An utterance by its id; None if it is not there (any more)."""
    columns = UTTERANCES.c
    query = select(columns.id, *(columns[name] for name in COLUMNS)).where(columns.id == utterance_id)
    with engine.connect() as connection:
        row = connection.execute(query).first()
    return None if row is None else _stored(row)


def count(engine: Engine, by: str, wanted: UtteranceFilter) -> list[SliceCounts]:
    """Counts for each value of a slice, the most frequent first. by: one of SLICES, else ConfigError."""
    if by not in SLICES:
        raise ConfigError(f"no slice {by!r}; allowed are {', '.join(SLICES)}")
    columns = UTTERANCES.c
    number = func.count().label("utterances")
    value = _searched(columns[by])
    query = select(
        value,
        number,
        func.count(columns.failure),
        _number_of(columns.is_null),
        _number_of(columns.outcome == "redone"),
        _number_of(columns.redo_probability >= REDO_THRESHOLD),
        *(_number_of(columns.outcome == outcome) for outcome in ("typed", "clicked", "corrected")),
        func.avg(columns.confidence),
    ).where(*_conditions(wanted, engine.dialect.name))
    with engine.connect() as connection:
        rows = connection.execute(query.group_by(value).order_by(number.desc(), value))
        return [SliceCounts(*row) for row in rows]


def makeup(engine: Engine, wanted: UtteranceFilter) -> Makeup:
    """What the newest utterances that pass are made of, by all SLICES at once."""
    columns = UTTERANCES.c
    newest = (
        select(*(columns[name] for name in SLICES))
        .where(*_conditions(wanted, engine.dialect.name))
        .order_by(columns.arrived_s.desc())
        .limit(MOST_COUNTED)
        .subquery()
    )
    counters: dict[str, Counter[str]] = {name: Counter() for name in SLICES}
    counted = 0
    with engine.connect() as connection:
        for *values, number in connection.execute(select(*newest.c, func.count()).group_by(*newest.c)):
            counted += number
            for name, value in zip(SLICES, values, strict=True):
                if value:
                    counters[name][value] += number
    return Makeup(counted, {name: tuple(counter.most_common()) for name, counter in counters.items()})


def _searched(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """So that SQLite reads the narrow index in order of time, of which a page or a count is never slow (tables.py)."""
    return Unindexed(column)


def _number_of(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((condition, 1)))


def _conditions(wanted: UtteranceFilter, dialect: str) -> list[ColumnElement[bool]]:
    columns = UTTERANCES.c
    found: list[ColumnElement[bool]] = []
    for name in _EQUAL:
        value = getattr(wanted, name)
        if value is not None:
            found.append(_searched(columns[name]) == value)
    if wanted.text is not None:
        # SQLite's LIKE knows no capitals by itself, and takes half the time without lower()
        contains = columns.text.contains if dialect == "sqlite" else columns.text.icontains
        found.append(contains(wanted.text, autoescape=True))
    if wanted.since_s is not None:
        found.append(columns.arrived_s >= wanted.since_s)
    if wanted.until_s is not None:
        found.append(columns.arrived_s < wanted.until_s)
    if wanted.is_redone is not None:
        likely = columns.redo_probability >= REDO_THRESHOLD
        found.append(likely if wanted.is_redone else or_(columns.redo_probability.is_(None), ~likely))
    if wanted.least_confidence is not None:
        found.append(columns.confidence >= wanted.least_confidence)
    if wanted.most_confidence is not None:
        found.append(columns.confidence <= wanted.most_confidence)
    if wanted.tag is not None:
        found.append(exists().where(and_(TAGS.c.utterance_id == columns.id, TAGS.c.tag == wanted.tag)))
    return found


_EQUAL: Final = (
    *("bundle", "route", "outcome", "failure", "is_null"),
    *("device_id", "device_kind", "vad_kind", "app_version", "locale"),
)


def _stored(row: Sequence[Any]) -> StoredUtterance:
    utterance_id, *values = row
    return StoredUtterance(utterance_id, UtteranceRecord(**dict(zip(COLUMNS, values, strict=True))))
