"""All of the routing of one process, from its settings."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import BaseModel, ConfigDict, Field

from voxloop_cloud.engine import Engine, EngineConfig
from voxloop_cloud.routing.engine_rack import EngineRack
from voxloop_cloud.routing.policy import Policy
from voxloop_cloud.routing.policy_desk import PolicyDesk
from voxloop_cloud.routing.policy_version import fixed_policy
from voxloop_cloud.routing.router import Router
from voxloop_cloud.routing.shadows import Shadows, ShadowsConfig, open_shadows
from voxloop_proto.errors import VoxloopError

if TYPE_CHECKING:  # at run time only servers with a store load SQLAlchemy
    import sqlalchemy

    from voxloop_cloud.routing.policy_store import PolicyStore
    from voxloop_cloud.security.audit_log import AuditLog

_log = structlog.get_logger("voxloop.routing")


class RoutingConfig(BaseModel):
    """How a process follows the policy; the policy itself is in the store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    watch_ms: int = Field(
        250, ge=20, le=60_000, description="time between looks at the policy: the longest that a change takes elsewhere"
    )
    shadows: ShadowsConfig = Field(default_factory=ShadowsConfig)


@dataclass(frozen=True, slots=True)
class Routing:
    """What the server needs of it. database: None where nothing is kept."""

    router: Router
    desk: PolicyDesk
    shadows: Shadows
    database: "sqlalchemy.Engine | None"


@asynccontextmanager
async def open_routing(
    config: RoutingConfig,
    engine: Engine,
    engine_config: EngineConfig,
    database: "sqlalchemy.Engine | None",
    audit: "AuditLog | None" = None,
) -> AsyncIterator[Routing]:
    """Routes over the policy in the database, or, without one, to the one bundle; until the block is left.

    Waits for the policy's primary, if that is another than the engine's bundle; should it not be there, the engine's
    answers, and the log says so. audit: each change of the policy is written into it. Raises UnavailableError if the
    database is away.
    """
    rack = EngineRack(engine, engine_config)
    async with open_shadows(config.shadows) as shadows:
        if database is None:
            router = Router(rack, engine, fixed_policy(engine.key), shadows)
            yield Routing(router, PolicyDesk(router, rack, None), shadows, None)
            return
        from voxloop_cloud.routing.policy_store import PolicyStore  # noqa: PLC0415 (see above)
        from voxloop_cloud.routing.shadow_writer import ShadowWriter  # noqa: PLC0415

        store, writer = PolicyStore(database), ShadowWriter(database)
        shadows.listeners.append(writer.put)
        router = await _begin(rack, engine, store, shadows)
        async with _running(router.watch(store, config.watch_ms / 1000.0), writer.write()):
            try:
                yield Routing(router, PolicyDesk(router, rack, store, audit), shadows, database)
            finally:
                await rack.close()


async def _begin(rack: EngineRack, engine: Engine, store: "PolicyStore", shadows: Shadows) -> Router:
    version = await asyncio.to_thread(store.begin, Policy.of_one(engine.key), time.time())
    router = Router(rack, engine, version, shadows)
    try:
        await rack.load(version.policy.primary)
    except VoxloopError:  # why is logged there
        _log.error("primary.not_loaded", bundle=version.policy.primary, answering=engine.key)
    router.fetch()
    return router


@asynccontextmanager
async def _running(*jobs: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Tasks that live as long as the block. An error of theirs is logged by themselves."""
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
