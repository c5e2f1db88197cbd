"""Opus as devices send it: payloads of packets, each behind its length."""

import numpy as np
from tests.fuzz.choices import Choices
from tests.fuzz.target import FuzzTarget

from voxloop_cloud.testing import babble
from voxloop_proto.contract import MAX_OPUS_PACKETS, OPUS_PACKET_SAMPLES
from voxloop_proto.errors import ContractError
from voxloop_proto.opus import OpusDecoder, OpusEncoder

_PAYLOADS = 4
_SEED_PACKETS = 3


def run(data: bytes) -> None:
    """Payloads are decoded to whole packets of finite sound, or refused; a refused one is not the decoder's end."""
    choices = Choices(data)
    decoder = OpusDecoder()
    for _ in range(1 + choices.below(_PAYLOADS)):
        length_bytes = int.from_bytes(choices.take(2), "little")
        _decode(decoder, choices.take(length_bytes))
    decoder.reset()
    assert len(decoder.decode(_good_payload())) > 0


def _decode(decoder: OpusDecoder, payload: bytes) -> None:
    try:
        pcm = decoder.decode(payload)
    except ContractError:
        return
    assert len(pcm) <= MAX_OPUS_PACKETS * OPUS_PACKET_SAMPLES
    assert np.isfinite(pcm).all()


def _good_payload(bitrate_bps: int = 24_000) -> bytes:
    return OpusEncoder(bitrate_bps).encode(babble(20 * _SEED_PACKETS))


def _seeds() -> list[bytes]:
    payloads = [_good_payload(bitrate_bps) for bitrate_bps in (6_000, 24_000, 128_000)]
    framed = [len(payload).to_bytes(2, "little") + payload for payload in payloads]
    return [bytes([0]) + framed[0], bytes([0]) + framed[1], bytes([2]) + b"".join(framed)]


OPUS = FuzzTarget("opus", "Opus payloads", _seeds, run)
