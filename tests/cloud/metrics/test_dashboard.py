"""The dashboard is one that Grafana takes, and speaks of all metrics and of no other."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from voxloop_cloud.metrics.catalogue import SERVER_METRICS
from voxloop_proto.metrics.spec import STAGES

FILE = Path(__file__).parents[3] / "deploy" / "grafana" / "voxloop.json"
BOARD: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
WIDTH = 24


def expressions() -> list[str]:
    return [target["expr"] for panel in BOARD["panels"] for target in panel.get("targets", ())]


def test_it_says_which_schema_it_has_and_asks_for_its_data_source() -> None:
    assert isinstance(BOARD["schemaVersion"], int)
    first = BOARD["templating"]["list"][0]
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    sources = [panel["datasource"]["uid"] for panel in BOARD["panels"] if panel["type"] != "row"]
    assert set(sources) == {"${datasource}"}


def test_every_panel_has_a_number_of_its_own_and_a_place_that_no_other_has() -> None:
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        box = panel["gridPos"]
        cells = {(box["x"] + x, box["y"] + y) for x in range(box["w"]) for y in range(box["h"])}
        assert box["x"] + box["w"] <= WIDTH
        assert not cells & taken
        taken |= cells


def test_the_strip_goes_from_the_microphone_to_the_transcript() -> None:
    strip = [panel["title"].split(":")[0] for panel in BOARD["panels"] if panel["type"] == "stat"]
    assert strip == list(STAGES)
    assert [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"] == list(STAGES)


def test_it_speaks_of_every_metric_and_of_no_other() -> None:
    spoken = set(re.findall(r"voxloop_\w+", " ".join(expressions())))
    assert spoken <= {name for spec in SERVER_METRICS for name in spec.sample_names}
    for spec in SERVER_METRICS:
        assert spoken & set(spec.sample_names), f"{spec.name} is on no panel"


def test_every_variable_asks_for_a_label_that_its_metric_has() -> None:
    labels = {name: set(spec.labels) for spec in SERVER_METRICS for name in spec.sample_names}
    asked = [each["query"]["query"] for each in BOARD["templating"]["list"] if each["type"] == "query"]
    for metric, label in (re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups() for query in asked):  # type: ignore[union-attr]  # all match
        assert label == "job" or label in labels[metric], (metric, label)
    assert len(asked) == 3


def test_every_variable_that_is_used_is_declared() -> None:
    declared = {variable["name"] for variable in BOARD["templating"]["list"]}
    used = set(re.findall(r"\$(\w+)", " ".join(expressions()))) - {"__rate_interval"}
    assert used <= declared


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's prometheus package has promtool")
def test_every_expression_is_one_that_prometheus_understands(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": re.sub(r"\$\w+", ".*", one.replace("$__rate_interval", "1m"))}
        for number, one in enumerate(expressions())
    ]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")  # JSON is YAML
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's prometheus package has promtool")
def test_prometheus_takes_its_configuration() -> None:
    file = FILE.parents[1] / "prometheus" / "prometheus.yml"
    done = subprocess.run(["promtool", "check", "config", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
