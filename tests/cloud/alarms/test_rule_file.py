"""The file of rules: what ships is right, and what is wrong is said by file, rule and field."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.cloud.alarms.made_rules import make_rule

from voxloop_cloud.alarms.recorded import RECORDED
from voxloop_cloud.alarms.rule_check import METRICS
from voxloop_cloud.alarms.rule_edit import changed_text
from voxloop_cloud.alarms.rule_file import SHIPPED_RULES, parse_rules, read_rules
from voxloop_cloud.alarms.watched_rules import WatchedRules
from voxloop_proto.errors import ConfigError
from voxloop_proto.metrics.spec import STAGES

FILE = Path("alarms.toml")
RULE = """
[rules.slow]
stage = "router"
metric = "voxloop_router_latency_seconds"
aggregation = "quantile"
quantile = 0.95
window_s = 300
comparison = "above"
threshold = 0.2        # as calibrated
resolves_at = 0.15
severity = "page"
missing = "hold"
meaning = "Slow."
action = "Hurry."
"""


def test_each_stage_that_has_something_to_go_wrong_has_a_rule() -> None:
    stages = {rule.stage for rule in read_rules()}
    assert stages <= set(STAGES)
    assert stages >= {"capture", "vad", "uplink", "queue", "decoder", "router", "outcome", "server"}


def test_every_metric_that_the_past_tells_exists() -> None:
    assert RECORDED.keys() <= METRICS.keys()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("window_s = 300", "window_s = 5", "alarms.toml: rule slow: field window_s = 5: Input should be greater than"),
        (
            "window_s = 300",
            "window_s = 300\nwindow_ms = 5",
            "unknown field window_ms = 5; allowed are action, aggregation",
        ),
        ('severity = "page"', "", "field severity is missing (page wakes somebody"),
        (
            'severity = "page"',
            'severity = "loud"',
            "field severity = 'loud': Input should be 'page', 'ticket' or 'note'",
        ),
        ("latency_seconds", "latency_sec", "no such metric; close to it: voxloop_router_latency_seconds"),
        (
            "resolves_at = 0.15",
            "resolves_at = 0.25",
            "resolves_at = 0.25 is itself above the threshold 0.2; allowed is",
        ),
        (
            "threshold = 0.2 ",
            "threshold = 10.0 ",
            "the last bucket of voxloop_router_latency_seconds ends at 10, and no",
        ),
        ("quantile = 0.95", "", "`quantile` belongs to the aggregation quantile, which needs it"),
        ('stage = "router"', 'stage = "queue"', "metric voxloop_router_latency_seconds is not one of stage queue"),
        ('stage = "router"', 'stage = "kitchen"', "stage = kitchen: allowed are device, capture, vad"),
        (
            "window_s = 300",
            'window_s = 300\nsplit_by = "device_kind"',
            "label device_kind: voxloop_router_latency_secon",
        ),
        (
            "window_s = 300",
            'window_s = 300\nwhere = {code = "x"}',
            "label code: voxloop_router_latency_seconds has bundle",
        ),
        (
            "router_latency_seconds",
            "router_segments_total",
            "is a counter, and quantile takes a histogram; allowed for it",
        ),
        ('missing = "hold"', 'missing = "fire"\nsplit_by = "bundle"', "a slice that was never seen cannot be missed"),
        ("[rules.slow]", "[rules.Slow]", "field name = 'Slow': String should match pattern"),
        ("[rules.slow]", "[slow]", "each is a table [rules.NAME]"),
        ("[rules.slow]", "[rules.slow", "alarms.toml: not TOML"),
        ("threshold = 0.2 ", "threshold = nan ", "field threshold = nan: Input should be a finite number"),
    ],
)
def test_a_fault_is_said_by_file_rule_and_field(old: str, new: str, said: str) -> None:
    assert old in RULE
    with pytest.raises(ConfigError) as caught:
        parse_rules(RULE.replace(old, new), FILE)
    assert said in caught.value.message


def test_all_faults_are_said_at_once() -> None:
    faulty = RULE.replace("window_s = 300", "window_s = 5") + RULE.replace("slow]", "other]").replace("0.95", "2")
    with pytest.raises(ConfigError) as caught:
        parse_rules(faulty, FILE)
    assert [line.split(":")[1] for line in caught.value.message.splitlines()] == [" rule slow", " rule other"]


def test_a_file_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="voxloop alarms set RULE THRESHOLD"):
        read_rules(tmp_path / "none.toml")


def test_a_changed_threshold_leaves_all_else_as_it_was() -> None:
    text, before, after = changed_text(RULE, FILE, "slow", 0.4, None)
    assert text == RULE.replace("threshold = 0.2 ", "threshold = 0.4 ").replace(
        "resolves_at = 0.15", "resolves_at = 0.3"
    )
    assert (before.threshold, after.threshold, after.resolves_at) == (0.2, 0.4, 0.3)


def test_each_shipped_threshold_can_be_changed_without_losing_a_comment() -> None:
    shipped = SHIPPED_RULES.read_text()
    for rule in read_rules():
        threshold = rule.threshold * 0.9 if rule.threshold else 0.001
        text, _, after = changed_text(shipped, FILE, rule.name, threshold, None)
        assert after.threshold == threshold
        changed = [(old, new) for old, new in zip(shipped.splitlines(), text.splitlines(), strict=True) if old != new]
        assert 1 <= len(changed) <= 2
        assert all(old.partition("#")[2] == new.partition("#")[2] for old, new in changed)


def test_a_rule_without_hysteresis_keeps_none() -> None:
    text, _, after = changed_text(RULE.replace("resolves_at = 0.15\n", ""), FILE, "slow", 0.4, None)
    assert after.resolves_at == 0.4
    assert "resolves_at" not in text


@pytest.mark.parametrize(
    ("name", "threshold", "said"), [("fast", 0.3, "no rule fast; there are slow"), ("slow", 11.0, "bucket")]
)
def test_a_change_that_may_not_be_is_refused(name: str, threshold: float, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        changed_text(RULE, FILE, name, threshold, None)


def test_what_resolves_moves_along_with_the_threshold() -> None:
    assert make_rule().at(20.0).resolves_at == 10.0
    assert make_rule(comparison="below", threshold=-55.0, resolves_at=-50.0).at(-60.0).resolves_at == -55.0
    assert make_rule(threshold=1.0, resolves_at=1.0).at(3.0).resolves_at == 3.0
    with pytest.raises(ValidationError):
        make_rule().at(4.0, resolves_at=5.0)


def test_a_running_server_takes_a_changed_file_and_keeps_its_rules_from_a_broken_one(tmp_path: Path) -> None:
    file = tmp_path / "alarms.toml"
    file.write_text(RULE)
    watched = WatchedRules(file)
    for text, expected in ((RULE.replace("0.2 ", "0.3 "), 0.3), ("broken", 0.3), (RULE.replace("0.2 ", "0.45 "), 0.45)):
        file.write_text(text)
        watched.refresh()
        assert [rule.threshold for rule in watched.rules] == [expected]
    file.unlink()
    watched.refresh()
    assert len(watched.rules) == 1


def test_the_rule_in_the_documentation_is_one() -> None:
    page = (Path(__file__).parents[3] / "docs/alarms.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (rule,) = parse_rules(block, FILE)
    assert rule.name == "null_transcripts"
