"""The rollout's part of one process: the guard at work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.rollout.config import RolloutConfig
from voxloop_cloud.rollout.guard import open_guard
from voxloop_cloud.routing.routing import Routing


@asynccontextmanager
async def open_rollout(config: RolloutConfig, routing: Routing) -> AsyncIterator[None]:
    """Watches what the routing tries out, until the block is left; nothing where there is no store.

    Raises ConfigError or DataError for a wrong manifest of clips that must not fail.
    """
    if routing.database is None:
        yield
        return

    def recognizer_of(bundle: str) -> Recognizer | None:
        return next((engine.recognizer for engine in routing.router.engines if engine.key == bundle), None)

    async with open_guard(routing.database, routing.desk, recognizer_of, config):
        yield
