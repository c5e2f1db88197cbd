"""A bad network on purpose: a TCP proxy that delays, cuts, stalls, truncates, duplicates and reorders, by a seed."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Self

_BLOCK_BYTES = 4_096
_BUFFER_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Faults:
    """What happens to the blocks of bytes on their way, of at most 4 KiB each; nothing by default.

    delay_ms: each block waits for 0 to this. cut_after_bytes: each connection is cut (RST) once it has carried between
    a tenth of this and all of it, both ways together, while there are cuts left. truncated_, duplicated_, reordered_,
    flipped_ratio: share of blocks of which half is lost and the connection cut, which come twice, whose halves change
    places, in which a bit changes. bytes_per_s: pace of each direction; 0: none.
    """

    delay_ms: float = 0.0
    cut_after_bytes: int = 0
    most_cuts: int = 0
    truncated_ratio: float = 0.0
    duplicated_ratio: float = 0.0
    reordered_ratio: float = 0.0
    flipped_ratio: float = 0.0
    bytes_per_s: int = 0


NO_FAULTS = Faults()


class FaultyProxy:
    """Stands between devices and a server. Use as `async with FaultyProxy(server_address) as proxy`.

    faults: may be replaced at any time. cuts, faulty_blocks: what has been caused so far.
    """

    def __init__(self, upstream: str, faults: Faults = NO_FAULTS, seed: int = 0) -> None:
        self.faults = faults
        self.address = ""
        self.cuts = 0
        self.faulty_blocks = 0
        self.connections = 0
        self._upstream = upstream
        self._random = Random(seed)  # which block is hit depends on how the bytes arrive, too
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_BUFFER_BYTES)
        port = self._server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Resets all connections."""
        for writer in self._writers:
            writer.transport.abort()

    def stall(self) -> None:
        """From now on nothing comes through, and nothing is closed: half-open, as when a cable is pulled."""
        self._flowing.clear()

    def resume(self) -> None:
        """All that was held back comes through."""
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._flowing.wait()
            host, _, port = self._upstream.rpartition(":")
            to_server = await asyncio.open_connection(host, int(port), limit=_BUFFER_BYTES)
            await self._join((reader, writer), to_server)
        except (OSError, asyncio.CancelledError):
            pass  # refused, reset, or the proxy is closed: either way this connection is over
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _join(
        self,
        device: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Carries bytes both ways until either end closes or the line is cut."""
        line = _Line(self)
        self._writers |= {device[1], server[1]}
        pumps = [
            asyncio.create_task(line.pump(device[0], server[1]), name="to server"),
            asyncio.create_task(line.pump(server[0], device[1]), name="to device"),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for writer in (device[1], server[1]):
                self._writers.discard(writer)
                writer.transport.abort()

    async def until_flowing(self) -> None:
        """Returns at once unless the proxy is stalled."""
        await self._flowing.wait()

    def happens(self, ratio: float) -> bool:
        """Whether a fault of this share hits now; counts it."""
        hit = ratio > 0 and self._random.random() < ratio
        self.faulty_blocks += hit
        return hit

    def draw(self, low: float, high: float) -> float:
        """A number between two."""
        return self._random.uniform(low, high)

    def may_cut(self) -> bool:
        """Whether a connection may be cut now; counts the cut."""
        if self.cuts >= self.faults.most_cuts:
            return False
        self.cuts += 1
        return True


class _Line:
    """One connection's two directions, and when it is cut."""

    def __init__(self, proxy: FaultyProxy) -> None:
        self._proxy = proxy
        self._carried_bytes = 0
        self._is_truncated = False
        longest = proxy.faults.cut_after_bytes
        self._cut_at_bytes = proxy.draw(longest / 10, longest)

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, until its end or a cut."""
        with contextlib.suppress(OSError):
            while block := await reader.read(_BLOCK_BYTES):
                faults = self._proxy.faults
                await asyncio.sleep(self._proxy.draw(0, faults.delay_ms) / 1000.0 if faults.delay_ms else 0)
                await self._proxy.until_flowing()
                self._carried_bytes += len(block)
                for piece in self._spoilt(block, faults):
                    writer.write(piece)
                    await writer.drain()
                    if faults.bytes_per_s:
                        await asyncio.sleep(len(piece) / faults.bytes_per_s)
                if self._is_cut(faults):
                    return

    def _is_cut(self, faults: Faults) -> bool:
        if self._is_truncated:
            return True
        reached = faults.cut_after_bytes and self._carried_bytes >= self._cut_at_bytes
        return bool(reached) and self._proxy.may_cut()

    def _spoilt(self, block: bytes, faults: Faults) -> Iterator[bytes]:
        half = len(block) // 2
        if self._proxy.happens(faults.truncated_ratio):
            self._is_truncated = True
            yield block[:half]
        elif self._proxy.happens(faults.duplicated_ratio):
            yield block
            yield block
        elif self._proxy.happens(faults.reordered_ratio):
            yield block[half:]
            yield block[:half]
        elif self._proxy.happens(faults.flipped_ratio):
            yield block[:half] + bytes([block[half] ^ 1]) + block[half + 1 :]
        else:
            yield block
