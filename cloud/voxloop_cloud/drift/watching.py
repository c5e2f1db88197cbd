"""Drift detection as a part of the server: there where there is a store."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from voxloop_cloud.bundle import Bundle
from voxloop_cloud.drift.drift_config import DriftConfig

if TYPE_CHECKING:  # at run time only servers with a store load SQLAlchemy
    from sqlalchemy import Engine


@asynccontextmanager
async def watching_drift(config: DriftConfig, database: "Engine | None", bundle: Bundle) -> AsyncIterator[None]:
    """Watches the utterances of the database until the block is left; nothing where there is none.

    bundle: whose training data is compared with. Raises ContractError if its reference.json is no reference.
    """
    if database is None or not config.enabled:
        yield
        return
    from voxloop_cloud.drift.watch import DriftWatch  # noqa: PLC0415

    watch = DriftWatch(database, bundle, config)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(watch.run(), name="drift")
        try:
            yield
        finally:
            task.cancel()
