"""The strip of stages from microphone to transcript, live; and the history of each stage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from voxloop_cloud.alarms.rule_file import read_rules
from voxloop_cloud.console.alarm_book import KeptAlarm, standing_alarms, state_by_stage
from voxloop_cloud.console.page import Ask, page, signed_in
from voxloop_cloud.console.sparkline import spark_path
from voxloop_cloud.console.strip import FIGURES, figures_of
from voxloop_proto.errors import DataError
from voxloop_proto.metrics.spec import STAGES

SPARK_S: Final = 1_800.0
MOST_LISTENERS: Final = 100
"""Browsers that a live page may be open in; beyond it a page shows what is, and does not follow."""


@dataclass(frozen=True, slots=True)
class StageView:
    """A stage as the strip shows it. state: fine, note, ticket, page; empty where no rule watches it."""

    name: str
    state: str
    figure: str
    unit: str
    value: float | None
    spark: str


def _views(ask: Ask) -> tuple[list[StageView], list[KeptAlarm]]:
    alarms = standing_alarms(ask.sources.engine)
    states = state_by_stage(alarms, read_rules(ask.sources.config.rules))
    latest, now_s = ask.sources.meter.latest, ask.sources.now_s()
    views = []
    for stage in STAGES:
        figure = figures_of(stage)[0]
        place = FIGURES.index(figure)
        value = latest[1][place] if latest else None
        past = ask.sources.meter.past(place, now_s - SPARK_S)
        spark = spark_path(past, past[0][0] if past else now_s, now_s)
        views.append(StageView(stage, states.get(stage, ""), figure.name, figure.unit, value, spark))
    return views, alarms


def _strip(ask: Ask) -> dict[str, Any]:
    views, alarms = _views(ask)
    latest = ask.sources.meter.latest
    return {
        "stages": views,
        "alarms": alarms,
        "read_s": latest[0] if latest else None,
        "fault": ask.sources.meter.fault,
        "is_on": ask.sources.meter.url is not None,
        "stage": ask.path.get("stage", ""),
    }


def _show(ask: Ask) -> Response:
    return ask.show("pipeline.html", **_strip(ask))


def _show_stage(ask: Ask) -> Response:
    stage = ask.path["stage"]
    if stage not in STAGES:
        raise DataError(f"there is no stage {stage[:40]!r}; they are {', '.join(STAGES)}")
    rules = [rule for rule in read_rules(ask.sources.config.rules) if rule.stage == stage]
    latest = ask.sources.meter.latest
    figures = [
        (FIGURES.index(figure), figure, latest[1][FIGURES.index(figure)] if latest else None)
        for figure in figures_of(stage)
    ]
    every_s = max(2.0, ask.sources.meter.interval_s)
    return ask.show("stage.html", **_strip(ask), figures=figures, rules=rules, every_s=every_s)


def _series(ask: Ask) -> Response:
    place: int = ask.path["place"]
    if place >= len(FIGURES):
        raise DataError(f"there is no figure {place}; they are 0 to {len(FIGURES) - 1}")
    past = ask.sources.meter.past(place)
    return JSONResponse({"at_s": [at_s for at_s, _ in past], "values": [value for _, value in past]})


_listeners: set[object] = set()


async def _live(request: Request) -> Response:
    """The strip as server-sent events, each time that the metrics were read."""
    ask = signed_in(request)
    if ask is None or len(_listeners) >= MOST_LISTENERS:
        return Response(status_code=204)  # which ends a browser's attempts
    return StreamingResponse(_events(request, ask), media_type="text/event-stream")


async def _events(request: Request, ask: Ask) -> AsyncIterator[str]:
    me, stopping = object(), ask.sources.stopping
    _listeners.add(me)
    try:
        while not stopping.is_set() and not await request.is_disconnected() and signed_in(request) is not None:
            values = await run_in_threadpool(_strip, ask)
            text = ask.render("strip.html", **values)
            yield "event: strip\n" + "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), ask.sources.meter.interval_s)
    finally:
        _listeners.discard(me)


ROUTES: Final[tuple[Route, ...]] = (
    page("/pipeline", _show),
    Route("/pipeline/live", _live),
    page("/pipeline/figures/{place:int}.json", _series),
    page("/pipeline/{stage}", _show_stage),
)
