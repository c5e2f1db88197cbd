"""What a device costs while someone speaks: sound played in real time through its stages and client. For benchmarks."""

import asyncio
import time
from pathlib import Path

import numpy as np

from voxloop_edge.channel import open_channel
from voxloop_edge.client import Client
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.hello import make_hello
from voxloop_edge.pipeline import build_pipeline
from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm
from voxloop_proto.events import Chunk
from voxloop_proto.telemetry import StageClock

_CHUNK_SAMPLES = 1600
_WARM_UP_S = 1.0


async def measure_live(pcm: Pcm, settings: DeviceConfig, live_s: float) -> dict[str, float]:
    """Plays pcm, (S,) float32, over and over for live_s to the settings' server; this process plays nothing else.

    Gives CPU ms per second of sound, gRPC client included, and the most memory that was resident, in MB.
    """
    pcm, clock = np.resize(pcm, int(live_s * SAMPLE_RATE_HZ)), StageClock()
    pipeline = build_pipeline(settings, clock)
    async with (
        open_channel(settings.client) as channel,
        Client(channel, make_hello(settings, "bench"), settings.client, lambda _: None, clock) as session,
    ):
        await asyncio.sleep(_WARM_UP_S)
        start_s, cpu_start_s = time.monotonic(), time.process_time()
        for at in range(0, len(pcm), _CHUNK_SAMPLES):
            await asyncio.sleep(start_s + at / SAMPLE_RATE_HZ - time.monotonic())
            for event in pipeline.push(Chunk(at, pcm[at : at + _CHUNK_SAMPLES])):
                await session.send(event)
        for event in pipeline.flush():
            await session.send(event)
        await session.finish()
        cpu_ms = (time.process_time() - cpu_start_s) * 1000
    peak_kb = int(Path("/proc/self/status").read_text(encoding="ascii").split("VmHWM:")[1].split()[0])
    return {"cpu_ms_per_audio_s": cpu_ms / live_s, "resident_mb": peak_kb / 1024}
