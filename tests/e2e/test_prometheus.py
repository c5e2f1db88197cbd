"""The dashboard in the hands of a real Prometheus, which reads a real server that a real device speaks to."""

import json
import re
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.e2e.conftest import ROOT
from tests.e2e.test_metrics import SEGMENTS, Served, serving_with_shadow, wait_for

PROMETHEUS = shutil.which("prometheus")
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "voxloop.json").read_text(encoding="utf-8"))
CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: voxloop, static_configs: [{{targets: ["{target}"]}}]}}]
"""


@contextmanager
def prometheus(server: Served, folder: Path) -> Iterator[str]:
    """A Prometheus that reads the server each second; gives its address."""
    file = folder / "prometheus.yml"
    target = server.url.removeprefix("http://").removesuffix("/metrics")
    file.write_text(CONFIG.format(target=target), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    assert PROMETHEUS is not None
    flags = [f"--config.file={file}", f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address={address}"]
    with subprocess.Popen([PROMETHEUS, *flags, "--log.level=error"]) as process:
        try:
            yield f"http://{address}"
        finally:
            process.terminate()


def ask(prometheus_url: str, expression: str) -> list[float]:
    """The values of an expression now; NaN where it divides nothing by nothing."""
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{prometheus_url}/api/v1/query?{query}", timeout=10) as answer:
        return [float(series["value"][1]) for series in json.load(answer)["data"]["result"]]


def has_read(prometheus_url: str) -> bool:
    try:
        return len(ask(prometheus_url, "voxloop_server_workers")) == 1
    except OSError:
        return False


def has_counted(prometheus_url: str, transcripts: int) -> bool:
    return ask(prometheus_url, "sum(voxloop_decoder_transcripts_total)") == [transcripts]


def has_data(url: str, expression: str) -> bool:
    return bool(ask(url, expression))


@pytest.mark.skipif(PROMETHEUS is None, reason="Debian's prometheus package has it")
def test_every_panel_of_the_dashboard_has_data_after_a_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_with_shadow(tmp_path, monkeypatch) as server, prometheus(server, tmp_path) as url:
        wait_for(lambda: has_read(url), "Prometheus did not read the server")
        for replays in (1, 2):  # a rise is seen between two reads
            server.replay()
            wait_for(partial(has_counted, url, replays * SEGMENTS), "the replay was not read")
        panels = [panel for panel in DASHBOARD["panels"] if panel["type"] in ("stat", "timeseries")]
        assert {panel["type"] for panel in panels} == {"stat", "timeseries"}
        for expression in (target["expr"] for panel in panels for target in panel["targets"]):
            asked = re.sub(r"\$\w+", ".*", expression.replace("$__rate_interval", "1m"))
            wait_for(partial(has_data, url, asked), f"no data: {expression}")  # shadows come when nobody else waits
        assert ask(url, "sum(rate(voxloop_decoder_transcripts_total[5m]))")[0] > 0.0
