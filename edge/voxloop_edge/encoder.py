"""Makes a segment's sound into payloads for the wire: PCM16, or Opus where the uplink is dear."""

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from voxloop_proto.audio import Pcm, ms_to_samples, to_pcm16
from voxloop_proto.contract import OPUS_PACKET_SAMPLES
from voxloop_proto.events import EncodedEvent, SegmentAudio, SegmentEnded, SegmentEvent, SegmentPayload, SegmentStarted
from voxloop_proto.opus import OPUS_LOOKAHEAD_SAMPLES
from voxloop_proto.opus import OpusEncoder as OpusPackets
from voxloop_proto.stage import Stage


class EncoderConfig(BaseModel):
    """How sound goes over the wire."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    codec: Literal["pcm16", "opus"] = Field("pcm16", description="pcm16 (256 kbit/s) or opus (needs libopus)")
    payload_ms: int = Field(200, ge=20, le=1000, description="sound in one message, in ms; a multiple of 20")
    bitrate_bps: int = Field(27_000, ge=6_000, le=128_000, description="opus: bit rate, in bits per second")
    complexity: int = Field(5, ge=0, le=10, description="opus: 0 costs least CPU, 10 sounds best")


def open_encoder(config: EncoderConfig) -> Stage[SegmentEvent, EncodedEvent]:
    """The encoder that the settings name.

    Raises ConfigError if its library is missing.
    """
    if config.codec == "opus":
        return OpusEncoder(config.bitrate_bps, config.complexity, config.payload_ms)
    return Pcm16Encoder(config.payload_ms)


class Pcm16Encoder:
    """Stage: segments to payloads of signed 16-bit samples. Adds up to payload_ms of latency."""

    def __init__(self, payload_ms: int = 200) -> None:
        self._payload_samples = ms_to_samples(payload_ms)
        self._waiting = _Waiting()

    def push(self, item: SegmentEvent, /) -> tuple[EncodedEvent, ...]:
        """Takes one event of a segment."""
        match item:
            case SegmentAudio():
                self._waiting.add(item)
                return tuple(self._payload(item.segment_id, pcm) for pcm in self._waiting.take(self._payload_samples))
            case SegmentStarted():
                return (item,)
            case SegmentEnded():
                rest = self._waiting.take_rest()
                return (self._payload(item.segment_id, rest), item) if len(rest) else (item,)

    def flush(self) -> tuple[EncodedEvent, ...]:
        """Nothing: each segment's end gives its rest."""
        self._waiting.take_rest()
        return ()

    def _payload(self, segment_id: int, pcm: Pcm) -> SegmentPayload:
        return SegmentPayload(segment_id, to_pcm16(pcm), len(pcm), self._waiting.gain_db)


class OpusEncoder:
    """Stage: segments to payloads of 20 ms Opus packets. Adds up to payload_ms of latency.

    A payload's samples are what `voxloop_proto.opus.OpusDecoder` makes of it. Their sum over a segment is its length
    and less than 20 ms more: the silence that pushes its last sample through the codec.

    Raises ConfigError if the library is missing.
    """

    def __init__(self, bitrate_bps: int = 27_000, complexity: int = 5, payload_ms: int = 200) -> None:
        self._packets = OpusPackets(bitrate_bps, complexity)
        self._payload_samples = max(1, ms_to_samples(payload_ms) // OPUS_PACKET_SAMPLES) * OPUS_PACKET_SAMPLES
        self._waiting = _Waiting()
        self._lookahead_samples = OPUS_LOOKAHEAD_SAMPLES  # what the segment's first payload decodes to less

    def push(self, item: SegmentEvent, /) -> tuple[EncodedEvent, ...]:
        """Takes one event of a segment."""
        match item:
            case SegmentAudio():
                self._waiting.add(item)
                ready = self._waiting.take(self._payload_samples)
                return tuple(self._payload(item.segment_id, self._packets.encode(pcm), len(pcm)) for pcm in ready)
            case SegmentStarted():
                return (item,)
            case SegmentEnded():
                return (self._finish(item.segment_id), item)

    def flush(self) -> tuple[EncodedEvent, ...]:
        """Nothing: each segment's end gives its rest."""
        self._waiting.take_rest()
        return ()

    def _finish(self, segment_id: int) -> SegmentPayload:
        rest = self._waiting.take_rest()
        packets = -(-(len(rest) + OPUS_LOOKAHEAD_SAMPLES) // OPUS_PACKET_SAMPLES)
        payload = self._payload(segment_id, self._packets.finish(rest), packets * OPUS_PACKET_SAMPLES)
        self._lookahead_samples = OPUS_LOOKAHEAD_SAMPLES
        return payload

    def _payload(self, segment_id: int, payload: bytes, samples: int) -> SegmentPayload:
        samples -= self._lookahead_samples
        self._lookahead_samples = 0
        return SegmentPayload(segment_id, payload, samples, self._waiting.gain_db)


class _Waiting:
    """Sound that does not yet fill a payload; at most one payload and one event of it."""

    def __init__(self) -> None:
        self.gain_db = 0.0
        self._parts: list[Pcm] = []
        self._samples = 0

    def add(self, audio: SegmentAudio) -> None:
        self._parts.append(audio.pcm)
        self._samples += len(audio.pcm)
        self.gain_db = audio.gain_db

    def take(self, samples: int) -> list[Pcm]:
        """Whole payloads of so many samples each."""
        if self._samples < samples:
            return []
        pcm = self.take_rest()
        whole = len(pcm) // samples * samples
        self._parts, self._samples = [pcm[whole:]], len(pcm) - whole
        return [pcm[at : at + samples] for at in range(0, whole, samples)]

    def take_rest(self) -> Pcm:
        """All of it."""
        pcm: Pcm = np.concatenate(self._parts) if self._parts else np.zeros(0, np.float32)
        self._parts, self._samples = [], 0
        return pcm
