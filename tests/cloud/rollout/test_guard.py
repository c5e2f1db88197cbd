"""The guard at work on a real store: nobody else acts."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile
from sqlalchemy import Engine, insert
from tests.cloud.rollout.store_rows import CANDIDATE, PRESENT, add_shadowed

from voxloop_cloud.bundle import AUDIT_FILE, write_checksums
from voxloop_cloud.recognition import transcribe
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.rollout.config import RolloutConfig
from voxloop_cloud.rollout.guard import AUTHOR, RolloutGuard
from voxloop_cloud.rollout.lease import Lease
from voxloop_cloud.rollout.verdict import Kind
from voxloop_cloud.rollout.verdict_store import list_verdicts
from voxloop_cloud.routing.policy import Policy
from voxloop_cloud.routing.policy_steps import with_canary, with_shadow
from voxloop_cloud.routing.policy_store import PolicyStore
from voxloop_cloud.routing.policy_version import PolicyVersion
from voxloop_cloud.store.database import writing
from voxloop_cloud.store.tables import ALARMS
from voxloop_cloud.testing import babble, tiny_bundle
from voxloop_proto.audio import Pcm
from voxloop_proto.errors import ConfigError, DataError, ModelError

BEGAN_S, NOW_S = 1_000.0, 2_000.0
SHADOWED = with_shadow(Policy.of_one(PRESENT), CANDIDATE, 1.0)


@dataclass
class Desk:
    """The policies of a database, without bundles to load."""

    store: PolicyStore
    is_overtaken: bool = False

    async def history(self) -> list[PolicyVersion]:
        return self.store.history()

    async def change(
        self, policy: Policy, author: str, reason: str, expected_version: int, unaudited: Collection[str] = ()
    ) -> PolicyVersion:
        if self.is_overtaken:
            raise ConfigError("somebody else has changed it meanwhile")
        return self.store.add(policy, author, reason, expected_version, NOW_S)


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    """Of the candidate, which has passed its audit."""
    name, _, version = CANDIDATE.partition("@")
    bundle = tiny_bundle(tmp_path_factory.mktemp("bundle"), name=name, version=version)
    (bundle.path / AUDIT_FILE).write_text('{"passed": true, "gates": {"onnx_equals_torch": true}}')
    write_checksums(bundle.path)
    return Recognizer(bundle)


@pytest.fixture
def desk(database: Engine) -> Desk:
    store = PolicyStore(database)
    store.begin(Policy.of_one(PRESENT), 0.0)
    store.add(SHADOWED, "ann", "a try", 1, BEGAN_S)
    return Desk(store)


def guard_of(
    database: Engine, desk: Desk, recognizer: Recognizer, now_s: float = NOW_S, **settings: object
) -> RolloutGuard:
    config = RolloutConfig.model_validate({"look_every_ms": 50} | settings)
    return RolloutGuard(database, desk, lambda _: recognizer, config, now_s=lambda: now_s)


def in_force(desk: Desk) -> PolicyVersion:
    newest = desk.store.newest()
    assert newest is not None
    return newest


def test_a_bundle_that_hears_nothing_is_rolled_back_and_why_is_written_down(
    database: Engine, desk: Desk, recognizer: Recognizer
) -> None:
    add_shadowed(database, 300, BEGAN_S + 1, labelled=False, shadow=[("is_null", True), ("text", "")])
    [verdict] = asyncio.run(guard_of(database, desk, recognizer).look())
    assert verdict.kind is Kind.ROLL_BACK
    newest = in_force(desk)
    assert (newest.author, newest.reason) == (AUTHOR, verdict.reason)
    assert newest.policy == Policy.of_one(PRESENT)
    [kept] = list_verdicts(database, CANDIDATE)
    assert (kept.kind, kept.against, kept.policy_version, kept.text) == (Kind.ROLL_BACK, PRESENT, 2, verdict.text)
    assert kept.text.startswith(newest.reason)
    assert asyncio.run(guard_of(database, desk, recognizer).look()) == []


def test_a_better_bundle_goes_up_a_step_only_where_the_guard_may_promote(
    database: Engine, desk: Desk, recognizer: Recognizer
) -> None:
    add_shadowed(database, 700, BEGAN_S + 1)
    [verdict] = asyncio.run(guard_of(database, desk, recognizer).look())
    assert verdict.kind is Kind.PROMOTE
    assert in_force(desk).version == 2
    asyncio.run(guard_of(database, desk, recognizer, now_s=NOW_S + 1, promotes=True).look())
    assert in_force(desk).version == 2, "the other guard's lease"
    asyncio.run(guard_of(database, desk, recognizer, now_s=NOW_S + 9, promotes=True).look())
    assert in_force(desk).policy == with_canary(SHADOWED, CANDIDATE, 0.01)
    assert list_verdicts(database)[0].kind is Kind.PROMOTE


def test_an_alarm_takes_a_canary_off_but_not_one_that_only_listens(
    database: Engine, desk: Desk, recognizer: Recognizer
) -> None:
    with writing(database) as connection:
        alarm = {"rule": "slow", "severity": "page", "fired_s": 1_600.0, "value": 1.0, "threshold": 0.5, "labels": {}}
        connection.execute(insert(ALARMS).values(alarm))
    [listening] = asyncio.run(guard_of(database, desk, recognizer, alarms=["slow"]).look())
    assert listening.kind is Kind.HOLD
    desk.store.add(with_canary(SHADOWED, CANDIDATE, 0.05), "ann", "on", 2, 1_500.0)
    [answering] = asyncio.run(guard_of(database, desk, recognizer, now_s=NOW_S + 9, alarms=["slow"]).look())
    assert "the alarm slow fired" in answering.reason
    assert in_force(desk).policy == Policy.of_one(PRESENT)


@pytest.mark.parametrize(("bundle", "kind"), [(CANDIDATE, Kind.ROLL_BACK), (PRESENT, Kind.HOLD)])
def test_an_alarm_that_names_a_bundle_concerns_that_one_alone(
    database: Engine, desk: Desk, recognizer: Recognizer, bundle: str, kind: Kind
) -> None:
    desk.store.add(with_canary(SHADOWED, CANDIDATE, 0.05), "ann", "on", 2, 1_500.0)
    alarm = {"rule": "null_transcripts", "severity": "page", "fired_s": 1_600.0, "value": 1.0, "threshold": 0.5}
    with writing(database) as connection:
        connection.execute(insert(ALARMS).values(alarm | {"labels": {"bundle": bundle}}))
    [verdict] = asyncio.run(guard_of(database, desk, recognizer).look())
    assert verdict.kind is kind


def test_the_same_verdict_is_not_written_down_at_every_look(
    database: Engine, desk: Desk, recognizer: Recognizer
) -> None:
    guard = guard_of(database, desk, recognizer)
    for _ in range(3):
        asyncio.run(guard.look())
    assert len(list_verdicts(database)) == 1


def test_a_guard_that_is_overtaken_by_a_person_looks_again(
    database: Engine, desk: Desk, recognizer: Recognizer
) -> None:
    add_shadowed(database, 300, BEGAN_S + 1, labelled=False, shadow=[("is_null", True)])
    guard = guard_of(database, desk, recognizer)
    desk.is_overtaken = True
    asyncio.run(guard.look())
    assert in_force(desk).version == 2
    desk.is_overtaken = False
    asyncio.run(guard.look())
    assert in_force(desk).author == AUTHOR


def test_another_guard_goes_on_where_one_died(database: Engine, desk: Desk, recognizer: Recognizer) -> None:
    add_shadowed(database, 20, BEGAN_S + 1)
    [first] = asyncio.run(guard_of(database, desk, recognizer).look())
    [second] = asyncio.run(guard_of(database, desk, recognizer, now_s=NOW_S + 9).look())
    assert second.evidence == first.evidence
    assert first.evidence["guards"]["nulls"]["count"] == 20


def test_clips_that_must_not_fail_are_heard_before_a_promotion(
    database: Engine, desk: Desk, recognizer: Recognizer, tmp_path: Path
) -> None:
    sound = babble(900.0)
    soundfile.write(tmp_path / "clip.wav", sound, 16_000, subtype="FLOAT")
    add_shadowed(database, 700, BEGAN_S + 1)
    right = transcribe(recognizer, sound).text
    for now_s, text, kind in ((NOW_S, right, Kind.PROMOTE), (NOW_S + 9, "stop", Kind.ROLL_BACK)):
        manifest = tmp_path / "must.jsonl"
        manifest.write_text(f'{{"audio": "clip.wav", "text": "{text}"}}\n')
        [verdict] = asyncio.run(guard_of(database, desk, recognizer, now_s=now_s, must_not_fail=manifest).look())
        assert verdict.kind is kind


def test_a_clip_that_cannot_be_read_any_more_stops_no_other_guard(
    database: Engine, desk: Desk, recognizer: Recognizer, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "clip.wav", babble(900.0), 16_000)
    manifest = tmp_path / "must.jsonl"
    manifest.write_text('{"audio": "clip.wav", "text": "stop"}\n')
    guard = guard_of(database, desk, recognizer, must_not_fail=manifest, promotes=True)
    (tmp_path / "clip.wav").write_bytes(b"no sound")
    [held] = asyncio.run(guard.look())
    assert held.kind is Kind.HOLD
    assert "the clips that must not fail are still being heard" in held.text
    add_shadowed(database, 300, BEGAN_S + 1, labelled=False, shadow=[("is_null", True), ("text", "")])
    [verdict] = asyncio.run(guard.look())
    assert verdict.kind is Kind.ROLL_BACK
    assert in_force(desk).author == AUTHOR


@pytest.mark.parametrize(("rate_hz", "sound", "said"), [(8_000, babble(900.0), "8000 Hz"), (16_000, None, "read")])
def test_a_manifest_of_clips_that_are_none_is_refused_at_the_start(
    database: Engine, desk: Desk, recognizer: Recognizer, tmp_path: Path, rate_hz: int, sound: Pcm | None, said: str
) -> None:
    if sound is None:
        (tmp_path / "clip.wav").write_bytes(b"no sound")
    else:
        soundfile.write(tmp_path / "clip.wav", sound, rate_hz)
    manifest = tmp_path / "must.jsonl"
    manifest.write_text('{"audio": "clip.wav", "text": "stop"}\n')
    with pytest.raises(DataError, match=said):
        guard_of(database, desk, recognizer, must_not_fail=manifest)


def test_clips_are_heard_a_few_at_a_look_so_that_devices_do_not_wait_for_them(
    database: Engine, desk: Desk, recognizer: Recognizer, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "clip.wav", babble(3_000.0), 16_000)
    manifest = tmp_path / "must.jsonl"
    manifest.write_text('{"audio": "clip.wav", "text": "stop"}\n' * 20)
    guard = guard_of(database, desk, recognizer, must_not_fail=manifest, look_every_ms=50)
    looks = [asyncio.run(guard.look())[0]]
    while looks[-1].kind is Kind.HOLD and len(looks) <= 20:
        looks += asyncio.run(guard.look())
    assert len(looks) > 1
    assert looks[-1].kind is Kind.ROLL_BACK
    assert "20 of 20 clips that must not fail did" in looks[-1].reason


def test_a_model_that_fails_on_a_clip_has_it_wrong(
    database: Engine, desk: Desk, recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "clip.wav", babble(900.0), 16_000)
    manifest = tmp_path / "must.jsonl"
    manifest.write_text('{"audio": "clip.wav", "text": "stop"}\n')

    def fail(*_: object, **__: object) -> object:
        raise ModelError("broken")

    monkeypatch.setattr(Recognizer, "step", fail)
    [verdict] = asyncio.run(guard_of(database, desk, recognizer, must_not_fail=manifest).look())
    assert verdict.kind is Kind.ROLL_BACK
    assert "'(the model failed)' in place of 'stop'" in verdict.reason


def test_a_process_without_the_bundle_leaves_the_watch_to_others(
    database: Engine, desk: Desk, recognizer: Recognizer
) -> None:
    add_shadowed(database, 300, BEGAN_S + 1, labelled=False, shadow=[("is_null", True), ("text", "")])
    config = RolloutConfig(look_every_ms=50)
    lacking = RolloutGuard(database, desk, lambda _: None, config, now_s=lambda: NOW_S)
    assert asyncio.run(lacking.look()) == []
    [verdict] = asyncio.run(guard_of(database, desk, recognizer).look())
    assert verdict.kind is Kind.ROLL_BACK


def test_a_bundle_that_was_forced_to_listen_is_not_let_to_answer_by_the_guard(database: Engine, tmp_path: Path) -> None:
    name, _, version = CANDIDATE.partition("@")
    unaudited = Recognizer(tiny_bundle(tmp_path / "bundle", name=name, version=version))
    store = PolicyStore(database)
    store.begin(Policy.of_one(PRESENT), 0.0)
    store.add(SHADOWED, "ann", f"a try [without an audit: {CANDIDATE}]", 1, BEGAN_S)
    add_shadowed(database, 700, BEGAN_S + 1)
    [verdict] = asyncio.run(guard_of(database, Desk(store), unaudited, promotes=True).look())
    assert verdict.kind is Kind.HOLD
    assert "it has no audit" in verdict.reason


def test_a_guard_that_is_told_to_end_gives_its_lease_back(database: Engine, desk: Desk, recognizer: Recognizer) -> None:
    async def run() -> None:
        task = asyncio.create_task(guard_of(database, desk, recognizer).run())
        while not list_verdicts(database):
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert Lease(database, "guard", "another", 1.0).take(NOW_S)


def test_one_holds_a_lease_until_it_ends(database: Engine) -> None:
    mine, yours = Lease(database, "work", "me", 10.0), Lease(database, "work", "you", 10.0)
    assert [mine.take(0.0), yours.take(9.0), mine.take(9.0), yours.take(18.0), yours.take(19.5)] == [
        *(True, False, True, False, True)
    ]
    assert not mine.take(20.0)
    mine.release()
    assert not mine.take(20.0), "what is not one's own is not given back"
    yours.release()
    assert mine.take(20.0)
