"""A clock that jumps changes nothing: what device and server decide, they decide by monotonic time."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("proto/voxloop_proto", "edge/voxloop_edge", "cloud/voxloop_cloud")
ALLOWED = {
    "edge/voxloop_edge/journal.py": "each line says when",
    "edge/voxloop_edge/replay.py": "a report says when it was made",
    "cloud/voxloop_cloud/alarms/message.py": "a message says when",
    "cloud/voxloop_cloud/alarms/steady_clock.py": "alarms outlive their process; within one, time is monotonic",
    "cloud/voxloop_cloud/commands/alarms.py": "history says when, and is read up to now",
    "cloud/voxloop_cloud/records/clip_key.py": "a clip lies by its day",
    "cloud/voxloop_cloud/records/records.py": "a record says when",
    "cloud/voxloop_cloud/commands/calibrate.py": "a measurement says when it was made",
    "cloud/voxloop_cloud/commands/certificates.py": "certificates are valid from and until a date",
    "cloud/voxloop_cloud/commands/drift.py": "weeks are the calendar's, and what was found says when",
    "cloud/voxloop_cloud/drift/watch.py": "weeks are the calendar's, and what is found says when",
    "cloud/voxloop_cloud/commands/deploy_change.py": "a policy is shown with the time that it is from",
    "cloud/voxloop_cloud/console/door.py": "a token holds until a date",
    "cloud/voxloop_cloud/console/page.py": "a page says when something was",
    "cloud/voxloop_cloud/console/policy_office.py": "a policy says when it was made",
    "cloud/voxloop_cloud/console/running.py": "a figure says when it was read",
    "cloud/voxloop_cloud/console/sources.py": "labels and tags say when they were made",
    "cloud/voxloop_cloud/metrics/ears.py": "an utterance says when it was heard",
    "cloud/voxloop_cloud/commands/tokens.py": "a token says when it was issued and until when it holds",
    "cloud/voxloop_cloud/rollout/guard.py": "a verdict says when, and looks at utterances since a time",
    "cloud/voxloop_cloud/rollout/review_desk.py": "a review is due at a time that people know",
    "cloud/voxloop_cloud/routing/policy_desk.py": "a policy says when it was made",
    "cloud/voxloop_cloud/routing/routing.py": "the first policy says when it was made",
    "cloud/voxloop_cloud/security/audit_log.py": "each line says when",
    "cloud/voxloop_cloud/security/gate.py": "a token holds until a date",
    "cloud/voxloop_cloud/security/tls.py": "a certificate is valid from and until a date",
    "cloud/voxloop_cloud/sherpa_import.py": "a bundle says when it was made",
}
"""Where the wall clock is the matter itself, and why."""

WALL_CLOCK = {("time", name) for name in ("time", "time_ns", "localtime", "gmtime", "ctime", "strftime")} | {
    (owner, name) for owner in ("datetime", "date") for name in ("now", "utcnow", "today", "fromtimestamp")
}


def asks_wall_clock(tree: ast.AST) -> bool:
    """Whether a module reads the wall clock, by the attribute or by importing the function itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            if (owner, node.attr) in WALL_CLOCK:
                return True
        if isinstance(node, ast.ImportFrom) and any((node.module, each.name) in WALL_CLOCK for each in node.names):
            return True
    return False


def test_the_guard_sees_a_wall_clock() -> None:
    assert asks_wall_clock(ast.parse("import time\ntime.time()"))
    assert asks_wall_clock(ast.parse("from time import time"))
    assert asks_wall_clock(ast.parse("import datetime\ndatetime.datetime.now()"))
    assert not asks_wall_clock(ast.parse("import time\ntime.monotonic()"))


def test_no_decision_is_made_by_the_wall_clock() -> None:
    asking = {
        file.relative_to(ROOT).as_posix()
        for source in SOURCES
        for file in (ROOT / source).rglob("*.py")
        if asks_wall_clock(ast.parse(file.read_text(encoding="utf-8")))
    }
    assert not asking - ALLOWED.keys()
