"""Metrics as an operator sees them: a real server, a real replay, a real scrape."""

import json
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import psutil
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as otlp_grpc
from prometheus_client.parser import text_string_to_metric_families
from tests.cloud.metrics.test_spans import Collector
from tests.e2e.conftest import QUERIES, ROOT, voxloop
from tests.e2e.test_listen import raw_query

from voxloop_cloud.bundle import AUDIT_FILE, write_checksums
from voxloop_cloud.routing.admin_client import AdminClient, AdminConfig
from voxloop_cloud.routing.policy import Policy
from voxloop_cloud.routing.policy_steps import with_shadow
from voxloop_cloud.testing import tiny_bundle

TIME_LIMIT_S = 60.0
SEGMENTS = 12
"""What the VAD finds in the queries."""

Page = dict[str, list[tuple[dict[str, str], float]]]
OLD, NEW = "tiny@1", "tiny@2"


class Served:
    """A server that shows its metrics."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.process = process
        found = [re.search(r"(?:listening on|metrics at) ([^\s,]+)", process.stdout.readline()) for _ in range(2)]
        assert found[0] is not None
        assert found[1] is not None
        self.address, self.url = found[0][1], found[1][1]

    def replay(self) -> None:
        """Sends the queries, each segment of which is answered."""
        command = voxloop("replay", QUERIES, "--server", self.address, "--insecure")
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * TIME_LIMIT_S, check=False)
        assert done.returncode == 0, done.stderr


@contextmanager
def serving(bundle: Path, *flags: object) -> Iterator[Served]:
    command = voxloop("serve", "--insecure", "--bundle", bundle, "--listen", "127.0.0.1:0", "--log-level", "error")
    with subprocess.Popen(
        [*command, "--metrics", "127.0.0.1:0", *map(str, flags)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Served(process)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=TIME_LIMIT_S) == 0


@contextmanager
def serving_with_shadow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server of two bundles, of which the second listens in to all: then every metric has its series."""
    for seed, key in enumerate((OLD, NEW)):
        name, _, version = key.partition("@")
        path = tiny_bundle(folder / "bundles" / f"{name}-{version}", seed, name=name, version=version).path
        (path / AUDIT_FILE).write_text('{"passed": true}')
        write_checksums(path)
    monkeypatch.setenv("VOXLOOP_BUNDLES", str(folder / "bundles"))
    with (
        serving(folder / "bundles" / "tiny-1", "--state", folder / "state") as server,
        AdminClient(AdminConfig(server=server.address, insecure=True)) as admin,
    ):
        policy = json.dumps(with_shadow(Policy.of_one(OLD), NEW, 1.0).to_document())
        admin.set_policy(policy, "a test", admin.policy().policy.version, (), "ann")
        wait_for(lambda: sum(each.is_loaded for each in admin.policy().bundles) == 2, "the shadow was not loaded")
        yield server


def scrape(url: str) -> Page:
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    page: Page = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            page.setdefault(sample.name, []).append((sample.labels, sample.value))
    return page


def total(page: Page, name: str, **labels: str) -> float:
    return sum(value for found, value in page.get(name, []) if labels.items() <= found.items())


def wait_for(is_so: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + TIME_LIMIT_S
    while not is_so():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.1)


def test_every_metric_of_the_dashboard_is_on_the_page_of_a_server_after_a_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "voxloop.json").read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    spoken = set(re.findall(r"voxloop_\w+", " ".join(expressions)))
    with serving_with_shadow(tmp_path, monkeypatch) as server:
        server.replay()
        wait_for(lambda: "voxloop_router_shadows_total" in scrape(server.url), "no shadow was counted")
        page = scrape(server.url)
    assert len(spoken) > 40
    assert spoken - page.keys() == set()
    assert total(page, "voxloop_decoder_transcripts_total", bundle=OLD, route="primary") == SEGMENTS
    for stage in ("capture", "vad", "normalizer", "uplink", "features", "recognizer", "decoder", "router"):
        assert total(page, f"voxloop_{stage}_busy_seconds_count") == SEGMENTS, stage
        assert total(page, f"voxloop_{stage}_busy_seconds_sum") > 0.0, stage
    assert total(page, "voxloop_queue_wait_seconds_count") == SEGMENTS
    assert total(page, "voxloop_router_latency_seconds_count") == SEGMENTS
    assert total(page, "voxloop_router_failures_total") == 0
    assert total(page, "voxloop_server_sessions_total") > 0
    assert total(page, "voxloop_server_cpu_seconds_total") > 0.1
    assert total(page, "voxloop_capture_missing_values_total") == 0
    assert not {label for samples in page.values() for labels, _ in samples for label in labels} - {
        "bundle", "route", "vad_kind", "device_kind", "code", "le",
    }  # fmt: skip


def test_no_page_is_there_unless_it_is_asked_for(tiny: Path) -> None:
    command = voxloop("serve", "--insecure", "--bundle", tiny, "--listen", "127.0.0.1:0", "--log-level", "error")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        listening = [
            each for each in psutil.Process(process.pid).net_connections() if each.status == psutil.CONN_LISTEN
        ]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=TIME_LIMIT_S) == 0
    assert len(listening) == 1


def replaced(parent: psutil.Process, *known: psutil.Process) -> list[psutil.Process]:
    """The workers that are none of those."""
    return [child for child in parent.children() if child not in known]


def test_workers_have_one_page_that_loses_no_count_when_one_is_killed(tiny: Path) -> None:
    with serving(tiny, "--workers", 2) as server:
        parent = psutil.Process(server.process.pid)
        first, witness = parent.children()
        server.replay()
        before = scrape(server.url)
        assert total(before, "voxloop_decoder_transcripts_total") == SEGMENTS
        assert total(before, "voxloop_server_workers") == 2
        first.kill()
        wait_for(lambda: len(replaced(parent, first, witness)) == 1, "nobody took its place")
        replaced(parent, first, witness)[0].kill()  # one that dies young is missed for some seconds
        wait_for(lambda: total(scrape(server.url), "voxloop_server_workers") == 1, "the dead worker stays")
        assert total(scrape(server.url), "voxloop_decoder_transcripts_total") == SEGMENTS
        wait_for(lambda: total(scrape(server.url), "voxloop_server_workers") == 2, "nobody took its place")
        server.replay()
        after = scrape(server.url)
    assert total(after, "voxloop_decoder_transcripts_total") == 2 * SEGMENTS
    assert total(after, "voxloop_recognizer_busy_seconds_count") == 2 * SEGMENTS
    for name, samples in before.items():
        if name.endswith(("_total", "_count", "_bucket")):
            for labels, value in samples:
                assert total(after, name, **labels) >= value, name


def test_a_device_shows_its_own_stages(tiny: Path) -> None:
    with serving(tiny) as server:
        command = voxloop("listen", "--insecure", "--server", server.address, "--stdin", "s16le", "--metrics", "0")
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as device:
            assert device.stdin is not None
            assert device.stderr is not None
            url = device.stderr.readline().decode().split()[-1]
            sound = raw_query()
            device.stdin.write(sound)
            device.stdin.flush()
            wait_for(lambda: total(scrape(url), "voxloop_decoder_transcripts_total") >= 1, "no transcript was counted")
            wait_for(lambda: total(scrape(url), "voxloop_uplink_sent_bytes_total") > 0, "nothing was sent")
            page = scrape(url)
            device.communicate(timeout=TIME_LIMIT_S)
    assert device.returncode == 0
    assert total(page, "voxloop_vad_busy_seconds_count") >= 1
    assert total(page, "voxloop_uplink_round_trip_seconds_count") >= 1
    assert total(page, "voxloop_uplink_open_links") == 1
    assert 0.0 < total(page, "voxloop_capture_heard_seconds_total") <= len(sound) / 2 / 16_000
    assert total(page, "voxloop_device_resident_bytes") > 1e7


def test_a_collector_gets_a_span_of_each_segment(tiny: Path, tmp_path: Path) -> None:
    collector, receiver = Collector(), grpc.server(ThreadPoolExecutor(1))
    otlp_grpc.add_TraceServiceServicer_to_server(collector, receiver)  # type: ignore[no-untyped-call]
    endpoint, settings = f"http://127.0.0.1:{receiver.add_insecure_port('127.0.0.1:0')}", tmp_path / "settings.toml"
    settings.write_text(f'[metrics]\notlp = "{endpoint}"\n', encoding="utf-8")
    receiver.start()
    try:
        with serving(tiny, "--config", settings) as server:
            server.replay()
    finally:
        receiver.stop(0).wait()
    roots = [span for span in collector.spans if not span.parent_span_id]
    assert len(roots) == SEGMENTS
    stages = {span.name for span in collector.spans if span.parent_span_id}
    assert stages >= {"vad", "normalizer", "router", "features", "recognizer", "decoder"}
