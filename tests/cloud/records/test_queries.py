"""Queries: the right utterances, each once, however they are paged; a reference that reads all of them says which."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, insert

from voxloop_cloud.console.device_list import list_devices
from voxloop_cloud.records import queries
from voxloop_cloud.records.queries import SLICES, Page, Place, UtteranceFilter, count, find, find_one, makeup
from voxloop_cloud.records.redo import REDO_THRESHOLD
from voxloop_cloud.records.testing import BUNDLES, NOON_S, fill, many_records
from voxloop_cloud.records.utterance import UtteranceRecord
from voxloop_cloud.store.database import open_database, sqlite_url
from voxloop_cloud.store.tables import TAGS
from voxloop_proto.errors import ConfigError

if TYPE_CHECKING:
    from tests.cloud.store.postgresql import PostgreSql

RECORDS = list(many_records(1_500))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    opened = open_database(sqlite_url(Path(tmp_path_factory.mktemp("queries")) / "voxloop.db"))
    fill(opened, iter(RECORDS))
    yield opened
    opened.dispose()


def passes(record: UtteranceRecord, wanted: dict[str, Any]) -> bool:
    """What a filter says, in plain words."""
    tests: dict[str, Callable[[Any], bool]] = {
        "text": lambda value: value.lower() in (record.text or "").lower(),
        "since_s": lambda value: record.arrived_s >= value,
        "until_s": lambda value: record.arrived_s < value,
        "is_redone": lambda value: ((record.redo_probability or 0.0) >= REDO_THRESHOLD) == value,
        "least_confidence": lambda value: record.confidence is not None and record.confidence >= value,
        "most_confidence": lambda value: record.confidence is not None and record.confidence <= value,
    }
    return all(
        tests[name](value) if name in tests else getattr(record, name) == value for name, value in wanted.items()
    )


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "text": st.sampled_from(["light", "LIGHTS on", "t", "%", "_", "nothing of the kind"]),
        "since_s": st.floats(NOON_S - 35 * 86_400, NOON_S),
        "until_s": st.floats(NOON_S - 35 * 86_400, NOON_S + 1),
        "bundle": st.sampled_from(BUNDLES),
        "outcome": st.sampled_from(["clicked", "redone"]),
        "is_null": st.booleans(),
        "is_redone": st.booleans(),
        "least_confidence": st.floats(0, 1),
        "device_kind": st.sampled_from(["phone", "none such"]),
        "device_id": st.just("device-7"),
        "failure": st.just("model"),
    },
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILTERS, st.integers(1, 700))
def test_pages_hold_each_utterance_that_passes_once_and_the_newest_first(
    engine: Engine, wanted: dict[str, Any], limit: int
) -> None:
    found: list[UtteranceRecord] = []
    place: Place | None = None
    while True:
        page: Page = find(engine, UtteranceFilter(**wanted), place, limit)
        found += [stored.record for stored in page.utterances]
        place = page.next
        if place is None:
            break
        assert len(page.utterances) == min(limit, 500)
    expected = [record for record in reversed(RECORDS) if passes(record, wanted)]
    assert [record.key for record in found] == [record.key for record in expected]


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILTERS, st.sampled_from(SLICES))
def test_counts_add_up(engine: Engine, wanted: dict[str, Any], by: str) -> None:
    expected = [record for record in RECORDS if passes(record, wanted)]
    counts = count(engine, by, UtteranceFilter(**wanted))
    assert sum(each.utterances for each in counts) == len(expected)
    for each in counts:
        of_value = [record for record in expected if getattr(record, by) == each.value]
        assert each.utterances == len(of_value) > 0
        assert each.nulls == sum(record.is_null for record in of_value)
        assert each.failures == sum(record.failure is not None for record in of_value)
        assert each.likely_redone == sum((record.redo_probability or 0.0) >= REDO_THRESHOLD for record in of_value)
        assert each.clicked == sum(record.outcome == "clicked" for record in of_value)
        confidences = [record.confidence for record in of_value if record.confidence is not None]
        assert each.mean_confidence == pytest.approx(sum(confidences) / len(confidences))


def test_a_slice_that_is_none_is_refused(engine: Engine) -> None:
    with pytest.raises(ConfigError, match="no slice 'text'; allowed are bundle, route"):
        count(engine, "text", UtteranceFilter())


def test_an_utterance_is_found_by_its_id_and_its_tag(engine: Engine) -> None:
    newest = find(engine, UtteranceFilter(), limit=1).utterances[0]
    assert find_one(engine, newest.id) == newest
    assert find_one(engine, 10**9) is None
    with engine.begin() as connection:
        tag = {"utterance_id": newest.id, "tag": "odd", "author": "me", "created_s": NOON_S}
        connection.execute(insert(TAGS), [tag])
    assert [stored.id for stored in find(engine, UtteranceFilter(tag="odd")).utterances] == [newest.id]


def test_a_search_is_told_by_all_slices_at_once_and_by_its_newest_alone(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: dict[str, Any] = {"device_kind": "phone"}
    for most in (10_000, 100):
        monkeypatch.setattr(queries, "MOST_COUNTED", most)
        newest = [record for record in reversed(RECORDS) if passes(record, wanted)][:most]
        found = makeup(engine, UtteranceFilter(**wanted))
        assert found.counted == len(newest)
        for name in SLICES:
            values = Counter(value for record in newest if (value := getattr(record, name)))
            assert dict(found.numbers[name]) == values
            assert [number for _, number in found.numbers[name]] == sorted(values.values(), reverse=True)


def test_postgresql_finds_and_counts_the_same(postgresql: "PostgreSql") -> None:
    engine = open_database(postgresql.new_database())
    fill(engine, iter(RECORDS))
    day_s = NOON_S - 86_400.0
    searches: list[dict[str, Any]] = [
        {},
        {"text": "LIGHTS on"},
        {"text": "%"},
        {"since_s": day_s, "bundle": BUNDLES[0]},
        {"until_s": day_s, "is_redone": False, "is_null": True},
        {"is_redone": True, "least_confidence": 0.5, "outcome": "clicked"},
        {"device_id": "device-7"},
        {"failure": "model"},
    ]
    for wanted in searches:
        expected = [record.key for record in reversed(RECORDS) if passes(record, wanted)]
        first = find(engine, UtteranceFilter(**wanted), limit=100)
        second = find(engine, UtteranceFilter(**wanted), first.next, 100) if first.next else None
        found = [stored.record.key for page in (first, second) if page for stored in page.utterances]
        assert found == expected[:200]
        counts = count(engine, "outcome", UtteranceFilter(**wanted))
        assert (
            sum(each.utterances for each in counts)
            == makeup(engine, UtteranceFilter(**wanted)).counted
            == len(expected)
        )
    assert sum(each.utterances for each in list_devices(engine, 0.0, 500)) == len(RECORDS)
    engine.dispose()
