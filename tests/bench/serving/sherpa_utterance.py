"""One utterance over a websocket, at the least cost to the client: messages are cut beforehand and written as they are.

They are masked with zeros (RFC 6455, section 5.3, asks for a mask, and the server applies it as any other), and
compression is not offered. A library's client would cost several times the CPU, on the cores that are being measured.
"""

import asyncio
import json
import struct
import time
from dataclasses import dataclass

from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm
from voxloop_proto.errors import UnavailableError

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
MOST_UNSENT_BYTES = 1 << 20
_LONG = 126
_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dm94bG9vcCBiZW5jaG1hcg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class SpokenClip:
    """A clip as it is sent. messages: websocket frames; due_s: when each has been spoken, from the clip's start."""

    messages: tuple[bytes, ...]
    due_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FinalText:
    """An utterance's last answer. at_s: of time.monotonic."""

    text: str
    at_s: float


def cut_clip(pcm: Pcm, message_ms: int) -> SpokenClip:
    """The messages of a clip, (S,) float32 at 16 kHz; "Done" goes with the last."""
    step = message_ms * SAMPLE_RATE_HZ // 1000
    messages = [client_frame(BINARY, pcm[at : at + step].tobytes()) for at in range(0, len(pcm), step)]
    messages[-1] += client_frame(TEXT, b"Done")
    ends = (min(at + step, len(pcm)) / SAMPLE_RATE_HZ for at in range(0, len(pcm), step))
    return SpokenClip(tuple(messages), tuple(ends))


def client_frame(kind: int, payload: bytes) -> bytes:
    """A whole websocket message of at most 64 KiB."""
    size = len(payload)
    head = struct.pack(">BBH", 0x80 | kind, 0x80 | _LONG, size) if size >= _LONG else bytes((0x80 | kind, 0x80 | size))
    return head + bytes(4) + payload


class Utterance(asyncio.Protocol):
    """A connection that carries one utterance; `final` is its answer, or UnavailableError if it never came."""

    def __init__(self) -> None:
        self.final: asyncio.Future[FinalText] = asyncio.get_running_loop().create_future()
        self._received = bytearray()
        self._is_upgraded = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for a websocket; messages may follow at once."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(_HANDSHAKE)

    def send(self, message: bytes) -> None:
        """Gives up on a server that no longer takes anything: `final` says so."""
        if self._transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            self._transport.abort()
        else:
            self._transport.write(message)

    def close(self) -> None:
        """Ends the connection; whoever still waits for a text does so in vain."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Takes what has come whole."""
        self._received += data
        if not self._is_upgraded:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self._transport.abort()
                return
            self._received, self._is_upgraded = rest, True
        while (frame := self._take_frame()) is not None:
            self._hear(*frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """Without a final text there is none to wait for."""
        if not self.final.done():
            self.final.set_exception(UnavailableError("the server closed before the final text"))

    def _hear(self, kind: int, payload: bytes) -> None:
        if kind == PING:
            self._transport.write(client_frame(PONG, payload))
        elif kind == CLOSE:
            self._transport.write(client_frame(CLOSE, payload))
        elif kind == TEXT and b'"final"' in payload and not self.final.done():
            self.final.set_result(FinalText(json.loads(payload)["text"], time.monotonic()))

    def _take_frame(self) -> tuple[int, bytes] | None:
        """Kind and payload of the next whole frame; a server's are not masked, and these not above 64 KiB."""
        if len(self._received) < 4 and not (len(self._received) >= 2 and self._received[1] <= len(self._received) - 2):
            return None
        size, start = self._received[1], 2
        if size == _LONG:
            (size,), start = struct.unpack_from(">H", self._received, 2), 4
        if len(self._received) < start + size:
            return None
        kind, payload = self._received[0] & 0xF, bytes(self._received[start : start + size])
        del self._received[: start + size]
        return kind, payload
