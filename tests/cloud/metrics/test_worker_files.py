"""Workers' figures add up, however they end: real processes, and one page."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from voxloop_cloud.metrics.catalogue import SERVER_METRICS
from voxloop_cloud.metrics.worker_files import all_workers, forget_gauges, open_worker_files
from voxloop_proto.errors import ConfigError
from voxloop_proto.metrics.spec import MetricKind

WORKER = """
import sys, time
from pathlib import Path
from prometheus_client import CollectorRegistry
from tests.cloud.metrics.heard_segments import heard
from voxloop_cloud.metrics.figures import Figures
from voxloop_cloud.metrics.worker_files import count_in
folder, place = Path(sys.argv[1]), int(sys.argv[2])
count_in(folder, place)
figures = Figures(CollectorRegistry(), shared=folder)
for _ in range(3):
    figures.hear(heard())
figures.show("voxloop_server_open_sessions", 5)
print("ready", flush=True)
time.sleep(60)
"""
ROOT = Path(__file__).parents[3]
DEVICE = {"vad_kind": "webrtc", "device_kind": "raspberry-pi-5"}
ANSWER = {"bundle": "small@1", "route": "primary"}


class Worker:
    """A process that counts three segments and has five open sessions, until it is killed."""

    def __init__(self, folder: Path, place: int) -> None:
        command = [sys.executable, "-c", WORKER, str(folder), str(place)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        """Ends it at once."""
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate(timeout=30)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_one_page_adds_up_all_workers_and_loses_nothing_of_one_that_dies() -> None:
    with open_worker_files(2) as folder:
        page = all_workers(folder, SERVER_METRICS)
        first, second = Worker(folder, 0), Worker(folder, 1)
        try:
            assert value(page, "voxloop_router_segments_total", **ANSWER) == 6
            assert value(page, "voxloop_server_open_sessions") == 10
            assert value(page, "voxloop_recognizer_busy_seconds_count", **ANSWER) == 6
            first.kill()
            forget_gauges(folder, 0)
            assert value(page, "voxloop_router_segments_total", **ANSWER) == 6
            assert value(page, "voxloop_server_open_sessions") == 5
            first = Worker(folder, 0)  # takes its place
            assert value(page, "voxloop_router_segments_total", **ANSWER) == 9
            assert value(page, "voxloop_recognizer_busy_seconds_sum", **ANSWER) == pytest.approx(9 * 0.02)
            assert value(page, "voxloop_server_open_sessions") == 10
            assert len(list(folder.glob("counter_*"))) == 2
        finally:
            first.kill()
            second.kill()


def test_a_page_of_workers_has_the_samples_that_one_process_has() -> None:
    with open_worker_files(1) as folder:
        worker = Worker(folder, 0)
        try:
            found = {
                sample.name for family in all_workers(folder, SERVER_METRICS).collect() for sample in family.samples
            }
        finally:
            worker.kill()
    shadows = {"voxloop_router_shadows_total"}  # nobody listened in
    assert found == {name for spec in SERVER_METRICS for name in spec.sample_names} - shadows


def test_the_folder_goes_when_the_server_does() -> None:
    with open_worker_files(1) as folder:
        assert folder.is_dir()
    assert not folder.exists()


ABANDONED = """
import os, sys
from voxloop_cloud.metrics.worker_files import open_worker_files
with open_worker_files(1) as folder:
    print(folder, flush=True)
    sys.stdin.read()
    os._exit(1)
"""


def test_what_a_killed_server_left_goes_with_the_next_start_and_not_before() -> None:
    command = [sys.executable, "-c", ABANDONED]
    killed = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    left = Path(killed.stdout.readline().strip())
    with open_worker_files(1) as folder:
        assert left.is_dir()  # it lives
        killed.kill()
        killed.communicate(timeout=30)
        with open_worker_files(1):
            assert not left.exists()
        assert folder.is_dir()


def test_gauges_of_a_whole_process_have_no_labels_that_a_dead_worker_could_leave_behind() -> None:
    assert all(not spec.labels for spec in SERVER_METRICS if spec.kind is MetricKind.GAUGE)


def no_room(file: int, offset: int, size_bytes: int) -> None:
    """As the system says it."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_without_room_a_server_says_so_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(ConfigError, match="No space left"), open_worker_files(1):
        pass


def test_gauges_of_the_dead_go_even_when_there_is_no_room_for_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_worker_files(1) as folder:
        worker = Worker(folder, 0)
        worker.kill()
        page = all_workers(folder, SERVER_METRICS)
        assert value(page, "voxloop_server_open_sessions") == 5
        monkeypatch.setattr(os, "posix_fallocate", no_room)
        forget_gauges(folder, 0)
        assert value(page, "voxloop_server_open_sessions") is None
        assert value(page, "voxloop_router_segments_total", **ANSWER) == 3
