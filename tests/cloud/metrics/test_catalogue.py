"""Every metric is declared as it should be, here and on the device; what is made from the declarations is fresh."""

import re
import subprocess
from pathlib import Path

import pytest

from voxloop_cloud.metrics.catalogue import SERVER_METRICS
from voxloop_edge.metrics.catalogue import DEVICE_METRICS
from voxloop_proto.metrics.spec import STAGES, MetricKind, MetricSpec

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "scripts" / "render_metrics"
ALLOWED_LABELS = {"bundle", "route", "vad_kind", "device_kind", "code"}
ENDINGS = {"s": "seconds", "dB": "db", "dBFS": "dbfs", "ratio": "ratio", "bytes": "bytes", "1/s": "per_second"}
STRIP = ("capture", "vad", "normalizer", "uplink", "queue", "features", "recognizer", "decoder", "router")
EACH = [
    *(pytest.param(spec, id=f"server-{spec.name}") for spec in SERVER_METRICS),
    *(pytest.param(spec, id=f"device-{spec.name}") for spec in DEVICE_METRICS),
]


@pytest.mark.parametrize("spec", EACH)
def test_a_name_says_stage_and_unit(spec: MetricSpec) -> None:
    assert re.fullmatch(r"voxloop_[a-z]+(_[a-z]+)+", spec.name)
    assert spec.stage in STAGES
    is_counter = spec.kind is MetricKind.COUNTER
    assert spec.name.endswith("_total") == is_counter
    stem = spec.name.removesuffix("_total")
    assert stem.endswith(ENDINGS.get(spec.unit, spec.unit))
    assert spec.help


@pytest.mark.parametrize("spec", EACH)
def test_labels_are_bounded_ones_and_codes_are_declared(spec: MetricSpec) -> None:
    assert set(spec.labels) <= ALLOWED_LABELS
    assert ("code" in spec.labels) == bool(spec.codes)
    assert len(set(spec.codes)) == len(spec.codes) <= 20


@pytest.mark.parametrize("spec", EACH)
def test_a_histogram_has_rising_buckets_within_what_can_be(spec: MetricSpec) -> None:
    assert (spec.kind is MetricKind.HISTOGRAM) == bool(spec.buckets)
    assert list(spec.buckets) == sorted(set(spec.buckets))
    assert all(spec.least <= bound <= spec.most for bound in spec.buckets)


@pytest.mark.parametrize("specs", [SERVER_METRICS, DEVICE_METRICS], ids=["server", "device"])
def test_no_name_is_given_twice(specs: tuple[MetricSpec, ...]) -> None:
    assert len({spec.name for spec in specs}) == len(specs)


def test_every_stage_of_the_strip_has_the_time_that_it_takes_or_lets_wait() -> None:
    names = {spec.name for spec in SERVER_METRICS}
    for stage in STRIP:
        assert f"voxloop_{stage}_{'wait' if stage == 'queue' else 'busy'}_seconds" in names


def test_dashboard_and_documentation_are_what_the_catalogues_say() -> None:
    done = subprocess.run([SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
