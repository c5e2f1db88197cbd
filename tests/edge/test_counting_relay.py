"""The relay hands on every byte and counts it."""

import asyncio

import pytest

from voxloop_edge.counting_relay import open_counting_relay


async def _answer_in_capitals(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.read()).upper() + b"!")
    await writer.drain()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("size", [0, 1, 1448, 1449, 300_000])
def test_what_goes_through_arrives_whole_and_is_counted(size: int) -> None:
    async def converse() -> None:
        server = await asyncio.start_server(_answer_in_capitals, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            async with open_counting_relay(f"127.0.0.1:{port}") as (address, count):
                reader, writer = await asyncio.open_connection(*address.split(":"))
                writer.write(b"x" * size)
                writer.write_eof()
                assert await reader.read() == b"X" * size + b"!"
                writer.close()
                await writer.wait_closed()
        assert (count.up_bytes, count.down_bytes) == (size, size + 1)
        assert -(-size // 1448) <= count.up_packets <= size
        assert count.up_bytes_with_headers == size + 52 * count.up_packets

    asyncio.run(converse())


def test_a_server_that_is_not_there_ends_the_connection() -> None:
    async def converse() -> None:
        async with open_counting_relay("127.0.0.1:1") as (address, count):
            reader, writer = await asyncio.open_connection(*address.split(":"))
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            await writer.wait_closed()
        assert count.up_bytes == 0

    asyncio.run(converse())
