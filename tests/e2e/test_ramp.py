"""A bundle's whole way with nobody acting: from shadow to all devices over a restart, or off again by an alarm."""

import asyncio
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.conftest import ServerProcess, voxloop
from tests.e2e.rollout_server import client, put, serving
from tests.e2e.routed_device import open_session

from voxloop_cloud.bundle import AUDIT_FILE, write_checksums
from voxloop_cloud.rollout.guard import AUTHOR
from voxloop_cloud.routing.policy import Policy, read_policy
from voxloop_cloud.routing.policy_steps import with_canary, with_shadow
from voxloop_cloud.testing import tiny_bundle
from voxloop_proto.v1 import admin_pb2

OLD, NEW = "tiny@1", "tiny@2"
DEVICES, PAST = 16, 16
MOST_S = 120.0

RAMP = """
[rollout]
promotes = true
needs_labels = false
steps = [0.3, 0.6, 1.0]
step_utterances = 8
look_every_ms = 100
settle_ms = 300
slow_ratio = 10.0  # the machine of a test has other things to do
late_ms = 10000.0

[rollout.guards]  # wide margins take few utterances; how many narrow ones take has its own tests
word_errors = {harm = 0.0, margin = 0.5}
nulls = {harm = 0.02, margin = 0.5}
doubt = {harm = 0.05, margin = 0.5}
failures_live = {harm = 0.0, margin = 0.5}
redone_live = {harm = 0.0, margin = 0.5}
nulls_live = {harm = 0.02, margin = 0.5}
late_live = {harm = 0.0, margin = 0.5}
"""

WATCHED = """
[rollout]
alarms = ["answers"]
look_every_ms = 100
"""

RULES = """
[rules.answers]
stage = "decoder"
metric = "voxloop_decoder_confidence_ratio"
aggregation = "mean"
split_by = "bundle"
window_s = 20
min_count = 5
comparison = "above"
threshold = 0.0001
resolves_at = 0.00001
severity = "page"
missing = "hold"
meaning = "It answers, which any bundle does: this test's alarm."
action = "None."
"""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bundles of one model: the new one is as good as the old."""
    folder = tmp_path_factory.mktemp("store")
    for key in (OLD, NEW):
        name, _, version = key.partition("@")
        path = tiny_bundle(folder / f"{name}-{version}", 0, name=name, version=version).path
        (path / AUDIT_FILE).write_text('{"passed": true}')
        write_checksums(path)
    return folder


@pytest.fixture(autouse=True)
def store_of_bundles(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXLOOP_BUNDLES", str(shelf))


async def everybody_speaks(address: str, utterances: int = 1) -> set[str]:
    """All devices, in a session each; which bundles answered."""

    async def speak(number: int) -> list[str]:
        async with open_session(address, f"device-{number}") as device:
            return [(await device.say()).bundle for _ in range(utterances)]

    return {bundle for each in await asyncio.gather(*map(speak, range(DEVICES))) for bundle in each}


def speak_until(server: ServerProcess, holds: Callable[[Policy], bool]) -> list[admin_pb2.PolicyVersion]:
    """All devices speak, again and again, until the policy in force is so; gives all that were, the newest first."""
    deadline_s = time.monotonic() + MOST_S
    with client(server) as admin:
        while not holds(read_policy(admin.policy().policy.document)):
            assert time.monotonic() < deadline_s, [verdict.text for verdict in admin.verdicts(NEW, 1)]
            asyncio.run(everybody_speaks(server.address))
        return admin.policies(100)


def test_a_bundle_that_is_as_good_goes_all_the_way_over_a_server_that_is_killed_midway(
    shelf: Path, tmp_path: Path
) -> None:
    with serving(shelf / "tiny-1", tmp_path, RAMP) as server:
        asyncio.run(everybody_speaks(server.address, PAST))
        with client(server) as admin:
            put(admin, with_shadow(Policy.of_one(OLD), NEW, 1.0))
        speak_until(server, lambda policy: NEW in policy.weights)
        server.kill()
        server.start()
        versions = speak_until(server, lambda policy: policy.primary == NEW)
        assert asyncio.run(everybody_speaks(server.address)) == {NEW}
        with client(server) as admin:
            verdicts = admin.verdicts(NEW, 100)
    policies = [read_policy(each.document) for each in reversed(versions)]
    assert [policy.weights.get(NEW, 0.0) for policy in policies] == pytest.approx([0.0, 0.0, 0.3, 0.6, 1.0])
    assert [each.author for each in versions] == [AUTHOR] * 3 + ["ann", "voxloop serve"]
    assert policies[-1].standby == (OLD,), "one step back at any time"
    promoting = [verdict for verdict in verdicts if verdict.kind == "promote"]
    assert {verdict.policy_version for verdict in promoting} == {2, 3, 4}
    live = json.loads(promoting[0].evidence)["guards"]["failures_live"]
    assert live["is_fine"]
    assert live["count"] > 10
    assert not any(verdict.kind == "roll back" for verdict in verdicts)


def test_an_alarm_takes_the_bundle_off_that_it_names(shelf: Path, tmp_path: Path) -> None:
    """The rule fires for the old bundle, too: that is the one that stays."""
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    alarms = f'[alarms]\nrules = "{rules}"\ninterval_s = 0.2\n'
    with serving(shelf / "tiny-1", tmp_path, WATCHED + alarms) as server:
        asyncio.run(everybody_speaks(server.address))
        with client(server) as admin:
            put(admin, with_canary(Policy.of_one(OLD), NEW, 0.5))
        versions = speak_until(server, lambda policy: NEW not in policy.bundles)
        shown = subprocess.run(
            voxloop("deploy", "verdicts", NEW, "--server", server.address, "--insecure"),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert (versions[0].version, versions[0].author) == (3, AUTHOR)
    assert versions[0].reason == f"Roll back {NEW}, tried against {OLD}: the alarm answers fired."
    assert read_policy(versions[0].document) == Policy.of_one(OLD)
    assert f"UTC: {versions[0].reason}" in shown.stdout
