"""The shell around the evaluator: reads the server's metrics every few seconds, and passes on what there is to say."""

import asyncio
import platform
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog
from prometheus_client import Metric

from voxloop_cloud.alarms.config import AlarmsConfig
from voxloop_cloud.alarms.evaluator import AlarmState, evaluate
from voxloop_cloud.alarms.events import DataMissing, DataSeen, Event, Fired, Resolved
from voxloop_cloud.alarms.message import to_message
from voxloop_cloud.alarms.registry import samples_of
from voxloop_cloud.alarms.steady_clock import SteadyClock
from voxloop_cloud.alarms.turn import Turn
from voxloop_cloud.alarms.watched_rules import WatchedRules
from voxloop_cloud.alarms.webhook import Webhook

if TYPE_CHECKING:  # at run time only servers with a store load SQLAlchemy
    from voxloop_cloud.alarms.journal import AlarmJournal

LAST_WORDS_S: Final = 3.0
"""Time that a stopping server gives its last messages to go out."""

Collect = Callable[[], Iterable[Metric]]
_log = structlog.get_logger("voxloop.alarms")


class AlarmWatch:
    """Evaluates the rules each time it is asked to, if it is this process's turn."""

    def __init__(
        self,
        rules: WatchedRules,
        collect: Collect,
        instance: str,
        turn: Turn,
        open_journal: "Callable[[], AlarmJournal] | None" = None,
        webhook: Webhook | None = None,
    ) -> None:
        """collect: the metrics of all processes. open_journal: called once it is this process's turn."""
        self._rules = rules
        self._collect = collect
        self._instance = instance
        self._turn = turn
        self._open_journal = open_journal
        self._journal: AlarmJournal | None = None
        self._webhook = webhook
        self._state: AlarmState | None = None  # until it is this process's turn

    def tick(self, at_s: float) -> tuple[Event, ...]:
        """One evaluation, of the metrics as they are now; gives what was said."""
        if not self._turn.take():
            return ()
        before = self._begin(at_s) if self._state is None else self._state
        if before.at_s is not None and at_s <= before.at_s:
            return ()
        self._refresh(at_s)
        self._state, events = evaluate(self._rules.rules, before, samples_of(self._collect()), at_s)
        for event in events:
            self._tell(event)
        if self._journal and self._state.phases != before.phases:
            self._journal.write(self._state, events)
        return events

    def close(self) -> None:
        """Keeps the state for the next start."""
        if self._journal and self._state is not None:
            self._journal.write(self._state)
            self._journal.close()

    def _begin(self, at_s: float) -> AlarmState:
        if self._open_journal is None:
            return AlarmState()
        self._journal = self._open_journal()
        return self._journal.load(at_s)

    def _refresh(self, at_s: float) -> None:
        before = self._rules.rules
        self._rules.refresh()
        if self._journal and self._rules.rules is not before:
            self._journal.note_edits(before, self._rules.rules, at_s)

    def _tell(self, event: Event) -> None:
        _write_log(event)
        name = event.rule.name if isinstance(event, Fired) else event.rule
        rule = next((rule for rule in self._rules.rules if rule.name == name), None)
        message = to_message(event, rule, self._instance)
        if self._webhook and message is not None:
            self._webhook.send(message)


@asynccontextmanager
async def open_alarms(
    config: AlarmsConfig, collect: Collect, turn: Turn, store_url: str | None = None
) -> AsyncIterator[None]:
    """Watches until the block is left. collect: the metrics of all of this server's processes.

    store_url: of the database that keeps alarms; none: the log alone tells of them.

    Raises ConfigError for rules or a webhook that can't be used.
    """
    if not config.on:
        yield
        return
    instance = config.instance or platform.node()[:64]
    rules = WatchedRules(config.rules)
    webhook = Webhook(config) if config.webhook else None
    open_journal = None if store_url is None else lambda: _open_journal(store_url, instance)
    watch = AlarmWatch(rules, collect, instance, turn, open_journal, webhook)
    task = asyncio.create_task(_watch(watch, config.interval_s), name="alarms")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))
        await asyncio.to_thread(watch.close)
        if webhook:
            await asyncio.to_thread(webhook.close, LAST_WORDS_S)


def _open_journal(store_url: str, instance: str) -> "AlarmJournal":
    from voxloop_cloud.alarms.journal import AlarmJournal  # noqa: PLC0415 (without a store nothing loads SQLAlchemy)
    from voxloop_cloud.store.database import open_database  # noqa: PLC0415 (as above)

    return AlarmJournal(open_database(store_url), instance)


async def _watch(watch: AlarmWatch, interval_s: float) -> None:
    clock = SteadyClock()
    while True:
        evaluation = asyncio.create_task(asyncio.to_thread(watch.tick, clock()), name="alarms: evaluation")
        try:
            await asyncio.shield(evaluation)
        except asyncio.CancelledError:
            await asyncio.wait((evaluation,))
            raise
        except Exception:  # noqa: BLE001 (the task's boundary: the next evaluation goes on)
            _log.exception("alarms.crashed")
        await asyncio.sleep(interval_s)


def _write_log(event: Event) -> None:
    match event:
        case Fired(rule=rule, labels=labels, value=value):
            told = {
                "severity": rule.severity,
                "threshold": rule.threshold,
                "meaning": rule.meaning,
                "action": rule.action,
            }
            _log.error("alarm.fired", rule=rule.name, labels=dict(labels), value=value, **told)
        case Resolved(rule=name, labels=labels, value=value, cause=cause, at_s=at_s, fired_s=fired_s):
            lasted_s = round(at_s - fired_s, 1)
            _log.warning(
                "alarm.resolved", rule=name, labels=dict(labels), value=value, cause=cause.value, lasted_s=lasted_s
            )
        case DataMissing(rule=name, labels=labels, is_firing=is_firing):
            tell = _log.warning if is_firing else _log.debug
            tell("alarm.data_missing", rule=name, labels=dict(labels), is_firing=is_firing)
        case DataSeen(rule=name, labels=labels, is_firing=is_firing):
            tell = _log.warning if is_firing else _log.debug
            tell("alarm.data_seen", rule=name, labels=dict(labels), is_firing=is_firing)
