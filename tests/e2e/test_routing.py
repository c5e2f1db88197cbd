"""Routing with real processes: two workers, two bundles, many devices, and 'voxloop deploy'."""

import asyncio
import json
import re
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from scipy.stats import binomtest
from tests.e2e.conftest import ServerProcess, voxloop
from tests.e2e.routed_device import Answer, open_session

from voxloop_cloud.bundle import AUDIT_FILE, write_checksums
from voxloop_cloud.routing.admin_client import AdminClient, AdminConfig
from voxloop_cloud.routing.policy import Policy, read_policy
from voxloop_cloud.routing.policy_steps import rolled_back, with_canary, with_shadow
from voxloop_cloud.testing import tiny_bundle
from voxloop_proto.errors import ConfigError
from voxloop_proto.v1 import admin_pb2

OLD, NEW, RAW = "tiny@1", "tiny@2", "raw@1"
DEVICES, SESSIONS, SEGMENTS = 500, 2, 2
AT_ONCE = 20
STREAMS = 16
TIME_LIMIT_S = 120.0


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of bundles, the last of them without an audit."""
    folder = tmp_path_factory.mktemp("store")
    for seed, key in enumerate((OLD, NEW, RAW)):
        name, _, version = key.partition("@")
        path = tiny_bundle(folder / f"{name}-{version}", seed, name=name, version=version).path
        if key != RAW:
            (path / AUDIT_FILE).write_text('{"passed": true}')
            write_checksums(path)
    return folder


@pytest.fixture
def server(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerProcess]:
    monkeypatch.setenv("VOXLOOP_BUNDLES", str(shelf))
    process = ServerProcess(
        shelf / "tiny-1",
        "--state",
        tmp_path / "state",
        "--workers",
        2,
        routing__shadows__most_waiting=2,
        engine__shadow_ratio=1.0,
    )
    process.start()
    yield process
    if process.is_running:
        assert process.terminate() == 0


def client(server: ServerProcess) -> AdminClient:
    return AdminClient(AdminConfig(server=server.address, insecure=True))


def put(admin: AdminClient, policy: Policy, unaudited: tuple[str, ...] = ()) -> admin_pb2.PolicyVersion:
    """Puts a policy in force over whichever is."""
    document = json.dumps(policy.to_document())
    return admin.set_policy(document, "a test", admin.policy().policy.version, unaudited, "ann")


async def all_workers_obey(server: ServerProcess, version: int, bundles: int) -> None:
    """Each connection meets a worker by chance: so many in a row that obey are all of them."""
    obeying = 0
    async with asyncio.timeout(TIME_LIMIT_S):
        while obeying < 20:
            with client(server) as admin:
                found = await asyncio.to_thread(admin.policy)
            loaded = sum(bundle.is_loaded for bundle in found.bundles)
            obeying = obeying + 1 if (found.policy.version, loaded) == (version, bundles) else 0
            if not obeying:
                await asyncio.sleep(0.05)


def test_a_canary_gets_its_share_of_the_utterances_and_no_device_flips(server: ServerProcess) -> None:
    """500 devices, each two sessions of two utterances, over two workers: 2,000 utterances at 5 %."""
    heard: dict[str, list[Answer]] = {f"device-{number}": [] for number in range(DEVICES)}

    async def use(device_id: str) -> None:
        for _ in range(SESSIONS):
            async with open_session(server.address, device_id) as device:
                heard[device_id] += [await device.say() for _ in range(SEGMENTS)]

    async def crowd() -> None:
        with client(server) as admin:
            version = put(admin, with_canary(Policy.of_one(OLD), NEW, 0.05)).version
        await all_workers_obey(server, version, bundles=2)
        devices = iter(heard)

        async def several() -> None:
            for device_id in devices:
                await use(device_id)

        await asyncio.gather(*(several() for _ in range(AT_ONCE)))

    asyncio.run(crowd())
    utterances = [answer for answers in heard.values() for answer in answers]
    assert len(utterances) == DEVICES * SESSIONS * SEGMENTS == 2_000
    assert {len({answer.bundle for answer in answers}) for answers in heard.values()} == {1}, "a device flipped"
    assert {(answer.bundle, answer.route) for answer in utterances} == {(OLD, "ROUTE_PRIMARY"), (NEW, "ROUTE_CANARY")}
    on_canary = sum(answers[0].bundle == NEW for answers in heard.values())
    interval = binomtest(on_canary, DEVICES).proportion_ci(0.95)
    assert interval.low < 0.05 < interval.high, on_canary
    texts = {bundle: {answer.text for answer in utterances if answer.bundle == bundle} for bundle in (OLD, NEW)}
    assert [len(said) for said in texts.values()] == [1, 1], "a bundle's text depends on its company"
    assert texts[OLD] != texts[NEW]


def test_a_rollback_holds_from_each_open_streams_next_segment_and_loses_none(server: ServerProcess) -> None:
    begun_before: Counter[str] = Counter()
    begun_after: Counter[str] = Counter()
    is_back, is_over = asyncio.Event(), asyncio.Event()

    async def stream(number: int) -> None:
        async with open_session(server.address, f"device-{number}") as device:
            while not is_over.is_set():
                into = begun_after if is_back.is_set() else begun_before
                into[(await device.say(pause_s=0.05)).bundle] += 1

    async def use() -> None:
        with client(server) as admin:
            version = put(admin, with_canary(Policy.of_one(OLD), NEW, 0.5)).version
            await all_workers_obey(server, version, bundles=2)
            async with asyncio.TaskGroup() as group:
                for number in range(STREAMS):
                    group.create_task(stream(number))
                while len(begun_before) < 2 or sum(begun_before.values()) < 5 * STREAMS:
                    await asyncio.sleep(0.05)
                policy = read_policy((await asyncio.to_thread(admin.policy)).policy.document)
                back = await asyncio.to_thread(put, admin, rolled_back(policy, []))
                await all_workers_obey(server, back.version, bundles=1)
                is_back.set()
                while sum(begun_after.values()) < 5 * STREAMS:
                    await asyncio.sleep(0.05)
                is_over.set()

    async def limited() -> None:
        async with asyncio.timeout(TIME_LIMIT_S):
            await use()

    asyncio.run(limited())
    assert set(begun_before) == {OLD, NEW}
    assert set(begun_after) == {OLD}, "a stream went on with what was taken back"


def test_one_worker_obeys_at_once_what_it_was_told_itself(shelf: Path, tmp_path: Path) -> None:
    """No watch in between: the first segment after the answer obeys."""
    process = ServerProcess(shelf / "tiny-1", "--state", tmp_path / "state", routing__watch_ms=60_000)

    async def use(admin: AdminClient) -> None:
        async with open_session(process.address, "kitchen") as device:
            for share, bundle in ((1.0, NEW), (0.0, OLD)) * 3:
                await asyncio.to_thread(put, admin, with_canary(Policy.of_one(OLD), NEW, share))
                assert (await device.say()).bundle == bundle

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOXLOOP_BUNDLES", str(shelf))
        process.start()
        try:
            with client(process) as admin:
                asyncio.run(use(admin))
        finally:
            process.terminate()


def test_an_overload_of_shadows_drops_shadows_and_nothing_else(server: ServerProcess) -> None:
    """Streams that leave the recognizer no pause: two copies may wait in each worker, and all others are dropped."""

    async def stream(number: int) -> list[Answer]:
        async with open_session(server.address, f"device-{number}") as device:
            return [await device.say() for _ in range(20)]

    async def use() -> list[list[Answer]]:
        with client(server) as admin:
            version = put(admin, with_shadow(Policy.of_one(OLD), NEW, 1.0)).version
        await all_workers_obey(server, version, bundles=2)
        return await asyncio.gather(*(stream(number) for number in range(STREAMS)))

    answers = [answer for each in asyncio.run(use()) for answer in each]
    assert Counter(answer.bundle for answer in answers) == {OLD: STREAMS * 20}
    with client(server) as admin:
        shadows = {each.bundle: each for each in admin.policy().bundles}[NEW]
    assert shadows.dropped_shadows > 0
    assert shadows.failed_shadows == 0


def test_what_a_shadow_heard_is_a_row_beside_its_utterance(server: ServerProcess, tmp_path: Path) -> None:
    async def use() -> None:
        with client(server) as admin:
            version = put(admin, with_shadow(Policy.of_one(OLD), NEW, 1.0)).version
        await all_workers_obey(server, version, bundles=2)
        async with open_session(server.address, "kitchen") as device:
            for _ in range(3):
                await device.say()
                await asyncio.sleep(0.5)

    asyncio.run(use())
    assert server.terminate() == 0
    with closing(sqlite3.connect(tmp_path / "state" / "voxloop.db")) as database:
        rows = database.execute(
            "SELECT u.bundle, u.route, u.policy_version, s.bundle, s.text, s.disagreement_errors > 0"
            " FROM shadows s JOIN utterances u ON u.id = s.utterance_id"
        ).fetchall()
    assert rows
    assert set(rows) == {(OLD, "primary", 2, NEW, None, 1)}, "without consent, numbers alone"


def test_state_outlives_the_server(server: ServerProcess) -> None:
    with client(server) as admin:
        version = put(admin, with_canary(Policy.of_one(OLD), NEW, 1.0)).version

    async def say() -> Answer:
        async with open_session(server.address, "kitchen") as device:
            return await device.say()

    server.kill()
    server.start()
    asyncio.run(all_workers_obey(server, version, bundles=2))
    assert asyncio.run(say()).bundle == NEW


def deploy(server: ServerProcess, *words: object, answer: str | None = None) -> "subprocess.CompletedProcess[str]":
    """`voxloop deploy ...`; without an answer it is told not to ask."""
    flags = ["--server", server.address, "--insecure"]
    asking = words[0] not in ("status", "history")
    flags += ["--reason", "a look"] if asking else []
    flags += ["--yes"] if asking and answer is None else []
    return subprocess.run(
        voxloop("deploy", *words, *flags), input=answer or "", capture_output=True, text=True, timeout=60, check=False
    )


def test_the_command_goes_the_whole_way_of_a_bundle(server: ServerProcess) -> None:
    def done(*words: object, answer: str | None = None) -> str:
        result = deploy(server, *words, answer=answer)
        assert result.returncode == 0, result.stderr
        return result.stdout

    assert re.search(r"answers +tiny@1 100 %", done("status"))
    assert "shadows: none  ->  tiny@2 (100 %)" in done("shadow", NEW)
    assert "answers: tiny@1 100 %  ->  tiny@1 95 %, tiny@2 5 %" in done("canary", NEW, answer="y\n")
    refused = deploy(server, "ramp", NEW, "--percent", 50, answer="n\n")
    assert refused.returncode == 2
    assert "nothing was changed" in refused.stderr
    assert "tiny@1 75 %, tiny@2 25 %" in done("ramp", NEW, "--percent", 25)
    unaudited = deploy(server, "canary", RAW, "--percent", 1)
    assert unaudited.returncode == 2
    assert "--unaudited raw@1" in unaudited.stderr
    assert "[without an audit: raw@1]" in done("shadow", RAW, "--unaudited", RAW)
    promoted = done("promote", NEW)
    assert "primary: tiny@1  ->  tiny@2" in promoted
    assert "standby: none  ->  tiny@1" in promoted
    partial = ("automation", "partial", "--least-confidence", 0.8, "--slice", "device_kind=pi")
    assert "people below a confidence of 0.8" in done(*partial)
    assert "primary: tiny@2  ->  tiny@1" in done("rollback")
    history = done("history")
    assert [line.split(",")[0] for line in history.splitlines() if line.startswith("version")] == [
        f"version {number}" for number in range(8, 0, -1)
    ]
    assert "this changes nothing" in done("rollback", "--to", 8)
    assert read_policy(done("status", "--json")).primary == OLD
    with client(server) as admin, pytest.raises(ConfigError, match="was to change version 1"):
        admin.set_policy(json.dumps(Policy.of_one(OLD).to_document()), "too late", 1, (), "bob")
