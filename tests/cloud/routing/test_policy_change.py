"""A change of the policy is checked, stored and written into the audit log in the same way, whoever asks for it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import insert
from tests.cloud.routing.conftest import FIRST, SECOND, UNAUDITED
from tests.cloud.routing.speech import open_tiny_routing, run, until

from voxloop_cloud.console.policy_office import PolicyOffice
from voxloop_cloud.engine import Engine
from voxloop_cloud.routing.engine_rack import EngineRack
from voxloop_cloud.routing.policy import Policy
from voxloop_cloud.routing.policy_steps import promoted, with_canary, with_shadow
from voxloop_cloud.routing.policy_store import PolicyStore
from voxloop_cloud.routing.policy_version import PolicyVersion
from voxloop_cloud.security.audit_log import AuditLog
from voxloop_cloud.store.tables import POLICIES
from voxloop_proto.errors import ConfigError, DataError

ALONE = Policy.of_one(FIRST)

Change = Callable[[Policy, str, int, bool], Awaitable[PolicyVersion]]
"""Of a policy, for a reason, over a version, forced or not."""


@pytest.fixture
def audit(tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit.jsonl")


def noted(tmp_path: Path) -> list[dict[str, Any]]:
    """The lines of the audit log, without their time."""
    file = tmp_path / "audit.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [{key: value for key, value in line.items() if key != "time"} for line in lines]


@pytest.mark.parametrize("door", ["server", "console"])
def test_a_change_goes_the_same_way_by_either_door(
    shelf: Path, database: sqlalchemy.Engine, audit: AuditLog, tmp_path: Path, door: str
) -> None:
    """Unaudited: refused, with a sentence; forced by name: taken, and recorded. Unknown, overtaken: refused."""

    async def steps(change: Change) -> None:
        with pytest.raises(ConfigError, match=r"raw@1: its audit\.json does not say that it passed"):
            await change(with_shadow(ALONE, UNAUDITED, 1.0), "for a look", 1, False)
        forced = await change(with_shadow(ALONE, UNAUDITED, 1.0), "for a look", 1, True)
        assert (forced.version, forced.forced) == (2, frozenset({UNAUDITED}))
        assert forced.reason == "for a look [without an audit: raw@1]"
        with pytest.raises(ConfigError, match="no bundle nowhere@1 on this machine"):
            await change(with_canary(ALONE, "nowhere@1", 0.1), "a try", 2, False)
        with pytest.raises(ConfigError, match="was to change version 1"):
            await change(ALONE, "back", 1, False)
        with pytest.raises(ConfigError, match="say it otherwise"):
            await change(with_canary(ALONE, SECOND, 0.1), f"[without an audit: {UNAUDITED}]", 2, False)
        plain = await change(with_canary(ALONE, SECOND, 0.1), "a try", 2, True)
        assert plain.reason == "a try", "what has passed needs no force"

    async def by_server() -> None:
        async with open_tiny_routing(shelf, database, audit=audit) as routing:

            async def change(policy: Policy, reason: str, version: int, is_forced: bool) -> PolicyVersion:
                unaudited = [UNAUDITED] if is_forced else []
                return await routing.desk.change(policy, "ann", reason, version, unaudited)

            await steps(change)

    async def by_console() -> None:
        PolicyStore(database).begin(ALONE, 0.0)
        office = PolicyOffice(database, audit)

        async def change(policy: Policy, reason: str, version: int, is_forced: bool) -> PolicyVersion:
            return await asyncio.to_thread(office.change, policy, "ann", reason, version, is_forced)

        await steps(change)

    run(by_server() if door == "server" else by_console())
    found = noted(tmp_path)
    assert {line["who"] for line in found} == {"ann"}
    assert [line["action"].removeprefix("policy.") for line in found] == [
        *("refused", "set", "refused", "refused", "refused", "set")
    ]
    assert found[1] == {
        "action": "policy.set",
        "who": "ann",
        "reason": "for a look",
        "version": "2",
        "forced": UNAUDITED,
    }
    assert "its audit.json does not say" in found[0]["why"]


def test_a_rollback_does_not_wait_for_a_bundle_that_is_being_loaded(
    shelf: Path, database: sqlalchemy.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the change that loads it is told that it was overtaken; what it loaded is not kept."""

    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            gate, begun, whole = asyncio.Event(), asyncio.Event(), EngineRack._open

            async def slow(rack: EngineRack, key: str) -> Engine:
                begun.set()
                await gate.wait()
                return await whole(rack, key)

            monkeypatch.setattr(EngineRack, "_open", slow)
            loading = asyncio.create_task(routing.desk.change(with_canary(ALONE, SECOND, 0.1), "ann", "a try", 1))
            await begun.wait()
            back = Policy.model_validate({"primary": FIRST, "weights": {FIRST: 2.0}})
            async with asyncio.timeout(5):
                assert (await routing.desk.change(back, "bob", "back", 1)).version == 2
            gate.set()
            with pytest.raises(ConfigError, match="version 2, and this was to change version 1"):
                await loading
            assert [engine.key for engine in routing.router.engines] == [FIRST]

    run(test())


def test_a_bundle_that_nobody_wants_by_the_time_it_is_loaded_is_not_kept(
    shelf: Path, database: sqlalchemy.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        async with open_tiny_routing(shelf, database) as here, open_tiny_routing(shelf, database) as there:
            gate, begun, whole = asyncio.Event(), asyncio.Event(), EngineRack._open
            await here.desk.change(with_canary(ALONE, SECOND, 0.1), "ann", "a try", 1)
            await until(lambda: len(there.router.engines) == 2)

            async def slow(rack: EngineRack, key: str) -> Engine:
                begun.set()
                await gate.wait()
                return await whole(rack, key)

            monkeypatch.setattr(EngineRack, "_open", slow)
            third = with_canary(ALONE, UNAUDITED, 0.1)
            await asyncio.to_thread(PolicyStore(database).add, third, "ann", "a third", 2, 0.0)
            await begun.wait()
            await asyncio.to_thread(PolicyStore(database).add, ALONE, "ann", "back", 3, 0.0)
            await until(lambda: here.desk.in_force.version == there.desk.in_force.version == 4)
            gate.set()
            await asyncio.sleep(0.3)
            assert [engine.key for each in (here, there) for engine in each.router.engines] == [FIRST, FIRST]

    run(test())


def test_a_version_that_cannot_be_read_is_told_as_such_and_does_not_hide_the_others(
    shelf: Path, database: sqlalchemy.Engine
) -> None:
    """Else whoever would change it is told for ever that somebody else has changed it meanwhile."""

    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            await routing.desk.change(promoted(ALONE, SECOND), "ann", "better", 1)
            row = {"version": 3, "created_s": 0.0, "author": "x", "reason": "by hand", "document": {"primary": FIRST}}
            with database.begin() as connection:
                connection.execute(insert(POLICIES).values(**row))
            await asyncio.sleep(0.1)
            assert routing.desk.in_force.version == 2, "what was in force goes on"
            with pytest.raises(DataError, match=r"version 3 in the table of policies is none.*delete the row"):
                await routing.desk.change(ALONE, "ann", "back", 2)
            assert [each.version for each in await routing.desk.history()] == [2, 1]
            with database.begin() as connection:
                connection.execute(sqlalchemy.delete(POLICIES).where(POLICIES.c.version == 3))
            assert (await routing.desk.change(ALONE, "ann", "back", 2)).version == 3

    run(test())
