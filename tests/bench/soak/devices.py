"""Devices of a long run: they speak in real time, session after session, or stay silent."""

import asyncio
import itertools
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
from tests.bench.soak.counting import Count
from tests.e2e.faulty_proxy import Faults, FaultyProxy

from voxloop_edge.channel import open_channel
from voxloop_edge.client import Client
from voxloop_edge.client_config import ClientConfig
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.hello import make_hello
from voxloop_edge.manifest import read_clips
from voxloop_edge.pipeline import build_pipeline
from voxloop_edge.source import FileSource
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.errors import VoxloopError
from voxloop_proto.events import Chunk, EncodedEvent, SegmentPayload

_SESSION_CLIPS = 10
_BAD_LINE = Faults(cut_after_bytes=400_000, most_cuts=1 << 30, delay_ms=20.0)
_STAGGER_S = 0.37

Talk = list[tuple[float, EncodedEvent]]
"""What a device says in one session, and when, in seconds from its start."""


def read_sound(sources: list[Path]) -> list[list[Chunk]]:
    """The chunks of each clip and a second of silence after it, read before anything is timed."""
    silence = np.zeros(SAMPLE_RATE_HZ, np.float32)
    clips = ([chunk.pcm for chunk in FileSource(clip.audio).chunks()] for clip in read_clips(sources))
    return [[Chunk(0, pcm) for pcm in (*parts, silence)] for parts in clips]


def session_of(clips: list[list[Chunk]], first: int) -> Talk:
    """Some clips in a row through the pipeline, as one session says them."""
    pipeline, events, at = build_pipeline(DeviceConfig()), [], 0
    for chunk in itertools.chain.from_iterable(clips[(first + n) % len(clips)] for n in range(_SESSION_CLIPS)):
        said = pipeline.push(Chunk(at, chunk.pcm))
        at += len(chunk.pcm)
        events += [(at / SAMPLE_RATE_HZ, event) for event in said]
    return events + [(at / SAMPLE_RATE_HZ, event) for event in pipeline.flush()]


async def speak(config: ClientConfig, name: str, says: Talk, count: Count) -> None:
    """One session in real time; what is lost shows once it is over."""
    made: Counter[int] = Counter()
    try:
        async with (
            open_channel(config) as channel,
            Client(channel, make_hello(DeviceConfig(), name), config, lambda r: count.hear(r, made)) as client,
        ):
            start_s = time.monotonic()
            for at_s, event in says:
                await asyncio.sleep(start_s + at_s - time.monotonic())
                made[event.segment_id] += event.samples if isinstance(event, SegmentPayload) else 0
                await client.send(event)
            await client.finish()
    except VoxloopError as error:
        count.errors[error.message] += 1
    count.lost_samples += sum(abs(left) for left in made.values())


async def device(address: str, number: int, sessions: list[Talk], count: Count, faults: bool, end_s: float) -> None:
    """Session after session until the time is over. faults: every other device's line is cut again and again."""
    async with AsyncExitStack() as stack:
        if faults and number % 2:
            address = (await stack.enter_async_context(FaultyProxy(address, _BAD_LINE, seed=number))).address
        config = ClientConfig(server=address, insecure=True)
        await asyncio.sleep(number * _STAGGER_S % 5.0)
        for turn in itertools.count(number):
            if time.monotonic() >= end_s:
                return
            await speak(config, f"soak-{number}", sessions[turn % len(sessions)], count)


async def stay_silent(address: str, number: int, end_s: float, count: Count) -> None:
    """A session that is open and says nothing."""
    config = ClientConfig(server=address, insecure=True)
    hello = make_hello(DeviceConfig(), f"idle-{number}")
    async with open_channel(config) as channel, Client(channel, hello, config, lambda r: count.hear(r, Counter())):
        await asyncio.sleep(max(0.0, end_s - time.monotonic()))
