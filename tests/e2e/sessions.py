"""Whole sessions of a device with a real server, and the ground truth to hold them against."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from voxloop_cloud.testing import babble
from voxloop_edge.channel import open_channel
from voxloop_edge.client import Client
from voxloop_edge.client_config import ClientConfig
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.hello import make_hello
from voxloop_edge.pipeline import build_pipeline
from voxloop_edge.replies import Reply, SegmentFailed, TranscriptArrived
from voxloop_proto.events import Chunk, EncodedEvent, SegmentEnded, SegmentPayload
from voxloop_proto.stage import run

MOST_S = 60.0


@lru_cache
def speech_events(segments: int = 3, duration_ms: float = 1200.0) -> tuple[EncodedEvent, ...]:
    """What a device says of so many different segments with silence between them."""
    gap = np.zeros(16_000, np.float32)
    parts = [part for number in range(segments) for part in (gap, babble(duration_ms, seed=number))]
    sound = np.concatenate([*parts, gap]).astype(np.float32)
    return tuple(run(build_pipeline(DeviceConfig()), [Chunk(0, sound)]))


def segments_of(events: Iterable[EncodedEvent]) -> list[list[EncodedEvent]]:
    """The events of each segment."""
    segments: list[list[EncodedEvent]] = [[]]
    for event in events:
        segments[-1].append(event)
        if isinstance(event, SegmentEnded):
            segments.append([])
    return segments[:-1]


def samples_made(events: Iterable[EncodedEvent]) -> Counter[int]:
    """The ground truth: samples that the device made, by segment."""
    made: Counter[int] = Counter()
    for event in events:
        if isinstance(event, SegmentPayload):
            made[event.segment_id] += event.samples
    return made


@dataclass
class Heard:
    """What a device was told."""

    replies: list[Reply] = field(default_factory=list)
    connections: int = 0

    @property
    def transcripts(self) -> list[tuple[int, str]]:
        """Segment and text of each transcript, in the order in which they came."""
        return [(r.transcript.segment_id, r.transcript.text) for r in self.replies if isinstance(r, TranscriptArrived)]

    @property
    def samples(self) -> Counter[int]:
        """Samples that transcripts cover, by segment; twice as many for one that came twice."""
        covered: Counter[int] = Counter()
        for reply in self.replies:
            if isinstance(reply, TranscriptArrived):
                covered[reply.transcript.segment_id] += reply.end.sent_samples
        return covered

    @property
    def failures(self) -> list[SegmentFailed]:
        """Segments that were refused."""
        return [reply for reply in self.replies if isinstance(reply, SegmentFailed)]


def client_config(address: str, **changes: object) -> ClientConfig:
    """A device of little patience with backoffs, and much with outages."""
    quick: dict[str, object] = {"insecure": True, "first_backoff_ms": 20, "longest_backoff_ms": 100}
    return ClientConfig.model_validate(quick | {"server": address} | changes)


async def hold_session(
    config: ClientConfig, events: Sequence[EncodedEvent], device_id: str = "device", pace_s: float = 0.0
) -> Heard:
    """Says all events, pace_s apart, and waits for all answers. Raises what the client raises."""
    heard = Heard()
    async with (
        asyncio.timeout(MOST_S),
        open_channel(config) as channel,
        Client(channel, make_hello(DeviceConfig(), device_id), config, heard.replies.append) as client,
    ):
        for event in events:
            await client.send(event)
            await asyncio.sleep(pace_s)
        await client.finish()
        heard.connections = client.uplink.connections
    return heard
