"""Devices that speak to a voxloop server in real time: `voxloop calibrate`'s crowd, with one's own sound.

python -m tests.bench.serving.voxloop_client --server 127.0.0.1:50051 --audio FILE.npz --streams 50 --seconds 30
"""

import argparse
import asyncio
import json
import time
from pathlib import Path

from tests.bench.serving.sherpa_client import percentiles
from tests.bench.serving.sherpa_recognizer import read_clips

from voxloop_cloud.load.crowd import Crowd, Plan
from voxloop_cloud.load.spoken_clip import cut_clip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--server", default="127.0.0.1:50051", help="address; plaintext, on this machine")
    options.add_argument("--audio", type=Path, required=True, help=".npz of clips, or .npy; (S,) float32 at 16 kHz")
    options.add_argument("--streams", type=int, default=32, help="that speak at once")
    options.add_argument("--first", type=int, default=0, help="number of the first stream, for several processes")
    options.add_argument("--seconds", type=float, default=30.0, help="measured")
    options.add_argument("--warm-up-s", type=float, default=10.0, help="before that; streams begin one by one in it")
    options.add_argument("--message-ms", type=int, default=100, help="sound in one message")
    given = options.parse_args()
    clips = [cut_clip(pcm, given.message_ms) for pcm in read_clips(given.audio)]
    wall_s, cpu_s = time.monotonic(), time.process_time()
    plan = Plan(given.streams, given.warm_up_s, given.seconds, given.first)
    outcome = asyncio.run(Crowd(given.server, clips, plan).speak())
    result = {
        "streams": given.streams,
        "message_ms": given.message_ms,
        "clips": len(outcome.latency_ms),
        "with_text": outcome.texts,
        "failed": outcome.failures.total() + outcome.refused.total(),
        "failures": dict(outcome.failures),
        "refused": dict(outcome.refused),
        "refused_after_ms": percentiles(outcome.refused_ms),
        "latency": percentiles(outcome.latency_ms),
        "client_late": percentiles(outcome.late_ms),
        "client_cpu_ratio": round((time.process_time() - cpu_s) / (time.monotonic() - wall_s), 4),
        "latency_ms": [round(value, 2) for value in outcome.latency_ms],
    }
    print(json.dumps(result), flush=True)  # noqa: T201 (its one output)


if __name__ == "__main__":
    main()
