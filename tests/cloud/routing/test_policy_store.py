"""Policies are kept with who, when and why, and nobody changes one that they have not seen."""

import threading
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import insert

from voxloop_cloud.routing.policy import Policy
from voxloop_cloud.routing.policy_steps import with_canary
from voxloop_cloud.routing.policy_store import PolicyStore
from voxloop_cloud.routing.policy_version import primaries
from voxloop_cloud.store.database import open_database, sqlite_url
from voxloop_cloud.store.tables import POLICIES
from voxloop_proto.errors import ConfigError, DataError, UnavailableError

FIRST = Policy.of_one("en@1")
SECOND = with_canary(FIRST, "en@2", 0.05)
WRITERS = 4


def test_the_first_start_gives_the_first_version_and_later_ones_take_what_is_there(
    database: sqlalchemy.Engine,
) -> None:
    store = PolicyStore(database)
    assert (store.newest_version(), store.newest()) == (0, None)
    begun = store.begin(FIRST, 1.0)
    assert (begun.version, begun.policy) == (1, FIRST)
    assert store.begin(Policy.of_one("other@9"), 2.0) == begun


def test_a_change_is_kept_whole(database: sqlalchemy.Engine) -> None:
    store = PolicyStore(database)
    store.begin(FIRST, 1.0)
    new = store.add(SECOND, "ann", "a first look", 1, 12.5)
    assert store.newest() == new
    assert (new.version, new.author, new.reason, new.created_s, new.policy) == (2, "ann", "a first look", 12.5, SECOND)
    assert [each.version for each in store.history()] == [2, 1]
    assert [each.version for each in store.history(most=1)] == [2]
    assert primaries(store.history()) == {"en@1"}


def test_of_two_who_change_the_same_version_one_is_told_to_look_again(database: sqlalchemy.Engine) -> None:
    store = PolicyStore(database)
    store.begin(FIRST, 1.0)
    store.add(SECOND, "ann", "a first look", 1, 2.0)
    with pytest.raises(ConfigError, match=r"in force is version 2, and this was to change version 1"):
        store.add(FIRST, "bob", "back", 1, 3.0)
    with pytest.raises(ConfigError, match=r"in force is version 2, and this was to change version 7"):
        store.add(FIRST, "bob", "ahead of time", 7, 3.0)
    assert len(store.history()) == 2


def test_writers_at_the_same_moment_never_overwrite_each_other(tmp_path: Path) -> None:
    """Each from a connection of its own, as of other processes."""
    url = sqlite_url(tmp_path / "shared.db")
    databases = [open_database(url) for _ in range(WRITERS)]
    PolicyStore(databases[0]).begin(FIRST, 0.0)
    together = threading.Barrier(WRITERS)
    outcomes: list[str] = []

    def write(number: int) -> None:
        together.wait()
        try:
            PolicyStore(databases[number]).add(SECOND, f"writer {number}", "at once", 1, float(number))
            outcomes.append("set")
        except ConfigError:
            outcomes.append("refused")

    threads = [threading.Thread(target=write, args=[number]) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * (WRITERS - 1) + ["set"]
    assert [each.version for each in PolicyStore(databases[0]).history()] == [2, 1]
    for database in databases:
        database.dispose()


@pytest.mark.parametrize(
    ("author", "reason", "said"),
    [
        ("", "why", "the author has 0 characters"),
        ("ann", "  ", "the reason has 0 characters"),
        ("ann", "x" * 1001, "the reason has 1001 characters; allowed are 1 to 1000"),
        ("a" * 65, "why", "the author has 65"),
    ],
)
def test_a_change_says_who_and_why(database: sqlalchemy.Engine, author: str, reason: str, said: str) -> None:
    store = PolicyStore(database)
    store.begin(FIRST, 0.0)
    with pytest.raises(ConfigError, match=said):
        store.add(SECOND, author, reason, 1, 0.0)
    assert store.newest_version() == 1


def test_a_row_that_is_no_policy_is_named(database: sqlalchemy.Engine) -> None:
    row = {"version": 1, "created_s": 0.0, "author": "x", "reason": "y", "document": {"primary": "en@1"}}
    with database.begin() as connection:
        connection.execute(insert(POLICIES).values(**row))
    with pytest.raises(DataError, match="version 1 in the table of policies is none"):
        PolicyStore(database).newest()


def test_a_database_that_is_away_is_told_as_such(database: sqlalchemy.Engine) -> None:
    store = PolicyStore(database)
    with database.begin() as connection:
        POLICIES.drop(connection)
    with pytest.raises(UnavailableError, match="cannot be reached"):
        store.newest_version()
    with pytest.raises(UnavailableError, match="cannot be reached"):
        store.add(FIRST, "ann", "why", 0, 0.0)
