"""Opus on the wire: nothing is lost, nothing is late, and garbage is refused."""

import struct
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloop_proto.audio import Pcm
from voxloop_proto.contract import OPUS_PACKET_SAMPLES
from voxloop_proto.errors import ConfigError, ContractError
from voxloop_proto.opus import OpusDecoder, OpusEncoder, split_packets

FIRST_CELT_CONFIGURATION = 16
"""In the five highest bits of a packet's first byte: RFC 6716, section 3.1."""


def chirp(samples: int) -> Pcm:
    time = np.arange(samples, dtype=np.float32) / 16_000
    return (0.3 * np.sin(2 * np.pi * (300 * time + 400 * time**2))).astype(np.float32)


def there_and_back(encoder: OpusEncoder, decoder: OpusDecoder, pcm: Pcm) -> Pcm:
    whole = len(pcm) // OPUS_PACKET_SAMPLES * OPUS_PACKET_SAMPLES
    return np.concatenate([decoder.decode(encoder.encode(pcm[:whole])), decoder.decode(encoder.finish(pcm[whole:]))])


@given(samples=st.integers(0, 2000))
def test_no_sample_is_lost_and_less_than_a_packet_is_added(samples: int) -> None:
    heard = there_and_back(OpusEncoder(), OpusDecoder(), chirp(samples))
    assert samples <= len(heard) < samples + OPUS_PACKET_SAMPLES


def test_what_is_heard_is_in_time_with_what_was_said() -> None:
    said = chirp(16_000)
    heard = there_and_back(OpusEncoder(bitrate_bps=32_000), OpusDecoder(), said)[: len(said)]
    shifts = range(-8, 9)
    likeness = [float(np.dot(said[800:-800], np.roll(heard, shift)[800:-800])) for shift in shifts]
    assert abs(shifts[int(np.argmax(likeness))]) <= 1


def test_a_second_segment_sounds_like_the_first() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    first = there_and_back(encoder, decoder, chirp(5000))
    decoder.reset()
    assert np.array_equal(first, there_and_back(encoder, decoder, chirp(5000)))


def test_each_packet_is_of_celt() -> None:
    packets = split_packets(OpusEncoder().encode(chirp(16_000)))
    assert len(packets) == 50
    assert all(packet[0] >> 3 >= FIRST_CELT_CONFIGURATION for packet in packets)


@given(garbage=st.binary(min_size=1, max_size=400))
def test_garbage_is_a_contract_error_or_sound_of_whole_packets(garbage: bytes) -> None:
    try:
        packets = split_packets(garbage)
        heard = OpusDecoder().decode(garbage)
    except ContractError:
        return
    assert len(heard) == len(packets) * OPUS_PACKET_SAMPLES - 104


@pytest.mark.parametrize(
    "payload", [b"\x01", struct.pack("<H", 0), struct.pack("<H", 5) + b"abc", b"\xff\xff" + b"a" * 70000]
)
def test_a_payload_that_is_not_whole_packets_is_refused(payload: bytes) -> None:
    with pytest.raises(ContractError):
        OpusDecoder().decode(payload)


def test_a_packet_that_is_not_20_ms_is_refused() -> None:
    ten_ms = bytes([0x40])  # RFC 6716, table 2: configuration 8, SILK wideband, 10 ms, no data
    with pytest.raises(ContractError, match="20 ms"):
        OpusDecoder().decode(struct.pack("<H", len(ten_ms)) + ten_ms)


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opuslib_next", None)
    with pytest.raises(ConfigError, match="pip install opuslib-next"):
        OpusEncoder()


def test_settings_that_libopus_refuses_are_named() -> None:
    with pytest.raises(ConfigError, match="bit/s"):
        OpusEncoder(bitrate_bps=-7)
