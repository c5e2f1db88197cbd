"""The tables as PostgreSQL gets them, for which no server is needed."""

from typing import Any

from sqlalchemy import create_mock_engine

from voxloop_cloud.message_limits import TEXTS
from voxloop_cloud.records.queries import UtteranceFilter, _conditions
from voxloop_cloud.records.record_store import _insert
from voxloop_cloud.store.tables import METADATA, UTTERANCES

WIDTHS = {
    "device_id": "Hello.device_id",
    "session_id": "Hello.session_id",
    "device_kind": "Hello.device_kind",
    "app_version": "Hello.app_version",
    "locale": "Hello.locale",
    "vad_kind": "VadSettings.kind",
    "vad_version": "VadSettings.version",
    "terms_version": "Consent.terms_version",
}


def as_postgresql(statement: Any) -> str:
    return str(statement.compile(dialect=ENGINE.dialect))


CREATED: list[str] = []
ENGINE = create_mock_engine(
    "postgresql+psycopg://", lambda statement, *_, **__: CREATED.append(as_postgresql(statement))
)


def test_postgresql_takes_every_table_and_no_text_of_any_length_in_an_index() -> None:
    METADATA.create_all(ENGINE, checkfirst=False)
    for table in METADATA.sorted_tables:
        assert any(f"CREATE TABLE {table.name} " in statement for statement in CREATED), table.name
    indexes = [statement for statement in CREATED if "INDEX" in statement and "ON utterances " in statement]
    assert any("ix_utterances_time" in statement for statement in indexes)
    assert not any("text" in statement.split("(", 1)[1] for statement in indexes)


def test_columns_are_as_wide_as_what_a_device_may_send() -> None:
    for column, text in WIDTHS.items():
        assert UTTERANCES.c[column].type.length >= TEXTS[text], column  # type: ignore[attr-defined] # all are String


def test_what_is_sqlites_own_is_left_out_for_postgresql() -> None:
    (bundle,) = _conditions(UtteranceFilter(bundle="a@1"), "postgresql")
    assert as_postgresql(bundle).startswith("utterances.bundle = ")
    assert "ON CONFLICT (session_id, segment_id) DO UPDATE" in as_postgresql(_insert("postgresql"))
