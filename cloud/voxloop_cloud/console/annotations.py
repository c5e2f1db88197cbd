"""What people say of an utterance at the console: labels and tags; and what other bundles heard."""

import re
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, delete, insert, select

from voxloop_cloud.store.database import writing
from voxloop_cloud.store.tables import LABELS, SHADOWS, TAGS, UTTERANCES
from voxloop_proto.errors import ConfigError, DataError

MOST_TEXT_CHARACTERS: Final = 10_000
MOST_TAGS: Final = 32
_TAG: Final = re.compile(r"[\w][\w.:-]{0,63}")


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody says was said."""

    text: str
    author: str
    created_s: float
    source: str


@dataclass(frozen=True, slots=True)
class OtherText:
    """What a bundle that listened in heard. text: None where the device does not let it be kept."""

    bundle: str
    text: str | None
    is_null: bool
    confidence: float
    busy_ms: float


@dataclass(frozen=True, slots=True)
class Annotations:
    """All of one utterance."""

    labels: tuple[Label, ...]
    tags: tuple[str, ...]
    others: tuple[OtherText, ...]


def read_annotations(engine: Engine, utterance_id: int) -> Annotations:
    """Labels the newest first, tags and bundles by name."""
    labels = select(LABELS.c.text, LABELS.c.author, LABELS.c.created_s, LABELS.c.source)
    others = select(SHADOWS.c.bundle, SHADOWS.c.text, SHADOWS.c.is_null, SHADOWS.c.confidence, SHADOWS.c.busy_ms)
    with engine.connect() as connection:
        return Annotations(
            tuple(
                Label(*row)
                for row in connection.execute(
                    labels.where(LABELS.c.utterance_id == utterance_id).order_by(LABELS.c.id.desc())
                )
            ),
            tuple(
                connection.execute(
                    select(TAGS.c.tag).where(TAGS.c.utterance_id == utterance_id).order_by(TAGS.c.tag)
                ).scalars()
            ),
            tuple(
                OtherText(*row)
                for row in connection.execute(
                    others.where(SHADOWS.c.utterance_id == utterance_id).order_by(SHADOWS.c.bundle)
                )
            ),
        )


def add_label(engine: Engine, utterance_id: int, text: str, author: str, now_s: float) -> None:
    """Keeps what was said. Empty: nothing was. Raises ConfigError for a device that does not let text be kept."""
    if len(text) > MOST_TEXT_CHARACTERS:
        raise ConfigError(f"a text of {len(text)} characters; allowed are {MOST_TEXT_CHARACTERS}")
    with writing(engine) as connection:
        keeps_text = connection.execute(
            select(UTTERANCES.c.keeps_text).where(UTTERANCES.c.id == utterance_id)
        ).scalar_one_or_none()
        if keeps_text is None:
            raise missing(utterance_id)
        if not keeps_text:
            raise ConfigError("this device does not let its words be kept, so no text of them can be")
        values = {"utterance_id": utterance_id, "text": " ".join(text.replace("\x00", "").split())}
        connection.execute(insert(LABELS).values(**values, author=author, created_s=now_s, source="console"))


def add_tag(engine: Engine, utterance_id: int, tag: str, author: str, now_s: float) -> None:
    """Tags an utterance; twice is once. Raises ConfigError for what is no tag."""
    if not _TAG.fullmatch(tag):
        raise ConfigError(f"{tag[:70]!r} is no tag; allowed are 1 to 64 letters, digits, '_', '.', ':' and '-'")
    with writing(engine) as connection:
        if connection.execute(select(UTTERANCES.c.id).where(UTTERANCES.c.id == utterance_id)).first() is None:
            raise missing(utterance_id)
        present = set(connection.execute(select(TAGS.c.tag).where(TAGS.c.utterance_id == utterance_id)).scalars())
        if tag in present:
            return
        if len(present) >= MOST_TAGS:
            raise ConfigError(f"this utterance has {len(present)} tags, the most allowed; take one away first")
        connection.execute(insert(TAGS).values(utterance_id=utterance_id, tag=tag, author=author, created_s=now_s))


def remove_tag(engine: Engine, utterance_id: int, tag: str) -> None:
    """Takes a tag away; one that is not there is no error."""
    with writing(engine) as connection:
        connection.execute(delete(TAGS).where(TAGS.c.utterance_id == utterance_id, TAGS.c.tag == tag))


def missing(utterance_id: int) -> DataError:
    """Of an utterance that is not there."""
    return DataError(f"there is no utterance {utterance_id}: it was erased, is older than is kept, or never was")
