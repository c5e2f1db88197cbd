"""Alarms that stand and that were, the rules, and who changed which threshold."""

from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from voxloop_cloud.alarms.rule_file import read_rules
from voxloop_cloud.alarms.threshold_log import change_threshold, threshold_changes
from voxloop_cloud.console.alarm_book import past_alarms, standing_alarms
from voxloop_cloud.console.page import Ask, back_to, number, page
from voxloop_proto.errors import ConfigError

CHANGES: Final = 50


def _show(ask: Ask) -> Response:
    file = ask.sources.config.rules
    engine = ask.sources.engine
    return ask.show(
        "alarms.html",
        standing=standing_alarms(engine),
        past=past_alarms(engine),
        rules=read_rules(file),
        changes=threshold_changes(engine)[:CHANGES],
        may_change=file is not None,
    )


def _set(ask: Ask) -> Response:
    file = ask.sources.config.rules
    if file is None:
        raise ConfigError(
            "the rules that ship are not changed; start server and console with a file of your own (alarms.rules)"
        )
    threshold = number(ask.form.get("threshold"), "threshold")
    reason = ask.form.get("reason", "").strip()
    if threshold is None or not reason:
        raise ConfigError("a threshold and a reason, both; say in words why")
    change_threshold(
        ask.sources.engine,
        file,
        ask.path["rule"],
        threshold,
        None,
        ask.user.name,
        reason,
        ask.sources.now_s(),
    )
    return back_to(f"/alarms#{ask.path['rule']}")


ROUTES: Final[tuple[Route, ...]] = (page("/alarms", _show), page("/alarms/{rule}/threshold", _set, posts=True))
