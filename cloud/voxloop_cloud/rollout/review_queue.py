"""Utterances that people are to hear: each is claimed by one person at a time, and answered once."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, func, insert, or_, select, update

from voxloop_cloud.rollout.review import Request, Review, State
from voxloop_cloud.store.database import writing
from voxloop_cloud.store.tables import LABELS, REVIEWS, UTTERANCES
from voxloop_proto.errors import ConfigError, OverloadError

MOST_ANSWER_CHARACTERS = 10_000
MOST_AUTHOR_CHARACTERS = 64


class ReviewQueue:
    """The table of reviews; any number of processes and people may share it. Each call waits for the database: not for
    the event loop. Raises as SQLAlchemy does.
    """

    def __init__(self, database: Engine, most_waiting: int) -> None:
        """most_waiting: reviews that are neither answered nor expired; beyond it no more are taken."""
        self._database = database
        self._most_waiting = most_waiting

    def ask(self, request: Request, now_s: float) -> Review | None:
        """Puts an utterance into the queue; one that is there already stays as it is, and is returned.

        None if the utterance is not in the store. Raises OverloadError if too many wait.
        """
        with writing(self._database) as connection:
            utterance_id = connection.execute(
                select(UTTERANCES.c.id).where(
                    UTTERANCES.c.session_id == request.session_id, UTTERANCES.c.segment_id == request.segment_id
                )
            ).scalar_one_or_none()
            if utterance_id is None:
                return None
            known = connection.execute(_reviews().where(REVIEWS.c.utterance_id == utterance_id)).one_or_none()
            if known is None:
                self._check_room(connection, now_s)
                connection.execute(
                    insert(REVIEWS).values(
                        utterance_id=utterance_id,
                        is_awaited=request.is_awaited,
                        state=State.WAITING.value,
                        reason=request.reason,
                        suggested_text=request.suggestion,
                        created_s=now_s,
                        due_s=request.due_s,
                    )
                )
                known = connection.execute(_reviews().where(REVIEWS.c.utterance_id == utterance_id)).one()
            return _read(known)

    def claim(self, reviewer: str, now_s: float, claim_s: float) -> Review | None:
        """The next utterance for a reviewer, theirs for claim_s; what they have claimed already is given again.

        Devices that wait come first, then what is due first. None if there is nothing to do.
        """
        _check_name(reviewer)
        until_s = now_s + claim_s
        with writing(self._database) as connection:
            _expire(connection, now_s)
            own = _is_claimed_by(reviewer)
            free = or_(
                REVIEWS.c.state == State.WAITING.value,
                and_(REVIEWS.c.state == State.CLAIMED.value, REVIEWS.c.claimed_until_s < now_s),
            )
            found = connection.execute(
                _reviews()
                .where(or_(own, free), REVIEWS.c.due_s > now_s)
                .order_by(own.desc(), REVIEWS.c.is_awaited.desc(), REVIEWS.c.due_s, REVIEWS.c.id)
                .limit(1)
                .with_for_update(skip_locked=True, of=REVIEWS)
            ).one_or_none()
            if found is None:
                return None
            connection.execute(
                update(REVIEWS)
                .where(REVIEWS.c.id == found.id)
                .values(state=State.CLAIMED.value, claimed_by=reviewer, claimed_until_s=until_s)
            )
            return _read(connection.execute(_reviews().where(REVIEWS.c.id == found.id)).one())

    def answer(self, review_id: int, reviewer: str, text: str, now_s: float) -> Review:
        """What a reviewer heard; it becomes a label. Empty: nothing was said.

        Raises ConfigError if it is not theirs (any more), or is answered or expired.
        """
        if len(text) > MOST_ANSWER_CHARACTERS:
            raise ConfigError(f"an answer of {len(text)} characters; allowed are {MOST_ANSWER_CHARACTERS}")
        with writing(self._database) as connection:
            changed = connection.execute(
                update(REVIEWS)
                .where(
                    REVIEWS.c.id == review_id,
                    _is_claimed_by(reviewer),
                    REVIEWS.c.claimed_until_s >= now_s,
                    REVIEWS.c.due_s > now_s,
                )
                .values(state=State.ANSWERED.value, answer=text, answered_s=now_s)
            )
            row = connection.execute(_reviews().where(REVIEWS.c.id == review_id)).one_or_none()
            if not changed.rowcount:
                raise ConfigError(_why_not(row, review_id, reviewer, now_s))
            assert row is not None
            connection.execute(
                insert(LABELS).values(
                    utterance_id=row.utterance_id, text=text, author=reviewer, created_s=now_s, source="review"
                )
            )
            return _read(row)

    def release(self, review_id: int, reviewer: str) -> bool:
        """Gives a claimed utterance back to the others; False if it was not theirs."""
        with writing(self._database) as connection:
            changed = connection.execute(
                update(REVIEWS)
                .where(REVIEWS.c.id == review_id, _is_claimed_by(reviewer))
                .values(state=State.WAITING.value, claimed_by=None, claimed_until_s=None)
            )
            return bool(changed.rowcount)

    def expire(self, now_s: float) -> int:
        """Ends what is due; returns how many."""
        with writing(self._database) as connection:
            return _expire(connection, now_s)

    def settled(self, ids: Collection[int]) -> list[Review]:
        """Those of the reviews that are answered or expired."""
        if not ids:
            return []
        done = REVIEWS.c.state.in_((State.ANSWERED.value, State.EXPIRED.value))
        with self._database.connect() as connection:
            return [_read(row) for row in connection.execute(_reviews().where(REVIEWS.c.id.in_(ids), done))]

    def listed(self, state: State | None = None, most: int = 200) -> list[Review]:
        """The newest first."""
        question = _reviews().order_by(REVIEWS.c.id.desc()).limit(most)
        if state is not None:
            question = question.where(REVIEWS.c.state == state.value)
        with self._database.connect() as connection:
            return [_read(row) for row in connection.execute(question)]

    def claimed(self, reviewer: str, now_s: float) -> Review | None:
        """What a reviewer has claimed and may still answer."""
        is_theirs = and_(_is_claimed_by(reviewer), REVIEWS.c.claimed_until_s >= now_s, REVIEWS.c.due_s > now_s)
        with self._database.connect() as connection:
            row = connection.execute(_reviews().where(is_theirs).order_by(REVIEWS.c.id).limit(1)).one_or_none()
        return None if row is None else _read(row)

    def waiting(self, now_s: float) -> int:
        """How many are neither answered nor due."""
        with self._database.connect() as connection:
            return _count_open(connection, now_s)

    def _check_room(self, connection: Connection, now_s: float) -> None:
        waiting = _count_open(connection, now_s)
        if waiting >= self._most_waiting:
            raise OverloadError(f"{waiting} utterances wait for a person; allowed are {self._most_waiting}")


def _count_open(connection: Connection, now_s: float) -> int:
    question = select(func.count()).select_from(REVIEWS).where(_is_open(), REVIEWS.c.due_s > now_s)
    return connection.execute(question).scalar_one()


def _expire(connection: Connection, now_s: float) -> int:
    is_due = and_(_is_open(), REVIEWS.c.due_s <= now_s)
    return connection.execute(update(REVIEWS).where(is_due).values(state=State.EXPIRED.value)).rowcount


def _is_open() -> Any:
    return REVIEWS.c.state.in_((State.WAITING.value, State.CLAIMED.value))


def _is_claimed_by(reviewer: str) -> Any:
    return and_(REVIEWS.c.state == State.CLAIMED.value, REVIEWS.c.claimed_by == reviewer)


def _reviews() -> Any:
    columns = (UTTERANCES.c.session_id, UTTERANCES.c.segment_id, UTTERANCES.c.clip, UTTERANCES.c.duration_ms)
    return select(REVIEWS, *columns).join(UTTERANCES, UTTERANCES.c.id == REVIEWS.c.utterance_id)


def _read(row: "Row[Any]") -> Review:
    return Review(
        id=row.id,
        utterance_id=row.utterance_id,
        session_id=row.session_id,
        segment_id=row.segment_id,
        state=State(row.state),
        reason=row.reason,
        suggestion=row.suggested_text,
        is_awaited=row.is_awaited,
        created_s=row.created_s,
        due_s=row.due_s,
        claimed_by=row.claimed_by,
        claimed_until_s=row.claimed_until_s,
        answer=row.answer,
        clip=row.clip,
        duration_ms=row.duration_ms,
    )


def _why_not(row: "Row[Any] | None", review_id: int, reviewer: str, now_s: float) -> str:
    if row is None:
        return f"there is no review {review_id}; its utterance was erased, or the number is wrong"
    if row.state == State.ANSWERED:
        return f"review {review_id} is answered already, by {row.claimed_by}; claim another"
    if row.state == State.EXPIRED or row.due_s <= now_s:
        return f"review {review_id} came too late: the device was answered without a person; claim another"
    if row.claimed_by != reviewer:
        return f"review {review_id} is {row.claimed_by or 'nobody'}'s, not {reviewer}'s; claim it first"
    return f"the claim of review {review_id} ran out, and another may have it; claim again"


def _check_name(reviewer: str) -> None:
    if not reviewer.strip() or len(reviewer) > MOST_AUTHOR_CHARACTERS:
        raise ConfigError(f"a reviewer's name of {len(reviewer)} characters; allowed are 1 to {MOST_AUTHOR_CHARACTERS}")
