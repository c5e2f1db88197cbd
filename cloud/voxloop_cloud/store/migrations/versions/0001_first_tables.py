"""The first tables: frozen, whatever tables.py says later. A change of a table is a migration of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """All tables, those that others refer to first."""
    op.create_table(
        "alarm_states",
        sa.Column("instance", sa.String(length=64), nullable=False),
        sa.Column("saved_s", sa.Float(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("instance", name=op.f("pk_alarm_states")),
    )
    op.create_table(
        "alarms",
        sa.Column("id", _ID, nullable=False),
        sa.Column("instance", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=100), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("fired_s", sa.Float(), nullable=False),
        sa.Column("resolved_s", sa.Float(), nullable=True),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarms")),
    )
    op.create_index(op.f("ix_alarms_fired_s"), "alarms", ["fired_s"], unique=False)
    op.create_index(op.f("ix_alarms_rule"), "alarms", ["rule"], unique=False)
    op.create_table(
        "drifts",
        sa.Column("id", _ID, nullable=False),
        sa.Column("found_s", sa.Float(), nullable=False),
        sa.Column("metric", sa.String(length=64), nullable=False),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("slice", sa.String(length=130), nullable=False),
        sa.Column("against", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("effect", sa.Float(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drifts")),
    )
    op.create_index(op.f("ix_drifts_found_s"), "drifts", ["found_s"], unique=False)
    op.create_table(
        "erasures",
        sa.Column("device", sa.String(length=32), nullable=False),
        sa.Column("erased_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("device", name=op.f("pk_erasures")),
    )
    op.create_index(op.f("ix_erasures_erased_s"), "erasures", ["erased_s"], unique=False)
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("until_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "policies",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_s", sa.Float(), nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_policies")),
    )
    op.create_table(
        "threshold_changes",
        sa.Column("id", _ID, nullable=False),
        sa.Column("rule", sa.String(length=100), nullable=False),
        sa.Column("changed_s", sa.Float(), nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("before", sa.Float(), nullable=True),
        sa.Column("after", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_threshold_changes")),
    )
    op.create_index(op.f("ix_threshold_changes_rule"), "threshold_changes", ["rule"], unique=False)
    op.create_table(
        "utterances",
        sa.Column("id", _ID, nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("segment_id", sa.BigInteger(), nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("arrived_s", sa.Float(), nullable=False),
        sa.Column("device_kind", sa.String(length=128), nullable=False),
        sa.Column("app_version", sa.String(length=128), nullable=False),
        sa.Column("vad_kind", sa.String(length=64), nullable=False),
        sa.Column("vad_version", sa.String(length=128), nullable=False),
        sa.Column("vad_threshold", sa.Float(), nullable=True),
        sa.Column("locale", sa.String(length=64), nullable=False),
        sa.Column("keeps_audio", sa.Boolean(), nullable=False),
        sa.Column("keeps_text", sa.Boolean(), nullable=False),
        sa.Column("may_train", sa.Boolean(), nullable=False),
        sa.Column("terms_version", sa.String(length=128), nullable=False),
        sa.Column("bundle", sa.String(length=129), nullable=False),
        sa.Column("route", sa.String(length=16), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=True),
        sa.Column("codec", sa.String(length=16), nullable=False),
        sa.Column("duration_ms", sa.Float(), nullable=False),
        sa.Column("start_sample", sa.BigInteger(), nullable=False),
        sa.Column("raw_level_dbfs", sa.Float(), nullable=True),
        sa.Column("applied_gain_db", sa.Float(), nullable=True),
        sa.Column("clipped_ratio", sa.Float(), nullable=True),
        sa.Column("voiced_ratio", sa.Float(), nullable=True),
        sa.Column("snr_db", sa.Float(), nullable=True),
        sa.Column("level_dbfs", sa.Float(), nullable=True),
        sa.Column("padding_before_ms", sa.Float(), nullable=True),
        sa.Column("padding_after_ms", sa.Float(), nullable=True),
        sa.Column("pre_roll_ms", sa.Float(), nullable=True),
        sa.Column("after_voice_ms", sa.Float(), nullable=True),
        sa.Column("normalization_target_dbfs", sa.Float(), nullable=True),
        sa.Column("feature_mean", sa.Float(), nullable=True),
        sa.Column("feature_deviation", sa.Float(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("is_null", sa.Boolean(), nullable=False),
        sa.Column("word_count", sa.Integer(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("characters_per_s", sa.Float(), nullable=True),
        sa.Column("end_reason", sa.String(length=16), nullable=False),
        sa.Column("failure", sa.String(length=24), nullable=True),
        sa.Column("timings", sa.JSON(), nullable=False),
        sa.Column("server_latency_ms", sa.Float(), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("redone_in_segment", sa.BigInteger(), nullable=True),
        sa.Column("redo_probability", sa.Float(), nullable=True),
        sa.Column("corrected_text", sa.Text(), nullable=True),
        sa.Column("clip", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_utterances")),
        sa.UniqueConstraint("session_id", "segment_id", name=op.f("uq_utterances_session_id_segment_id")),
    )
    op.create_index(op.f("ix_utterances_bundle_arrived_s"), "utterances", ["bundle", "arrived_s"], unique=False)
    op.create_index(
        "ix_utterances_devices",
        "utterances",
        [
            "device_id",
            "arrived_s",
            "device_kind",
            "app_version",
            "vad_kind",
            "is_null",
            "failure",
            "redo_probability",
            "confidence",
        ],
        unique=False,
    )
    if op.get_bind().dialect.name == "sqlite":
        op.create_index(
            "ix_utterances_search",
            "utterances",
            [
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
                "redo_probability",
                "confidence",
                "device_id",
                "text",
            ],
            unique=False,
        )
    if op.get_bind().dialect.name == "postgresql":
        op.create_index(
            "ix_utterances_time",
            "utterances",
            [
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
                "redo_probability",
                "confidence",
                "device_id",
            ],
            unique=False,
        )
    op.create_table(
        "verdicts",
        sa.Column("id", _ID, nullable=False),
        sa.Column("created_s", sa.Float(), nullable=False),
        sa.Column("bundle", sa.String(length=129), nullable=False),
        sa.Column("against", sa.String(length=129), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdicts")),
    )
    op.create_index(op.f("ix_verdicts_created_s"), "verdicts", ["created_s"], unique=False)
    op.create_table(
        "labels",
        sa.Column("id", _ID, nullable=False),
        sa.Column("utterance_id", _ID, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("created_s", sa.Float(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["utterance_id"], ["utterances.id"], name=op.f("fk_labels_utterance_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labels")),
    )
    op.create_index(op.f("ix_labels_utterance_id"), "labels", ["utterance_id"], unique=False)
    op.create_table(
        "reviews",
        sa.Column("id", _ID, nullable=False),
        sa.Column("utterance_id", _ID, nullable=False),
        sa.Column("is_awaited", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("suggested_text", sa.Text(), nullable=True),
        sa.Column("created_s", sa.Float(), nullable=False),
        sa.Column("due_s", sa.Float(), nullable=False),
        sa.Column("claimed_by", sa.String(length=64), nullable=True),
        sa.Column("claimed_until_s", sa.Float(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("answered_s", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["utterance_id"], ["utterances.id"], name=op.f("fk_reviews_utterance_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
        sa.UniqueConstraint("utterance_id", name=op.f("uq_reviews_utterance_id")),
    )
    op.create_index(op.f("ix_reviews_state_due_s"), "reviews", ["state", "due_s"], unique=False)
    op.create_index(op.f("ix_reviews_utterance_id"), "reviews", ["utterance_id"], unique=False)
    op.create_table(
        "shadows",
        sa.Column("id", _ID, nullable=False),
        sa.Column("utterance_id", _ID, nullable=False),
        sa.Column("bundle", sa.String(length=129), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("is_null", sa.Boolean(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("busy_ms", sa.Float(), nullable=False),
        sa.Column("disagreement_errors", sa.Integer(), nullable=False),
        sa.Column("disagreement_words", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["utterance_id"], ["utterances.id"], name=op.f("fk_shadows_utterance_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shadows")),
        sa.UniqueConstraint("utterance_id", "bundle", name=op.f("uq_shadows_utterance_id_bundle")),
    )
    op.create_index(op.f("ix_shadows_utterance_id"), "shadows", ["utterance_id"], unique=False)
    op.create_table(
        "tags",
        sa.Column("id", _ID, nullable=False),
        sa.Column("utterance_id", _ID, nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("created_s", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["utterance_id"], ["utterances.id"], name=op.f("fk_tags_utterance_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tags")),
        sa.UniqueConstraint("utterance_id", "tag", name=op.f("uq_tags_utterance_id_tag")),
    )
    op.create_index(op.f("ix_tags_tag"), "tags", ["tag"], unique=False)
    op.create_index(op.f("ix_tags_utterance_id"), "tags", ["utterance_id"], unique=False)
