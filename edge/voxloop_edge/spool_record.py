"""How messages lie in a file of the spool: each with its length and checksum, behind a line that says what this is."""

import struct
import zlib
from collections.abc import Iterable, Iterator

from voxloop_proto.errors import DataError
from voxloop_proto.v1 import voxloop_pb2 as pb

MAGIC = b"voxloop spool 1\n"
_HEAD = struct.Struct("<II")  # length in bytes, CRC-32


def pack(messages: Iterable[pb.RecognizeRequest]) -> bytes:
    """A file of the spool: the messages of one segment, or a session's Hello."""
    return MAGIC + b"".join(map(_record, messages))


def _record(message: pb.RecognizeRequest) -> bytes:
    payload = message.SerializeToString()
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def unpack(data: bytes) -> list[pb.RecognizeRequest]:
    """The messages of a file.

    Raises DataError if a byte of it is not what was written, or it was cut: what is sent would not be what was said.
    """
    if not data.startswith(MAGIC):
        raise DataError(f"begins with {data[:16]!r}; a file of the spool begins with {MAGIC!r}")
    return [pb.RecognizeRequest.FromString(payload) for payload in _payloads(data)]


def _payloads(data: bytes) -> Iterator[bytes]:
    at = len(MAGIC)
    while at < len(data):
        if at + _HEAD.size > len(data):
            raise DataError(f"torn at byte {at} of {len(data)}")
        length, checksum = _HEAD.unpack_from(data, at)
        payload = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(payload) != length or zlib.crc32(payload) != checksum:
            raise DataError(f"torn or damaged at byte {at} of {len(data)}")
        yield payload
        at += _HEAD.size + length
