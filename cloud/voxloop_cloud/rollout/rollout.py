"""The rollout's part of one process: the guard at work, and the desk where people are asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from voxloop_cloud.alarms.config import AlarmsConfig
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.rollout.alarm_names import check_alarm_names
from voxloop_cloud.rollout.config import RolloutConfig
from voxloop_cloud.rollout.guard import open_guard
from voxloop_cloud.rollout.review_desk import ReviewDesk, open_review_desk
from voxloop_cloud.rollout.review_queue import ReviewQueue
from voxloop_cloud.routing.routing import Routing

if TYPE_CHECKING:
    from voxloop_cloud.records.records import Records

FLUSH_S = 5.0
"""How long an utterance has to be in the store before people can be asked about it."""


@asynccontextmanager
async def open_rollout(
    config: RolloutConfig, alarms: AlarmsConfig, routing: Routing, records: "Records | None"
) -> AsyncIterator[ReviewDesk | None]:
    """Watches what the routing tries out, until the block is left; gives the desk. None where there is no store.

    alarms: the server's. Raises ConfigError for alarms that cannot fire, and that or DataError for a wrong manifest of
    clips that must not fail.
    """
    if routing.database is None or records is None:
        yield None
        return
    check_alarm_names(config, alarms)

    def recognizer_of(bundle: str) -> Recognizer | None:
        return next((engine.recognizer for engine in routing.router.engines if engine.key == bundle), None)

    writer, queue = records.writer, ReviewQueue(routing.database, config.reviews.most_waiting)
    async with (
        open_guard(routing.database, routing.desk, recognizer_of, config),
        open_review_desk(queue, lambda: writer.flush(FLUSH_S), config.reviews) as desk,
    ):
        yield desk
