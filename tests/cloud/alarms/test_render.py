"""The rules as Prometheus has them: promtool takes them, and they fire just when ours do."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.cloud.alarms.made_rules import INTERVAL_S, evaluated, make_rule

from voxloop_cloud.alarms.aggregate import Figures, figures_of
from voxloop_cloud.alarms.evaluator import AlarmState, Key, evaluate
from voxloop_cloud.alarms.render import alert_name, record_name, to_prometheus
from voxloop_cloud.alarms.rule import Rule
from voxloop_cloud.alarms.rule_file import read_rules
from voxloop_cloud.alarms.series import Sample

ROOT = Path(__file__).parents[3]
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool here; scripts/setup dev installs it")
SCRAPES = 24


@dataclass(frozen=True)
class Series:
    """One series, a value for each scrape; None where it was not there."""

    name: str
    labels: dict[str, str]
    values: list[float | None]

    def to_promtool(self) -> dict[str, str]:
        labels = ", ".join(f'{name}="{value}"' for name, value in sorted(self.labels.items()))
        values = " ".join("_" if value is None else repr(value) for value in self.values)
        return {"series": f"{self.name}{{{labels}}}", "values": values}


def scrapes_of(series: list[Series]) -> list[list[Sample]]:
    """What each scrape reads."""
    return [
        [
            Sample(each.name, tuple(sorted(each.labels.items())), value)
            for each in series
            if (value := each.values[number]) is not None
        ]
        for number in range(SCRAPES)
    ]


def promtool(*arguments: object, folder: Path) -> "subprocess.CompletedProcess[str]":
    assert PROMTOOL is not None
    return subprocess.run([PROMTOOL, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False)


def fires_alike(rules: list[Rule], series: list[Series], folder: Path) -> None:
    """Asserts that Prometheus, given what is rendered, has our figures and fires our alarms, at each scrape."""
    (folder / "rules.yml").write_text(to_prometheus(rules))
    checks: list[dict[str, object]] = []
    state = AlarmState()
    for number, samples in enumerate(scrapes_of(series)):
        at_s = number * INTERVAL_S
        state, _ = evaluate(rules, state, samples, at_s)
        for rule in rules:
            checks += checks_of_figures(rule, figures_of(rule, state.history, at_s), at_s)
        firing = [{"labels": labels_of(rules, key), "value": 1} for key in sorted(state.firing)]
        expression = 'max by (alertname, bundle) (ALERTS{alertstate="firing"})'
        checks.append({"expr": expression, "eval_time": f"{at_s}s", "exp_samples": firing})
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{INTERVAL_S}s",
        "tests": [
            {
                "interval": f"{INTERVAL_S}s",
                "input_series": [each.to_promtool() for each in series],
                "promql_expr_test": checks,
            }
        ],
    }
    (folder / "test.yml").write_text(json.dumps(test))  # JSON is YAML
    found = promtool("test", "rules", "test.yml", folder=folder)
    assert found.returncode == 0, found.stdout + found.stderr + to_prometheus(rules)


def checks_of_figures(rule: Rule, figures: Figures, at_s: int) -> list[dict[str, object]]:
    """That the recorded series has these figures, and no other: sums of floats may differ in their last digits."""
    record, when = record_name(rule), f"{at_s}s"
    if not figures:
        return [{"expr": record, "eval_time": when, "exp_samples": []}]
    checks: list[dict[str, object]] = [
        {"expr": f"count({record})", "eval_time": when, "exp_samples": [{"labels": "{}", "value": len(figures)}]}
    ]
    for piece, figure in figures.items():
        matchers = ", ".join(f'{label}="{value}"' for label, value in piece)
        expression = f"sum(abs({record}{{{matchers}}} - ({figure!r})) < bool 1e-9)"
        checks.append({"expr": expression, "eval_time": when, "exp_samples": [{"labels": "{}", "value": 1}]})
    return checks


def labels_of(rules: list[Rule], key: Key) -> str:
    name, piece = key
    rule = next(rule for rule in rules if rule.name == name)
    labels = {"alertname": alert_name(rule), **dict(piece)}
    return "{" + ", ".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


def test_what_deploy_holds_is_what_the_shipped_rules_render_to() -> None:
    assert (ROOT / "deploy/prometheus/rules.yml").read_text() == to_prometheus(read_rules()), (
        "run: voxloop alarms render --out deploy/prometheus/rules.yml"
    )


@needs_promtool
def test_prometheus_takes_the_shipped_rules() -> None:
    found = promtool("check", "rules", "deploy/prometheus/rules.yml", folder=ROOT)
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"{2 * len(read_rules())} rules found" in found.stdout


@needs_promtool
def test_text_for_people_survives_whatever_is_in_it(tmp_path: Path) -> None:
    rule = make_rule(meaning='Quotes " and \\ and : and # and {{ no template }} and é', where={"bundle": 'a"b\\'})
    (tmp_path / "rules.yml").write_text(to_prometheus([rule]))
    found = promtool("check", "rules", "rules.yml", folder=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr


@needs_promtool
def test_a_rise_above_both_thresholds_and_back_fires_alike(tmp_path: Path) -> None:
    rule = make_rule(for_s=30, keep_s=30)
    values: list[float | None] = [0, 20, 20, 20, 20, 7, 7, 4, 4, 7, 4, 4, 4, 4, 20, 4, 20, 20, None, None, 20, 0, 0, 0]
    series = [Series(rule.metric, {}, values)]
    _, _, firing = evaluated([rule], scrapes_of(series))
    assert {bool(each) for each in firing} == {True, False}
    fires_alike([rule], series, tmp_path)


rises = st.one_of(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6), st.none(), st.just("restart"))


@st.composite
def counters(draw: st.DrawFn, name: str, labels: dict[str, str]) -> Series:
    """A counter with gaps and restarts."""
    total, values = float(draw(st.integers(0, 50))), list[float | None]()
    for rise in draw(st.lists(rises, min_size=SCRAPES, max_size=SCRAPES)):
        if rise == "restart":
            total = 0.0
        elif isinstance(rise, int):
            total += rise
        values.append(None if rise is None else total)
    return Series(name, labels, values)


@st.composite
def histograms(draw: st.DrawFn, name: str, labels: dict[str, str]) -> list[Series]:
    """A histogram with gaps and restarts, its sum and count among its series."""
    bounds = ("0.1", "0.5", "2.0", "+Inf")
    counts, total = [0] * len(bounds), 0.0
    rows: list[list[float] | None] = []
    for _ in range(SCRAPES):
        rise = draw(st.one_of(st.lists(st.integers(0, 3), min_size=4, max_size=4), st.none(), st.just([0] * 4)))
        if rise is not None:
            if draw(st.integers(0, 11)) == 0:
                counts, total = [0] * len(bounds), 0.0
            counts = [count + sum(rise[: place + 1]) for place, count in enumerate(counts)]
            total += 0.07 * rise[0] + 0.3 * rise[1] + 1.1 * rise[2] + 3.0 * rise[3]
        rows.append(None if rise is None else [*map(float, counts), total])
    columns = [[None if row is None else row[place] for row in rows] for place in range(len(bounds) + 1)]
    buckets = [Series(f"{name}_bucket", {**labels, "le": bound}, columns[place]) for place, bound in enumerate(bounds)]
    return [*buckets, Series(f"{name}_count", labels, columns[-2]), Series(f"{name}_sum", labels, columns[-1])]


def durations() -> "st.SearchStrategy[int]":
    return st.sampled_from([0, 15, 20, 30, 45, 60])


@st.composite
def rules_of(draw: st.DrawFn, /, **fields: object) -> Rule:
    """A rule whose thresholds no figure meets exactly; all else by chance."""
    is_above = draw(st.booleans())
    low, high = float(str(fields.pop("low"))), float(str(fields.pop("high")))
    first, second = sorted(draw(st.lists(st.floats(low, high), min_size=2, max_size=2, unique=True)))
    split_by = None if "where" in fields else draw(st.sampled_from([None, "bundle"]))
    drawn = {
        "comparison": "above" if is_above else "below",
        "threshold": second if is_above else first,
        "resolves_at": first if is_above else second,
        "window_s": draw(st.sampled_from([30, 45, 60, 100])),
        "for_s": draw(durations()),
        "keep_s": draw(durations()),
        "hold_s": draw(st.sampled_from([1, 15, 20, 45])),
        "missing": draw(st.sampled_from(["hold", "resolve"] if split_by else ["hold", "resolve", "fire"])),
        "split_by": split_by,
        "min_count": draw(st.integers(1, 4)) if fields["aggregation"] in ("share", "mean", "quantile") else 1,
    }
    return make_rule(**drawn, **fields)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Rule], list[Series]]:
    """A rule of each aggregation, over series of two bundles."""
    counted, whole, timed, gauged = (f"voxloop_queue_{name}" for name in ("part_total", "all_total", "seconds", "now"))
    series: list[Series] = []
    for bundle in ("a@1", "b@2"):
        labels = {"bundle": bundle}
        series += [draw(counters(counted, labels)), draw(counters(whole, labels)), *draw(histograms(timed, labels))]
        values = st.one_of(st.integers(0, 20).map(float), st.none())
        series.append(Series(gauged, labels, draw(st.lists(values, min_size=SCRAPES, max_size=SCRAPES))))
    rules = [
        draw(rules_of(name="rate", aggregation="rate", metric=counted, low=0.0137, high=0.5171)),
        draw(rules_of(name="share", aggregation="share", metric=counted, of=whole, low=0.1371, high=0.9713)),
        draw(
            rules_of(name="some", aggregation="rate", metric=counted, where={"bundle": "a@1"}, low=0.0137, high=0.3171)
        ),
        draw(rules_of(name="mean", aggregation="mean", metric=timed, low=0.1371, high=2.1713)),
        draw(rules_of(name="high", aggregation="quantile", metric=timed, quantile=0.9, low=0.1371, high=1.9713)),
        draw(rules_of(name="most", aggregation="max", metric=gauged, low=2.1371, high=19.713)),
    ]
    return rules, series


@needs_promtool
@settings(  # without shrinking: each example is a process
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(case=cases())
def test_prometheus_fires_when_our_evaluator_does(
    case: tuple[list[Rule], list[Series]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rules, series = case
    fires_alike(rules, series, tmp_path_factory.mktemp("promtool"))
