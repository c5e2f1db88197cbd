"""The bundles that a process has loaded."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import structlog

from voxloop_cloud.engine import Engine, EngineConfig
from voxloop_cloud.routing.bundle_shelf import find_keyed
from voxloop_proto.errors import ContractError, VoxloopError

_log = structlog.get_logger("voxloop.routing")


class EngineRack:
    """Loads bundles in the background, once each, and lets go of them. Close it when the server ends.

    The first one stays: it is what the process was started with, and shares its memory with other workers. A bundle
    that was let go is freed when the last segment that is under way on it has its text.
    """

    def __init__(self, first: Engine, config: EngineConfig) -> None:
        self.engines = {first.key: first}
        self.failures: dict[str, str] = {}
        """By bundle: why it could not be loaded when it was last tried."""
        self._first = first
        self._config = config
        self._loading: dict[str, asyncio.Task[Engine]] = {}
        self._unwanted: set[str] = set()  # of those that are being loaded

    async def load(self, key: str) -> Engine:
        """A bundle, as soon as it is ready. Raises ConfigError if it is not here, ContractError if it is wrong."""
        if found := self.engines.get(key):
            return found
        self.begin_loading([key])
        return await asyncio.shield(self._loading[key])

    def begin_loading(self, keys: Iterable[str]) -> None:
        """Those that are not there are loaded from now on; what fails is kept in `failures`, and logged."""
        for key in keys:
            self._unwanted.discard(key)
            if key not in self.engines and key not in self._loading:
                task = self._loading[key] = asyncio.create_task(self._load(key), name=f"load {key}")
                task.add_done_callback(_hear)

    def keep(self, keys: Iterable[str]) -> None:
        """Lets go of all others but the first."""
        kept = {*keys, self._first.key}
        for key in self.engines.keys() - kept:
            _log.info("bundle.let_go", bundle=key)
            del self.engines[key]
        for key in self.failures.keys() - kept:
            del self.failures[key]
        self._unwanted |= self._loading.keys() - kept

    async def close(self) -> None:
        """Waits for no bundle any more."""
        loading = list(self._loading.values())
        for task in loading:
            task.cancel()
        await asyncio.gather(*loading, return_exceptions=True)

    async def _load(self, key: str) -> Engine:
        try:
            engine = await self._open(key)
        except Exception as error:
            self.failures[key] = str(error)
            _log.error("bundle.not_loaded", bundle=key, error=str(error), exc_info=not isinstance(error, VoxloopError))
            raise
        else:
            self.failures.pop(key, None)
            if key not in self._unwanted:
                self.engines[key] = engine
                _log.info("bundle.loaded", bundle=key)
            return engine
        finally:
            del self._loading[key]
            self._unwanted.discard(key)

    async def _open(self, key: str) -> Engine:
        path: Path = await asyncio.to_thread(find_keyed, key)
        engine = await self._first.open_beside(path, self._config)
        if engine.key != key:
            raise ContractError(f"{path} was {key} a moment ago and is {engine.key} now; do it again")
        return engine


def _hear(task: asyncio.Task[Engine]) -> None:
    """Nobody may be waiting for what went wrong."""
    if not task.cancelled():
        task.exception()
