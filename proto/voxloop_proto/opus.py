"""Opus as it goes over the wire: 20 ms packets, each preceded by its length as a 16-bit little-endian integer.

Both ends of the codec stand side by side, so that what one writes is what the other reads. A segment is one Opus
stream: encoder and decoder start anew with it, so that it can be sent again or decoded alone.

Opus answers late: the first OPUS_LOOKAHEAD_SAMPLES that a decoder gives lie before the first sample that went in. The
decoder here drops them, and the encoder's `finish` adds as much silence, so that no sample is lost. After the segment's
last sample may come up to one packet of silence: `end_sample` says where the sound ends.

The format is RFC 6716; the library is libopus through opuslib-next, imported when a codec is made.
"""

import struct
from types import ModuleType

import numpy as np

from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm
from voxloop_proto.contract import MAX_OPUS_PACKETS, OPUS_PACKET_SAMPLES
from voxloop_proto.errors import ConfigError, ContractError

OPUS_LOOKAHEAD_SAMPLES = 104
"""Delay of libopus at 16 kHz where it may choose its mode, all versions since 1.0: 2.5 ms of CELT overlap and 4 ms that
keep it in step with SILK."""

_LENGTH = struct.Struct("<H")
_MAX_PACKET_BYTES = 1275  # RFC 6716, section 3.2.1: the longest frame
_APPLICATION = "audio"
_SIGNAL_MUSIC = 3002  # OPUS_SIGNAL_MUSIC
"""Together they make libopus choose CELT, from 14 kbit/s on. It keeps the energy of each band, and so what a recogniser
hears; SILK, the mode for speech, costs more words and three times the CPU (docs/uplink.md)."""


class OpusEncoder:
    """Turns whole 20 ms packets of sound into wire payloads.

    Raises ConfigError if the library is missing or the settings are outside what it takes.
    """

    def __init__(self, bitrate_bps: int = 26_000, complexity: int = 5) -> None:
        library = _load_library()
        self._encoder = library.Encoder(SAMPLE_RATE_HZ, 1, _APPLICATION)
        try:
            self._encoder.bitrate = bitrate_bps
            self._encoder.complexity = complexity
            self._encoder.signal = _SIGNAL_MUSIC
        except library.OpusError as error:
            raise ConfigError(
                f"Opus refuses {bitrate_bps} bit/s at complexity {complexity} ({error}); "
                "it takes 6000 to 510000 bit/s and complexity 0 to 10"
            ) from error
        if self._encoder.lookahead != OPUS_LOOKAHEAD_SAMPLES:
            raise ConfigError(
                f"this libopus delays by {self._encoder.lookahead} samples, the contract says "
                f"{OPUS_LOOKAHEAD_SAMPLES}; install libopus 1.x or send PCM16"
            )

    def encode(self, pcm: Pcm) -> bytes:
        """Packets of sound whose length is a multiple of OPUS_PACKET_SAMPLES."""
        packets: list[bytes] = []
        for start in range(0, len(pcm), OPUS_PACKET_SAMPLES):
            block = pcm[start : start + OPUS_PACKET_SAMPLES].tobytes()
            packet: bytes = self._encoder.encode_float(block, OPUS_PACKET_SAMPLES)
            packets += (_LENGTH.pack(len(packet)), packet)
        return b"".join(packets)

    def finish(self, rest: Pcm) -> bytes:
        """The last packets of a segment: rest (any length), and silence to push it through. Starts anew after that."""
        samples = -(-(len(rest) + OPUS_LOOKAHEAD_SAMPLES) // OPUS_PACKET_SAMPLES) * OPUS_PACKET_SAMPLES
        padded = np.zeros(samples, np.float32)
        padded[: len(rest)] = rest
        payload = self.encode(padded)
        self._encoder.reset_state()
        return payload


class OpusDecoder:
    """Turns a segment's payloads back into sound; one decoder per segment, or `reset` between them.

    Raises ConfigError if the library is missing.
    """

    def __init__(self) -> None:
        library = _load_library()
        self._error: type[Exception] = library.OpusError
        self._decoder = library.Decoder(SAMPLE_RATE_HZ, 1)
        self._to_drop_samples = OPUS_LOOKAHEAD_SAMPLES

    def reset(self) -> None:
        """Forgets all: the next payload is the first of a segment."""
        self._decoder.reset_state()
        self._to_drop_samples = OPUS_LOOKAHEAD_SAMPLES

    def decode(self, payload: bytes) -> Pcm:
        """The sound of one payload, (N,) float32.

        Raises ContractError on anything but whole packets of 20 ms.
        """
        blocks = [self._decode_packet(packet) for packet in split_packets(payload)]
        pcm: Pcm = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
        dropped = min(self._to_drop_samples, len(pcm))
        self._to_drop_samples -= dropped
        return pcm[dropped:]

    def _decode_packet(self, packet: bytes) -> Pcm:
        try:
            block = self._decoder.decode_float(packet, OPUS_PACKET_SAMPLES)
        except self._error as error:
            raise ContractError(
                f"an Opus packet of {len(packet)} bytes cannot be decoded ({error}); send mono packets of 20 ms"
            ) from error
        pcm = np.frombuffer(block, np.float32)
        if len(pcm) != OPUS_PACKET_SAMPLES:
            raise ContractError(f"an Opus packet of {len(pcm) / SAMPLE_RATE_HZ * 1000:g} ms; the contract says 20 ms")
        return pcm


def split_packets(payload: bytes) -> list[bytes]:
    """The packets of one payload, without their lengths.

    Raises ContractError if the lengths do not fit the payload.
    """
    packets, position = [], 0
    while position < len(payload):
        start = position + _LENGTH.size
        if start > len(payload):
            raise ContractError("an Opus payload ends in the middle of a packet's length; send whole packets")
        (length,) = _LENGTH.unpack_from(payload, position)
        if not 1 <= length <= _MAX_PACKET_BYTES:
            raise ContractError(f"an Opus packet of {length} bytes; a packet has 1 to {_MAX_PACKET_BYTES}")
        if start + length > len(payload):
            raise ContractError(
                f"an Opus packet of {length} bytes, of which {len(payload) - start} are in the payload; "
                "send whole packets"
            )
        packets.append(payload[start : start + length])
        if len(packets) > MAX_OPUS_PACKETS:
            raise ContractError(f"over {MAX_OPUS_PACKETS} Opus packets in one payload; send at most two seconds")
        position = start + length
    return packets


def _load_library() -> ModuleType:
    try:
        import opuslib_next  # noqa: PLC0415 (native, and only needed for this codec)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"Opus needs the library '{error.name}'; install it with: pip install opuslib-next, or use PCM16"
        ) from error
    except Exception as error:  # the library raises a bare Exception if libopus is not there
        raise ConfigError(
            f"Opus needs the system's libopus ({error}); install it (Debian: apt install libopus0) or use PCM16"
        ) from error
    library: ModuleType = opuslib_next
    return library
