"""A policy takes effect between two segments of open streams, here at once and elsewhere soon, or not at all."""

import asyncio
import gc
import weakref
from pathlib import Path

import pytest
import sqlalchemy
from tests.cloud.routing.conftest import FIRST, SECOND, UNAUDITED
from tests.cloud.routing.speech import SPEECH, Speaker, answered_by, open_tiny_routing, run, until

from voxloop_cloud.bundle import load_bundle
from voxloop_cloud.recognition import transcribe
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.routing.policy import Policy
from voxloop_cloud.routing.policy_steps import promoted, rolled_back, with_canary, with_shadow
from voxloop_cloud.routing.routing import Routing
from voxloop_proto.audio import from_pcm16, to_pcm16
from voxloop_proto.errors import ConfigError, VoxloopError
from voxloop_proto.v1 import voxloop_pb2 as pb

ALONE = Policy.of_one(FIRST)


def text_of(shelf: Path, folder: str) -> str:
    return transcribe(Recognizer(load_bundle(shelf / folder)), from_pcm16(to_pcm16(SPEECH))).text


async def put(routing: Routing, policy: Policy, reason: str = "a test", **more: object) -> None:
    await routing.desk.change(policy, "ann", reason, routing.desk.in_force.version, **more)  # type: ignore[arg-type]


def test_without_a_store_the_one_bundle_answers_and_the_policy_stays(shelf: Path) -> None:
    async def test() -> None:
        async with open_tiny_routing(shelf, None) as routing:
            speaker = Speaker(routing.router)
            await speaker.begin()
            transcript = await speaker.say()
            assert (answered_by(transcript), transcript.provenance.route) == (FIRST, pb.ROUTE_PRIMARY)
            assert routing.desk.in_force.version == 0
            with pytest.raises(ConfigError, match="keeps no state, so its policy is fixed"):
                await put(routing, with_canary(ALONE, SECOND, 1.0))

    run(test())


def test_a_policy_holds_from_the_next_segment_and_what_is_under_way_ends_on_its_bundle(
    shelf: Path, database: sqlalchemy.Engine
) -> None:
    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            speaker = Speaker(routing.router)
            await speaker.begin()
            await speaker.start()
            await put(routing, with_canary(ALONE, SECOND, 1.0))
            before, after = await speaker.end(), await speaker.say()
            assert (answered_by(before), before.provenance.route, before.text) == (
                FIRST,
                pb.ROUTE_PRIMARY,
                text_of(shelf, "tiny-1"),
            )
            assert (answered_by(after), after.provenance.route, after.text) == (
                SECOND,
                pb.ROUTE_CANARY,
                text_of(shelf, "tiny-2"),
            )
            assert before.text != after.text

    run(test())


def test_streams_of_two_bundles_at_once_each_get_their_own_text(shelf: Path, database: sqlalchemy.Engine) -> None:
    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            await put(routing, with_canary(ALONE, SECOND, 0.5))
            speakers = [Speaker(routing.router, f"device-{number}", f"s{number}") for number in range(16)]
            await asyncio.gather(*(speaker.begin() for speaker in speakers))
            found = await asyncio.gather(*(speaker.say() for speaker in speakers))
            texts = {FIRST: text_of(shelf, "tiny-1"), SECOND: text_of(shelf, "tiny-2")}
            assert {answered_by(each) for each in found} == {FIRST, SECOND}
            assert all(each.text == texts[answered_by(each)] for each in found)

    run(test())


def test_another_process_obeys_within_its_watch(shelf: Path, database: sqlalchemy.Engine) -> None:
    async def test() -> None:
        async with open_tiny_routing(shelf, database) as here, open_tiny_routing(shelf, database) as there:
            await put(here, with_canary(ALONE, SECOND, 1.0))
            await until(lambda: there.desk.in_force.version == 2)
            speaker = Speaker(there.router)
            await speaker.begin()
            assert answered_by(await speaker.say()) == FIRST, "until the bundle is loaded, the primary answers"
            await until(lambda: len(there.router.engines) == 2)
            assert answered_by(await speaker.say()) == SECOND
            with pytest.raises(ConfigError, match="version 2, and this was to change version 1"):
                await there.desk.change(ALONE, "bob", "too late", 1)

    run(test())


def test_a_bundle_that_is_not_needed_is_freed_once_its_last_segment_is_done(
    shelf: Path, database: sqlalchemy.Engine
) -> None:
    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            speaker = Speaker(routing.router)
            await speaker.begin()
            await put(routing, with_canary(ALONE, SECOND, 1.0))
            await speaker.start()
            (loaded,) = [engine for engine in routing.router.engines if engine.key == SECOND]
            freed = weakref.ref(loaded.recognizer)
            del loaded
            await put(routing, ALONE)
            assert len(routing.router.engines) == 1
            assert answered_by(await speaker.end()) == SECOND
            assert answered_by(await speaker.say()) == FIRST  # the thread forgets the last batch with the next one
            gc.collect()
            assert freed() is None

    run(test())


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (with_canary(ALONE, "nowhere@1", 0.1), "no bundle nowhere@1 on this machine; here are"),
        (with_shadow(ALONE, "nowhere@1", 0.1), "no bundle nowhere@1"),
        (with_canary(ALONE, UNAUDITED, 0.1), "its audit.json does not say that it passed"),
        (with_shadow(ALONE, UNAUDITED, 0.1), "force it by name, which is recorded: --unaudited raw@1"),
        (promoted(ALONE, UNAUDITED), "--unaudited raw@1"),
    ],
)
def test_a_policy_that_cannot_be_served_is_refused_and_nothing_changes(
    shelf: Path, database: sqlalchemy.Engine, policy: Policy, said: str
) -> None:
    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            with pytest.raises(VoxloopError) as refused:
                await put(routing, policy)
            assert said in refused.value.message
            assert routing.desk.in_force.version == 1
            assert [engine.key for engine in routing.router.engines] == [FIRST]

    run(test())


def test_a_damaged_bundle_is_refused(
    shelf: Path, database: sqlalchemy.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / "store" / "damaged"
    damaged.mkdir(parents=True)
    for file in (shelf / "tiny-2").iterdir():
        (damaged / file.name).write_bytes(file.read_bytes())
    (damaged / "tokens.txt").write_text("garbage")
    monkeypatch.setenv("VOXLOOP_BUNDLES", str(damaged.parent))

    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            with pytest.raises(VoxloopError, match=r"tokens\.txt"):
                await put(routing, with_canary(ALONE, SECOND, 0.1))
            assert routing.desk.in_force.version == 1

    run(test())


def test_a_bundle_without_its_audit_is_taken_when_it_is_named_and_that_is_recorded(
    shelf: Path, database: sqlalchemy.Engine
) -> None:
    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            await put(routing, with_shadow(ALONE, UNAUDITED, 1.0), "for a look", unaudited=[UNAUDITED])
            assert routing.desk.in_force.reason == "for a look [without an audit: raw@1]"
            with pytest.raises(ConfigError, match="audit"):  # to listen is not yet to answer
                await put(routing, with_canary(ALONE, UNAUDITED, 0.1))
            await put(routing, promoted(ALONE, UNAUDITED), unaudited=[UNAUDITED])
            await put(routing, promoted(routing.desk.in_force.policy, FIRST))
            earlier = [each.policy for each in await routing.desk.history()]
            await put(routing, rolled_back(routing.desk.in_force.policy, earlier))  # a step back needs no leave
            assert routing.desk.in_force.policy.primary == UNAUDITED

    run(test())


def test_a_server_that_starts_takes_the_policy_that_is_there(shelf: Path, database: sqlalchemy.Engine) -> None:
    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            await put(routing, promoted(ALONE, SECOND))
        async with open_tiny_routing(shelf, database) as again:
            assert again.desk.in_force.version == 2
            assert [engine.key for engine in again.router.engines] == [SECOND, FIRST]

    run(test())


def test_a_server_without_the_policys_bundle_answers_with_its_own_and_says_so(
    shelf: Path, database: sqlalchemy.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            await put(routing, promoted(ALONE, SECOND))
        monkeypatch.setenv("VOXLOOP_BUNDLES", str(tmp_path / "empty"))
        async with open_tiny_routing(shelf, database) as lacking:
            speaker = Speaker(lacking.router)
            await speaker.begin()
            transcript = await speaker.say()
            assert (answered_by(transcript), transcript.provenance.route) == (FIRST, pb.ROUTE_PRIMARY)
            assert "no bundle tiny@2 on this machine" in lacking.router.failures[SECOND]

    run(test())


def test_a_database_that_goes_away_leaves_the_policy_as_it_is(shelf: Path, database: sqlalchemy.Engine) -> None:
    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            with database.begin() as connection:
                connection.exec_driver_sql("ALTER TABLE policies RENAME TO hidden")
            await asyncio.sleep(0.1)
            speaker = Speaker(routing.router)
            await speaker.begin()
            assert answered_by(await speaker.say()) == FIRST
            with database.begin() as connection:
                connection.exec_driver_sql("ALTER TABLE hidden RENAME TO policies")
            await put(routing, with_canary(ALONE, SECOND, 1.0))
            assert answered_by(await speaker.say()) == SECOND

    run(test())
