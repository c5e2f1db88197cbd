"""`voxloop calibrate` with a real server, and that `voxloop serve` obeys what it wrote."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
from tests.cloud.test_capacity import capacity_of
from tests.e2e.conftest import ServerProcess, voxloop

from voxloop_cloud.bundle import load_bundle
from voxloop_cloud.capacity_file import capacity_path, keep_capacity, measured_capacity
from voxloop_cloud.load.crowd import Crowd, Plan
from voxloop_cloud.load.spoken_clip import cut_clip, own_speech

TIME_LIMIT_S = 120.0


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXLOOP_BUNDLES", str(tmp_path / "bundles"))


def test_nobody_is_in_time_for_a_target_that_no_machine_keeps(tiny: Path) -> None:
    command = voxloop("calibrate", "--bundle", tiny, "--seconds", 2, "--p95-ms", 1, "--p99-ms", 1)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False, env={**os.environ}
    )
    assert done.returncode == 2
    assert "not even one device has its text within 1 ms" in done.stderr
    assert not capacity_path().exists()


def test_who_comes_beyond_what_was_measured_is_refused_at_once_and_the_others_are_served(tiny: Path) -> None:
    bundle = load_bundle(tiny)
    keep_capacity(capacity_of(bundle, streams=4))
    assert measured_capacity(bundle, 1) is not None
    server = ServerProcess(tiny)
    server.start()
    clips = [cut_clip(pcm) for pcm in own_speech()]
    outcome = asyncio.run(Crowd(server.address, clips, Plan(6, warm_up_s=1.0, measured_s=6.0)).speak())
    assert server.terminate() == 0
    assert dict(outcome.refused) == {"RESOURCE_EXHAUSTED": 2}
    assert max(outcome.refused_ms) < 1_000.0
    assert outcome.texts >= 4
    assert not outcome.failures
