"""A websocket server on sherpa-onnx's Python API, built as its public streaming server is: the peer's whole system.

    python -m tests.bench.serving.sherpa_server --bundle DIR --port 0

It works as python-api-examples/streaming_server.py of k2-fsa/sherpa-onnx does, with its defaults. A connection is one
utterance: binary messages of float32 samples at 16 kHz, then the text "Done". Each stream with enough sound for a step
queues up; a consumer takes what is queued, at most --max-batch-size, and decodes it as one batch in a thread; when it
finds nothing it sleeps for --max-wait-ms. A JSON message follows each step, and the last one the end; then the server
closes. Three differences, all to its advantage: there are as many consumers as --nn-pool-size (there, one always waits
for its batch, so a second thread never works), no endpointing, and no web pages.

For two cores take --num-threads 2, --nn-pool-size 2, or two servers on a core each with half of the clients.
"""

import argparse
import asyncio
import json
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from tests.bench.serving.sherpa_recognizer import LAYOUT_HELP, open_recognizer
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from voxloop_cloud.bundle import load_bundle
from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm

TAIL_SAMPLES = round(0.3 * SAMPLE_RATE_HZ)
"""Silence after the last sample, which pushes it through the model."""

MAX_MESSAGE_BYTES = 1 << 20
MAX_WAITING_MESSAGES = 32
MAX_QUEUED_STREAMS = 500

_Queued = tuple[Any, "asyncio.Future[None]"]


class PeerServer:
    """Streams of many connections, decoded in batches of whoever is ready."""

    def __init__(self, recognizer: Any, nn_pool_size: int, max_batch_size: int, max_wait_ms: float) -> None:
        self._recognizer = recognizer
        self._consumers = nn_pool_size
        self._pool = ThreadPoolExecutor(nn_pool_size, thread_name_prefix="nn")
        self._max_batch_size = max_batch_size
        self._max_wait_s = max_wait_ms / 1000.0
        self._queue: asyncio.Queue[_Queued] = asyncio.Queue(MAX_QUEUED_STREAMS)

    async def run(self, port: int) -> None:
        """Says where it listens, and serves until it is asked to end."""
        stopped = asyncio.Event()
        for asked in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(asked, stopped.set)
        consumers = [asyncio.create_task(self._consume(), name=f"consumer {n}") for n in range(self._consumers)]
        async with serve(
            self._converse, "127.0.0.1", port, max_size=MAX_MESSAGE_BYTES, max_queue=MAX_WAITING_MESSAGES
        ) as server:
            print(f"listening on 127.0.0.1:{_port(server)}", flush=True)  # noqa: T201 (who starts it waits for it)
            await stopped.wait()
        for consumer in consumers:
            consumer.cancel()
        await asyncio.gather(*consumers, return_exceptions=True)
        self._pool.shutdown()

    async def _consume(self) -> None:
        while True:
            batch = self._take_batch()
            if not batch:
                await asyncio.sleep(self._max_wait_s)
                continue
            streams = [stream for stream, _ in batch]
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._pool, self._recognizer.decode_streams, streams)
            for _, decoded in batch:
                if not decoded.done():  # else its connection has gone
                    decoded.set_result(None)

    def _take_batch(self) -> list[_Queued]:
        batch: list[_Queued] = []
        with suppress(asyncio.QueueEmpty):
            while len(batch) < self._max_batch_size:
                batch.append(self._queue.get_nowait())
        return batch

    async def _converse(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await self._recognize(connection)

    async def _recognize(self, connection: ServerConnection) -> None:
        stream = self._recognizer.create_stream()
        while (pcm := await _receive(connection)) is not None:
            stream.accept_waveform(SAMPLE_RATE_HZ, pcm)
            while self._recognizer.is_ready(stream):
                await self._decode(stream)
                await self._send_text(connection, stream)
        stream.accept_waveform(SAMPLE_RATE_HZ, np.zeros(TAIL_SAMPLES, np.float32))
        stream.input_finished()
        while self._recognizer.is_ready(stream):
            await self._decode(stream)
        await self._send_text(connection, stream, final=True)

    async def _decode(self, stream: Any) -> None:
        """One step of the stream, in a batch with others."""
        decoded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._queue.put((stream, decoded))
        await decoded

    async def _send_text(self, connection: ServerConnection, stream: Any, *, final: bool = False) -> None:
        message = {"text": self._recognizer.get_result(stream), "segment": 0}
        await connection.send(json.dumps(message | {"final": True} if final else message))


async def _receive(connection: ServerConnection) -> Pcm | None:
    """The samples of the next message, None at the end."""
    message = await connection.recv()
    if isinstance(message, str):
        return None
    return np.frombuffer(message, np.float32)


def _port(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    options.add_argument("--port", type=int, default=6006, help="to listen on; 0 for any that is free")
    options.add_argument("--nn-pool-size", type=int, default=1, help="threads, each with a batch of its own")
    options.add_argument("--max-batch-size", type=int, default=50, help="most streams in one step")
    options.add_argument("--max-wait-ms", type=float, default=10.0, help="sleep of a consumer that finds nothing")
    options.add_argument("--num-threads", type=int, default=1, help="of onnxruntime, inside a step")
    options.add_argument("--layout", choices=("same", "nemo"), default="same", help=LAYOUT_HELP)
    given = options.parse_args()
    recognizer = open_recognizer(load_bundle(given.bundle), given.num_threads, given.layout)
    server = PeerServer(recognizer, given.nn_pool_size, given.max_batch_size, given.max_wait_ms)
    asyncio.run(server.run(given.port))


if __name__ == "__main__":
    main()
