"""Those who listen in hear what the device said, hold up nobody, and give way when there is no room."""

import asyncio
import threading
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import insert, select
from tests.cloud.routing.conftest import FIRST, SECOND
from tests.cloud.routing.speech import SPEECH, Speaker, answered_by, open_tiny_routing, run, until

from voxloop_cloud.bundle import load_bundle
from voxloop_cloud.hotword_list import HotwordList
from voxloop_cloud.recognition import transcribe
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.routing.policy import Policy
from voxloop_cloud.routing.policy_steps import with_shadow
from voxloop_cloud.routing.routing import Routing
from voxloop_cloud.routing.shadow_hotwords import MOST_READY, ShadowHotwords
from voxloop_cloud.routing.shadow_result import ShadowResult, disagreement
from voxloop_cloud.routing.shadow_writer import write_shadows
from voxloop_cloud.store.tables import SHADOWS, UTTERANCES
from voxloop_cloud.testing import babble
from voxloop_proto.audio import from_pcm16, to_pcm16
from voxloop_proto.errors import ModelError

ALL = with_shadow(Policy.of_one(FIRST), SECOND, 1.0)


async def listen_in(routing: Routing, policy: Policy = ALL) -> list[ShadowResult]:
    """Puts the policy in force; gives the list that results come to."""
    results: list[ShadowResult] = []
    await routing.desk.change(policy, "ann", "to compare", 1)
    routing.shadows.listeners.append(results.append)
    return results


def test_a_shadow_hears_what_its_bundle_hears_offline(shelf: Path, database: sqlalchemy.Engine) -> None:
    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            results = await listen_in(routing)
            speaker = Speaker(routing.router)
            await speaker.begin()
            told = [await speaker.say(), await speaker.say(babble(2300, seed=4))]
            assert {answered_by(each) for each in told} == {FIRST}
            await until(lambda: len(results) == 2)
            offline = transcribe(Recognizer(load_bundle(shelf / "tiny-2")), from_pcm16(to_pcm16(SPEECH))).text
            found = min(results, key=lambda each: each.segment_id)
            assert (found.bundle, found.session_id, found.segment_id) == (SECOND, "s1", 1)
            assert found.text == offline != told[0].text
            assert (found.disagreement_errors, found.disagreement_words) == disagreement(told[0].text, offline)
            assert found.busy_ms > 0.0
            await until(lambda: routing.shadows.waiting == 0)
            assert routing.shadows.held_samples == 0

    run(test())


def test_words_that_differ_are_counted_after_the_same_normalization() -> None:
    assert disagreement("Turn on the light", "turn on the light") == (0, 4)
    assert disagreement("turn on the light", "turn of light please") == (3, 4)
    assert disagreement("", "hello there") == (2, 0)


def test_shadows_wait_while_the_thread_is_busy_and_give_way_beyond_the_bound(
    shelf: Path, database: sqlalchemy.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shadow's model stands still: the primary's does not notice, and copies are dropped from the third on."""

    async def test() -> None:
        async with open_tiny_routing(shelf, database, shadows={"most_waiting": 2}) as routing:
            results = await listen_in(routing)
            gate = threading.Event()
            speaker = Speaker(routing.router)
            await speaker.begin()
            hold = asyncio.get_running_loop().run_in_executor(None, gate.wait)
            with monkeypatch.context() as patch:
                patch.setattr("voxloop_cloud.routing.shadows._recognise", lambda *_: _blocked(hold))
                told = [await speaker.say() for _ in range(6)]
                assert [answered_by(each) for each in told] == [FIRST] * 6
                assert routing.shadows.waiting == 2
                assert routing.shadows.counts.dropped[SECOND] == 4
                assert routing.shadows.held_samples == 2 * len(SPEECH)
                gate.set()
                await until(lambda: len(results) == 2 and routing.shadows.waiting == 0)
            assert routing.shadows.held_samples == 0

    run(test())


async def _blocked(hold: "asyncio.Future[bool]") -> tuple[str, float, float]:
    await asyncio.shield(hold)
    return "late", 0.5, 1.0


def test_copies_are_heard_one_after_the_other_so_that_the_first_is_done_while_others_come(
    shelf: Path, database: sqlalchemy.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []

    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            results = await listen_in(routing)

            async def hear(*_: object) -> tuple[str, float, float]:
                begun.append(len(results))
                await asyncio.sleep(0.02)
                return "heard", 0.5, 1.0

            with monkeypatch.context() as patch:
                patch.setattr("voxloop_cloud.routing.shadows._recognise", hear)
                speakers = [Speaker(routing.router, f"device-{number}", f"s{number}") for number in range(6)]
                await asyncio.gather(*(speaker.begin() for speaker in speakers))
                await asyncio.gather(*(speaker.say() for speaker in speakers))
                await until(lambda: len(results) == 6 and routing.shadows.waiting == 0)
            assert sorted({each.session_id for each in results}) == [f"s{number}" for number in range(6)]
            assert begun == list(range(6)), "one began before the last was done"
            assert routing.shadows.held_samples == 0

    run(test())


def test_a_bundle_that_listens_no_more_hears_nothing_more(
    shelf: Path, database: sqlalchemy.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for it is let go of at once: a rollback is not followed by a minute of shadows."""

    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            results = await listen_in(routing)
            gate = threading.Event()
            speaker = Speaker(routing.router)
            await speaker.begin()
            hold = asyncio.get_running_loop().run_in_executor(None, gate.wait)
            with monkeypatch.context() as patch:
                patch.setattr("voxloop_cloud.routing.shadows._recognise", lambda *_: _blocked(hold))
                for _ in range(4):
                    await speaker.say()
                assert routing.shadows.waiting == 4
                await speaker.start()
                await routing.desk.change(Policy.of_one(FIRST), "ann", "enough", 2)
                assert routing.shadows.waiting == 1
                gate.set()
                await speaker.end()
                await until(lambda: routing.shadows.waiting == 0)
            assert len(results) == 1
            assert routing.shadows.held_samples == 0
            assert routing.shadows.counts.dropped[SECOND] == 0

    run(test())


def test_a_listener_that_fails_does_not_end_the_hearing(shelf: Path, database: sqlalchemy.Engine) -> None:
    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            results = await listen_in(routing)

            def fail(_: ShadowResult) -> None:
                raise ValueError("unlucky")

            routing.shadows.listeners.append(fail)
            speaker = Speaker(routing.router)
            await speaker.begin()
            for _ in range(2):
                await speaker.say()
            await until(lambda: len(results) == 2 and routing.shadows.waiting == 0)

    run(test())


class PreparedOnce:
    """A bundle that notes what it makes ready."""

    def __init__(self) -> None:
        self.asked: list[HotwordList] = []

    async def prepare(self, hotwords: HotwordList) -> object:
        self.asked.append(hotwords)
        return object()


def test_hotwords_are_made_ready_once_for_a_bundle_that_listens_in() -> None:
    engine, ready = PreparedOnce(), ShadowHotwords()
    lists = [HotwordList(((f"word{'x' * number}",),), only=False) for number in range(MOST_READY + 1)]

    async def of(asked: HotwordList | None) -> object:
        return await ready.of(engine, asked)  # type: ignore[arg-type]

    async def test() -> None:
        assert await of(None) is None
        first = await of(lists[0])
        assert await of(HotwordList(lists[0].phrases, only=False)) is first
        assert engine.asked == lists[:1]
        for each in lists:
            await of(each)
        assert len(engine.asked) == len(lists)
        await of(lists[0])
        assert engine.asked[-1] == lists[0], "bounded: the oldest gave way"
        ready.clear()
        await of(lists[-1])
        assert len(engine.asked) == len(lists) + 2

    run(test())


def test_sound_beyond_the_bound_is_not_held(shelf: Path, database: sqlalchemy.Engine) -> None:
    async def test() -> None:
        async with open_tiny_routing(shelf, database, shadows={"most_held_ms": 2000}) as routing:
            results = await listen_in(routing)
            speaker = Speaker(routing.router)
            await speaker.begin()
            long, short = await speaker.say(babble(2500)), await speaker.say(babble(900))
            assert long.text != ""
            await until(lambda: len(results) == 1)
            assert [each.segment_id for each in results] == [short.segment_id]
            await until(lambda: routing.shadows.waiting == 0)
            assert routing.shadows.counts.dropped[SECOND] == 1
            assert routing.shadows.held_samples == 0

    run(test())


def test_a_segment_that_is_given_up_leaves_nothing_behind(shelf: Path, database: sqlalchemy.Engine) -> None:
    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            results = await listen_in(routing)
            speaker = Speaker(routing.router)
            await speaker.begin()
            await speaker.start()
            assert routing.shadows.held_samples > 0
            speaker.session.close()
            assert routing.shadows.held_samples == 0
            assert results == []

    run(test())


def test_a_shadow_that_fails_is_counted_and_the_device_has_its_text(
    shelf: Path, database: sqlalchemy.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            results = await listen_in(routing)
            speaker = Speaker(routing.router)
            await speaker.begin()
            whole = Recognizer.step

            def step(recognizer: Recognizer, *given: object, **more: object) -> object:
                if recognizer.bundle.key == SECOND:
                    raise ModelError("broken")
                return whole(recognizer, *given, **more)  # type: ignore[arg-type]

            with monkeypatch.context() as patch:
                patch.setattr(Recognizer, "step", step)
                assert answered_by(await speaker.say()) == FIRST
                await until(lambda: routing.shadows.counts.failed[SECOND] == 1)
            await speaker.say()
            await until(lambda: len(results) == 1)

    run(test())


def test_the_end_does_not_wait_for_those_who_listen_in(shelf: Path, database: sqlalchemy.Engine) -> None:
    async def test() -> None:
        async with open_tiny_routing(shelf, database) as routing:
            await listen_in(routing)
            speaker = Speaker(routing.router)
            await speaker.begin()
            for _ in range(5):
                await speaker.say()
        assert routing.shadows.waiting == 0
        assert routing.shadows.held_samples == 0

    run(test())


def _utterance(segment_id: int, keeps_text: bool) -> dict[str, object]:
    return {
        "session_id": "s1",
        "segment_id": segment_id,
        "device_id": "kitchen",
        "arrived_s": 0.0,
        "bundle": FIRST,
        "route": "primary",
        "duration_ms": 1000.0,
        "start_sample": 0,
        "keeps_text": keeps_text,
    }


def test_results_become_rows_beside_their_utterance_with_text_only_where_that_is_agreed_to(
    database: sqlalchemy.Engine,
) -> None:
    results = [ShadowResult("s1", number, SECOND, f"text {number}", 0.5, 3.0, 1, 4) for number in (1, 2, 3)]
    with database.begin() as connection:
        connection.execute(insert(UTTERANCES), [_utterance(1, keeps_text=True), _utterance(2, keeps_text=False)])
    assert write_shadows(database, results) == set(results[:2])
    assert write_shadows(database, results[:1]) == set(results[:1]), "a second time is the same"
    with database.connect() as connection:
        rows = connection.execute(select(SHADOWS).order_by(SHADOWS.c.utterance_id)).all()
    assert [(row.bundle, row.text, row.disagreement_errors, row.disagreement_words) for row in rows] == [
        (SECOND, "text 1", 1, 4),
        (SECOND, None, 1, 4),
    ]
