"""Grafana's dashboard of a server: the strip of stages from microphone to transcript, then each stage's metrics.

`scripts/render_metrics` writes it to deploy/grafana; whatever is in the catalogue is on it.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any, Final

from voxloop_cloud.metrics.catalogue import SERVER_METRICS
from voxloop_proto.metrics.spec import STAGES, MetricKind, MetricSpec

Json = dict[str, Any]

SCHEMA_VERSION: Final = 39
"""Of Grafana 10.4 and later, which bring older dashboards up to date by themselves."""

_WIDTH: Final = 24
_PANEL_WIDTH: Final = 6
_PANEL_HEIGHT: Final = 7
_STAT_WIDTH: Final = 2
_STAT_HEIGHT: Final = 4
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_FILTERS: Final = {"bundle": 'bundle=~"$bundle"', "device_kind": 'device_kind=~"$device_kind"'}
_UNITS: Final = {"s": "s", "dB": "dB", "dBFS": "dB", "ratio": "percentunit", "bytes": "bytes"}
"""Grafana's names; the others are plain numbers."""

_RATE: Final = "[$__rate_interval]"
_JOB: Final = '{job=~"$job"}'

STRIP: Final = (
    (
        "device",
        "CPU, p95",
        f"histogram_quantile(0.95, sum by (le) (rate(voxloop_device_cpu_ratio_bucket{_JOB}{_RATE})))",
        "percentunit",
    ),
    (
        "capture",
        "SNR, median",
        f"histogram_quantile(0.5, sum by (le) (rate(voxloop_capture_snr_db_bucket{_JOB}{_RATE})))",
        "dB",
    ),
    ("vad", "segments a second", f"sum(rate(voxloop_vad_segments_total{_JOB}{_RATE}))", "short"),
    (
        "normalizer",
        "gain, median",
        f"histogram_quantile(0.5, sum by (le) (rate(voxloop_normalizer_gain_db_bucket{_JOB}{_RATE})))",
        "dB",
    ),
    ("uplink", "unanswered", f"sum(voxloop_uplink_unanswered_segments{_JOB})", "short"),
    (
        "queue",
        "wait, p95",
        f"histogram_quantile(0.95, sum by (le) (rate(voxloop_queue_wait_seconds_bucket{_JOB}{_RATE})))",
        "s",
    ),
    (
        "features",
        "busy, p95",
        f"histogram_quantile(0.95, sum by (le) (rate(voxloop_features_busy_seconds_bucket{_JOB}{_RATE})))",
        "s",
    ),
    (
        "recognizer",
        "CPU by sound",
        f"sum(rate(voxloop_recognizer_busy_seconds_sum{_JOB}{_RATE})) "
        f"/ sum(rate(voxloop_recognizer_audio_seconds_total{_JOB}{_RATE}))",
        "percentunit",
    ),
    (
        "decoder",
        "null share",
        f"sum(rate(voxloop_decoder_null_transcripts_total{_JOB}{_RATE})) "
        f"/ sum(rate(voxloop_decoder_transcripts_total{_JOB}{_RATE}))",
        "percentunit",
    ),
    (
        "router",
        "failed share",
        f"sum(rate(voxloop_router_failures_total{_JOB}{_RATE})) "
        f"/ sum(rate(voxloop_router_segments_total{_JOB}{_RATE}))",
        "percentunit",
    ),
    (
        "outcome",
        "redone share",
        f'sum(rate(voxloop_outcome_feedback_total{{job=~"$job", code="redo_detected"}}{_RATE})) '
        f"/ sum(rate(voxloop_decoder_transcripts_total{_JOB}{_RATE}))",
        "percentunit",
    ),
    (
        "server",
        "latency, p95",
        f"histogram_quantile(0.95, sum by (le) (rate(voxloop_router_latency_seconds_bucket{_JOB}{_RATE})))",
        "s",
    ),
)
"""By stage: the one figure that tells most of it."""


def dashboard(specs: Iterable[MetricSpec] = SERVER_METRICS) -> Json:
    """The dashboard, to be imported: it asks for its data source, and filters by job, bundle and kind of device."""
    return {
        "uid": "voxloop",
        "title": "voxloop: from microphone to transcript",
        "tags": ["voxloop"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": list(_numbered(_panels(tuple(specs)))),
    }


def _variables() -> list[Json]:
    return [
        {"name": "datasource", "label": "data source", "type": "datasource", "query": "prometheus", "current": {}},
        _labels_variable("job", "voxloop_server_workers"),
        _labels_variable("bundle", "voxloop_router_segments_total"),
        _labels_variable("device_kind", "voxloop_vad_segments_total"),
    ]


def _labels_variable(label: str, metric: str) -> Json:
    return {
        "name": label,
        "label": label.replace("_", " "),
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": f"label_values({metric}, {label})", "refId": label},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panels(specs: tuple[MetricSpec, ...]) -> Iterator[Json]:
    for place, (stage, title, expression, unit) in enumerate(STRIP):
        target = {"refId": "A", "datasource": _SOURCE, "expr": expression}
        yield _panel(
            "stat", f"{stage}: {title}", "", unit, [target], (place * _STAT_WIDTH, 0, _STAT_WIDTH, _STAT_HEIGHT)
        )
    top = _STAT_HEIGHT
    for stage in STAGES:
        own = [spec for spec in specs if spec.stage == stage]
        if not own:
            continue
        yield {"type": "row", "title": stage, "collapsed": False, "panels": [], "gridPos": _box((0, top, _WIDTH, 1))}
        top += 1
        for place, spec in enumerate(own):
            line, column = divmod(place, _WIDTH // _PANEL_WIDTH)
            box = (column * _PANEL_WIDTH, top + line * _PANEL_HEIGHT, _PANEL_WIDTH, _PANEL_HEIGHT)
            yield _panel("timeseries", _title(spec), spec.help, _unit(spec), _targets(spec), box)
        top += -(-len(own) // (_WIDTH // _PANEL_WIDTH)) * _PANEL_HEIGHT


def _numbered(panels: Iterator[Json]) -> Iterator[Json]:
    for number, panel in zip(count(1), panels, strict=False):
        yield {"id": number, **panel}


def _panel(kind: str, title: str, about: str, unit: str, targets: list[Json], box: tuple[int, int, int, int]) -> Json:
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": _SOURCE,
        "gridPos": _box(box),
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "options": {},
        "targets": targets,
    }


def _box(box: tuple[int, int, int, int]) -> Json:
    return dict(zip(("x", "y", "w", "h"), box, strict=True))


def _title(spec: MetricSpec) -> str:
    """What is left of the name without voxloop, the stage and _total."""
    return " ".join(spec.name.split("_")[2:]).removesuffix(" total")


def _unit(spec: MetricSpec) -> str:
    if spec.kind is MetricKind.COUNTER:
        return "percentunit" if spec.unit == "s" else "short"  # seconds a second
    return _UNITS.get(spec.unit, "short")


def _targets(spec: MetricSpec) -> list[Json]:
    filters = ", ".join(['job=~"$job"', *(_FILTERS[label] for label in spec.labels if label in _FILTERS)])
    match spec.kind:
        case MetricKind.HISTOGRAM:
            rate = f"sum by (le) (rate({spec.name}_bucket{{{filters}}}{_RATE}))"
            return [
                {
                    "refId": f"p{of_100}",
                    "datasource": _SOURCE,
                    "expr": f"histogram_quantile({of_100 / 100}, {rate})",
                    "legendFormat": f"p{of_100}",
                }
                for of_100 in (50, 95, 99)
            ]
        case MetricKind.COUNTER:
            by = "code" if "code" in spec.labels else "bundle" if "bundle" in spec.labels else ""
            rate = f"rate({spec.name}{{{filters}}}{_RATE})"
            expression = f"sum by ({by}) ({rate})" if by else f"sum({rate})"
            return [
                {"refId": "A", "datasource": _SOURCE, "expr": expression, "legendFormat": f"{{{{{by}}}}}" if by else ""}
            ]
        case MetricKind.GAUGE:
            total = "max" if spec.of_highest else "sum"
            return [
                {"refId": "A", "datasource": _SOURCE, "expr": f"{total}({spec.name}{{{filters}}})", "legendFormat": ""}
            ]
