"""The tables: one wide row for each utterance, and what people and rules decided.

Times are Unix seconds, UTC. Text and sound stand here only with the device's consent; numbers do always.
A change of a table is a new file in migrations/ (docs/store.md).
"""

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only INTEGER keys up by itself


def _utterance() -> "Column[int]":
    return Column("utterance_id", _ID, ForeignKey("utterances.id", ondelete="CASCADE"), nullable=False, index=True)


UTTERANCES: Final = Table(
    "utterances",
    METADATA,
    Column("id", _ID, primary_key=True),
    # who and when
    Column("session_id", String(64), nullable=False),
    Column("segment_id", BigInteger, nullable=False),
    Column("device_id", String(64), nullable=False),
    Column("arrived_s", Float, nullable=False),
    # slices (as wide as message_limits.py lets them be)
    Column("device_kind", String(128), nullable=False, default=""),
    Column("app_version", String(128), nullable=False, default=""),
    Column("vad_kind", String(64), nullable=False, default=""),
    Column("vad_version", String(128), nullable=False, default=""),
    Column("vad_threshold", Float),
    Column("locale", String(64), nullable=False, default=""),
    # what was agreed to
    Column("keeps_audio", Boolean, nullable=False, default=False),
    Column("keeps_text", Boolean, nullable=False, default=False),
    Column("may_train", Boolean, nullable=False, default=False),
    Column("terms_version", String(128), nullable=False, default=""),
    # who answered
    Column("bundle", String(129), nullable=False),  # NAME@VERSION
    Column("route", String(16), nullable=False),  # primary, canary, human, local
    Column("policy_version", Integer),
    # input: of the sound as the device measured it, then as it came
    Column("codec", String(16), nullable=False, default=""),  # pcm16, opus
    Column("duration_ms", Float, nullable=False),
    Column("start_sample", BigInteger, nullable=False),
    Column("raw_level_dbfs", Float),
    Column("applied_gain_db", Float),
    Column("clipped_ratio", Float),
    Column("voiced_ratio", Float),
    Column("snr_db", Float),
    Column("level_dbfs", Float),
    Column("padding_before_ms", Float),  # as the device is set
    Column("padding_after_ms", Float),
    Column("pre_roll_ms", Float),  # as it was: sound before the first voiced frame, and after the last
    Column("after_voice_ms", Float),
    Column("normalization_target_dbfs", Float),  # null: not normalized
    Column("feature_mean", Float),  # over all frames and bins
    Column("feature_deviation", Float),
    # output
    Column("text", Text),
    Column("is_null", Boolean, nullable=False, default=False),
    Column("word_count", Integer, nullable=False, default=0),
    Column("confidence", Float),
    Column("characters_per_s", Float),
    Column("end_reason", String(16), nullable=False, default=""),
    Column("failure", String(24)),  # the contract's code, if there is no transcript
    # software
    Column("timings", JSON, nullable=False, default=dict),  # stage: [busy_ms, wait_ms], the device's too
    Column("server_latency_ms", Float),
    # what became of it
    Column("outcome", String(16)),  # redone, typed, clicked, corrected
    Column("redone_in_segment", BigInteger),
    Column("redo_probability", Float),  # what the detector makes of the next segment
    Column("corrected_text", Text),  # typed instead, or corrected to
    Column("clip", String(200)),  # key of the sound in the clip store
    UniqueConstraint("session_id", "segment_id"),
    Index(None, "bundle", "arrived_s"),
)

SEARCHED: Final = (
    *(
        "arrived_s",
        "bundle",
        "route",
        "device_kind",
        "vad_kind",
        "app_version",
        "locale",
        "outcome",
        "failure",
        "is_null",
    ),
    *("redo_probability", "confidence"),
)
"""What the console filters and counts by."""

# In order of time, and narrow: a filter that hardly any utterance passes, and a count over all of them, read this index
# and not the wide rows (docs/store.md). PostgreSQL allows no text of any length in an index.
Index(
    "ix_utterances_search", *(UTTERANCES.c[name] for name in SEARCHED), UTTERANCES.c.device_id, UTTERANCES.c.text
).ddl_if(dialect="sqlite")
Index("ix_utterances_time", *(UTTERANCES.c[name] for name in SEARCHED), UTTERANCES.c.device_id).ddl_if(
    dialect="postgresql"
)

# All that a device's line in the console's list counts, in the devices' order: many utterances without sorting them.
Index(
    "ix_utterances_devices",
    *(UTTERANCES.c[name] for name in ("device_id", "arrived_s", "device_kind", "app_version", "vad_kind")),
    *(UTTERANCES.c[name] for name in ("is_null", "failure", "redo_probability", "confidence")),
)

ERASURES: Final = Table(
    "erasures",
    METADATA,
    # a digest of the device's id (records/clip_key.py): who was erased is not remembered by name
    Column("device", String(32), primary_key=True),
    Column("erased_s", Float, nullable=False, index=True),  # what arrived before is not kept
)

SHADOWS: Final = Table(
    "shadows",
    METADATA,
    Column("id", _ID, primary_key=True),
    _utterance(),
    Column("bundle", String(129), nullable=False),
    Column("text", Text),
    Column("is_null", Boolean, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("busy_ms", Float, nullable=False),
    Column("disagreement_errors", Integer, nullable=False),  # words that differ from the primary's text
    Column("disagreement_words", Integer, nullable=False),  # of so many
    UniqueConstraint("utterance_id", "bundle"),
)

LABELS: Final = Table(
    "labels",
    METADATA,
    Column("id", _ID, primary_key=True),
    _utterance(),
    Column("text", Text, nullable=False),
    Column("author", String(64), nullable=False),
    Column("created_s", Float, nullable=False),
    Column("source", String(16), nullable=False),  # review, console, device, import
)

TAGS: Final = Table(
    "tags",
    METADATA,
    Column("id", _ID, primary_key=True),
    _utterance(),
    Column("tag", String(64), nullable=False, index=True),
    Column("author", String(64), nullable=False),
    Column("created_s", Float, nullable=False),
    UniqueConstraint("utterance_id", "tag"),
)

REVIEWS: Final = Table(
    "reviews",
    METADATA,
    Column("id", _ID, primary_key=True),
    _utterance(),
    Column(
        "is_awaited", Boolean, nullable=False, default=False
    ),  # the device has no text yet, and waits for the answer
    Column("state", String(16), nullable=False),  # waiting, claimed, answered, expired
    Column("reason", String(200), nullable=False),
    Column("suggested_text", Text),
    Column("created_s", Float, nullable=False),
    Column("due_s", Float, nullable=False),
    Column("claimed_by", String(64)),
    Column("claimed_until_s", Float),
    Column("answer", Text),
    Column("answered_s", Float),
    UniqueConstraint("utterance_id"),
    Index(None, "state", "due_s"),
)

LEASES: Final = Table(
    "leases",
    METADATA,
    Column("name", String(64), primary_key=True),  # of work that one process at a time does
    Column("holder", String(64), nullable=False),
    Column("until_s", Float, nullable=False),
)

POLICIES: Final = Table(
    "policies",
    METADATA,
    Column("version", Integer, primary_key=True),
    Column("created_s", Float, nullable=False),
    Column("author", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("document", JSON, nullable=False),
)

VERDICTS: Final = Table(
    "verdicts",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("created_s", Float, nullable=False, index=True),
    Column("bundle", String(129), nullable=False),
    Column("against", String(129), nullable=False),
    Column("kind", String(16), nullable=False),  # promote, hold, roll back
    Column("policy_version", Integer, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("text", Text, nullable=False),
)

ALARMS: Final = Table(
    "alarms",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("instance", String(64), nullable=False, default=""),  # the server that watched
    Column("rule", String(100), nullable=False, index=True),
    Column("severity", String(16), nullable=False),
    Column("fired_s", Float, nullable=False, index=True),
    Column("resolved_s", Float),
    Column("value", Float),  # null: it fired because the data were missing
    Column("threshold", Float, nullable=False),
    Column("labels", JSON, nullable=False, default=dict),
)

ALARM_STATES: Final = Table(
    "alarm_states",
    METADATA,
    Column("instance", String(64), primary_key=True),
    Column("saved_s", Float, nullable=False),
    Column("document", JSON, nullable=False),  # what its next evaluation goes on from
)

THRESHOLD_CHANGES: Final = Table(
    "threshold_changes",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("rule", String(100), nullable=False, index=True),
    Column("changed_s", Float, nullable=False),
    Column("author", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("before", Float),
    Column("after", Float, nullable=False),
)

DRIFTS: Final = Table(
    "drifts",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("found_s", Float, nullable=False, index=True),
    Column("metric", String(64), nullable=False),
    Column("stage", String(32), nullable=False),
    Column("slice", String(130), nullable=False, default=""),  # NAME=VALUE, or all
    Column("against", String(16), nullable=False),  # reference, last week
    Column("kind", String(16), nullable=False),  # sudden, gradual
    Column("effect", Float, nullable=False),
    Column("report", JSON, nullable=False),
)
