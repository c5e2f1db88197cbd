"""How messages lie in a file of the spool: what it is, how many there are, then each with its length and checksum."""

import struct
import zlib
from collections.abc import Iterator, Sequence

from voxloop_proto.errors import DataError
from voxloop_proto.v1 import voxloop_pb2 as pb

MAGIC = b"voxloop spool 1\n"
_COUNT = struct.Struct("<I")
_HEAD = struct.Struct("<II")  # length in bytes, CRC-32


def pack(messages: Sequence[pb.RecognizeRequest]) -> bytes:
    """A file of the spool: the messages of one segment, or a session's Hello."""
    return MAGIC + _COUNT.pack(len(messages)) + b"".join(map(_record, messages))


def _record(message: pb.RecognizeRequest) -> bytes:
    payload = message.SerializeToString()
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def unpack(data: bytes) -> list[pb.RecognizeRequest]:
    """The messages of a file.

    Raises DataError if a byte of it is not what was written, or it was cut: what is sent would not be what was said.
    """
    if not data.startswith(MAGIC):
        raise DataError(f"begins with {data[:16]!r}; a file of the spool begins with {MAGIC!r}")
    if len(data) < len(MAGIC) + _COUNT.size:
        raise DataError(f"torn at byte {len(data)}")
    (count,) = _COUNT.unpack_from(data, len(MAGIC))
    payloads = list(_payloads(data, len(MAGIC) + _COUNT.size))
    if len(payloads) != count:
        raise DataError(f"holds {len(payloads)} messages of {count}: torn")
    return [pb.RecognizeRequest.FromString(payload) for payload in payloads]


def _payloads(data: bytes, at: int) -> Iterator[bytes]:
    while at < len(data):
        if at + _HEAD.size > len(data):
            raise DataError(f"torn at byte {at} of {len(data)}")
        length, checksum = _HEAD.unpack_from(data, at)
        payload = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(payload) != length or zlib.crc32(payload) != checksum:
            raise DataError(f"torn or damaged at byte {at} of {len(data)}")
        yield payload
        at += _HEAD.size + length
