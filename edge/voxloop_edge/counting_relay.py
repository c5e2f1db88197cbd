"""A TCP relay that counts what goes through it. For benchmarks and tests of the device."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass

_BLOCK_BYTES = 1 << 16
_PACKET_BYTES = 1448
"""Most of a stream in one packet on Ethernet."""

_HEADER_BYTES = 52
"""IPv4 and TCP, with timestamps, before each packet."""


@dataclass(slots=True)
class WireCount:
    """Bytes of the TCP streams: all that the device's end wrote, framing, settings and pings included.

    up_packets: as if each write left at once, in packets of Ethernet.
    """

    up_bytes: int = 0
    up_packets: int = 0
    down_bytes: int = 0

    @property
    def up_bytes_with_headers(self) -> int:
        """The same with the headers of TCP and IPv4."""
        return self.up_bytes + self.up_packets * _HEADER_BYTES


@asynccontextmanager
async def open_counting_relay(server: str) -> AsyncIterator[tuple[str, WireCount]]:
    """The address of a relay to the server (host:port), and its count; the relay ends with the block."""
    host, _, port = server.rpartition(":")
    count, running, writers = WireCount(), set[asyncio.Task[None]](), set[asyncio.StreamWriter]()

    async def carry(near_reader: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        writers.add(near_writer)
        with suppress(OSError), closing(near_writer):  # either end may break off
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
            writers.add(far_writer)
            with closing(far_writer):
                await asyncio.gather(_up(near_reader, far_writer, count), _down(far_reader, near_writer, count))
        running.discard(task)

    listener = await asyncio.start_server(carry, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{listener.sockets[0].getsockname()[1]}", count
    finally:
        listener.close()
        for writer in writers:
            writer.close()
        await asyncio.gather(*running)
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


async def _up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: WireCount) -> None:
    while block := await reader.read(_BLOCK_BYTES):
        count.up_bytes += len(block)
        count.up_packets += -(-len(block) // _PACKET_BYTES)
        writer.write(block)
        await writer.drain()
    writer.write_eof()


async def _down(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: WireCount) -> None:
    while block := await reader.read(_BLOCK_BYTES):
        count.down_bytes += len(block)
        writer.write(block)
        await writer.drain()
    writer.write_eof()
