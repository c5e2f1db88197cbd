"""The policies that were ever in force, each with who set it, when and why; the newest is the one that counts."""

from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Engine, Row, func, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from voxloop_cloud.routing.policy import Policy
from voxloop_cloud.routing.policy_version import MOST_LISTED, PolicyVersion
from voxloop_cloud.store.database import writing
from voxloop_cloud.store.tables import POLICIES
from voxloop_proto.errors import ConfigError, DataError, UnavailableError

MOST_AUTHOR_CHARACTERS: Final = 64
MOST_REASON_CHARACTERS: Final = 1_000


class PolicyStore:
    """The table of policies; any number of processes may share it. Each call waits for the database: not for the
    event loop.

    All methods raise UnavailableError when the database is away, and DataError for a row that is no policy.
    """

    def __init__(self, database: Engine) -> None:
        self._database = database

    def newest_version(self) -> int:
        """The number of the policy in force, 0 if there is none yet: a look at the table's key."""
        return self._ask(select(func.max(POLICIES.c.version)))[0][0] or 0

    def newest(self) -> PolicyVersion | None:
        """The policy in force; None if there is none yet."""
        rows = self._ask(select(POLICIES).order_by(POLICIES.c.version.desc()).limit(1))
        return _read(rows[0]) if rows else None

    def history(self, most: int = MOST_LISTED) -> list[PolicyVersion]:
        """The newest first. Rows that are no policy are left out: `newest` tells of the one that counts."""
        rows = self._ask(select(POLICIES).order_by(POLICIES.c.version.desc()).limit(most))
        return [version for row in rows if (version := _read_or_none(row)) is not None]

    def add(self, policy: Policy, author: str, reason: str, expected_version: int, now_s: float) -> PolicyVersion:
        """Puts a policy in force. expected_version: the one that it changes.

        Raises ConfigError if another has come in between, or author or reason is missing or too long.
        """
        _check_length("author", author, MOST_AUTHOR_CHARACTERS)
        _check_length("reason", reason, MOST_REASON_CHARACTERS)
        self.expect(expected_version)
        new = PolicyVersion(expected_version + 1, now_s, author, reason, policy)
        if not self._insert(new):
            raise _overtaken(expected_version, new.version)
        return new

    def expect(self, version: int) -> PolicyVersion | None:
        """The policy in force, None for version 0. Raises ConfigError unless it is of this version."""
        newest = self.newest()
        if (found := newest.version if newest else 0) != version:
            raise _overtaken(version, found)
        return newest

    def begin(self, policy: Policy, now_s: float) -> PolicyVersion:
        """The policy in force; of a database that has none, this one, as version 1."""
        if newest := self.newest():
            return newest
        first = PolicyVersion(1, now_s, "voxloop serve", "the first start with this database", policy)
        if self._insert(first):
            return first
        begun = self.newest()  # another process was quicker
        assert begun is not None
        return begun

    def _insert(self, new: PolicyVersion) -> bool:
        """False if there is a policy of this version already."""
        row = {"created_s": new.created_s, "author": new.author, "reason": new.reason}
        try:
            with writing(self._database) as connection:
                document = new.policy.to_document()
                connection.execute(insert(POLICIES).values(version=new.version, document=document, **row))
        except IntegrityError:
            return False
        except DBAPIError as error:
            raise _away(error) from error
        return True

    def _ask(self, question: Any) -> "list[Row[Any]]":
        try:
            with self._database.connect() as connection:
                return list(connection.execute(question))
        except DBAPIError as error:
            raise _away(error) from error


def _read(row: "Row[Any]") -> PolicyVersion:
    try:
        policy = Policy.model_validate(row.document)
    except ValidationError as error:
        raise DataError(
            f"version {row.version} in the table of policies is none: {error.errors()[0]['msg']}; "
            "if a newer voxloop wrote it, update this one; else delete the row, and the version before it holds again"
        ) from error
    return PolicyVersion(row.version, row.created_s, row.author, row.reason, policy)


def _read_or_none(row: "Row[Any]") -> PolicyVersion | None:
    try:
        return _read(row)
    except DataError:
        return None


def _check_length(name: str, text: str, most: int) -> None:
    if not text.strip() or len(text) > most:
        raise ConfigError(f"the {name} has {len(text.strip())} characters; allowed are 1 to {most}: say it in words")


def _overtaken(expected_version: int, found: int) -> ConfigError:
    return ConfigError(
        f"the policy in force is version {found}, and this was to change version {expected_version}: somebody else has "
        "changed it meanwhile; look ('voxloop deploy status') and do it again"
    )


def _away(error: DBAPIError) -> UnavailableError:
    return UnavailableError(f"the table of policies cannot be reached: {str(error.orig).splitlines()[0]}")
