"""Many people who speak to the peer's websocket server in real time, and how long each waits for the text.

    python -m tests.bench.serving.sherpa_client --port 6006 --audio FILE.npz --streams 50 --seconds 30

Each stream speaks one clip after the other, without a pause, as into a microphone: a message leaves when its sound has
been spoken. A clip is a connection of its own, as the server wants it, and ends with "Done"; its latency runs from
there to the final text. One JSON line has the latencies, and how late the client itself was with its messages.
"""

import argparse
import asyncio
import json
import random
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tests.bench.serving.sherpa_recognizer import read_clips
from tests.bench.serving.sherpa_utterance import SpokenClip, Utterance, cut_clip

from voxloop_proto.errors import UnavailableError

MOST_UNANSWERED = 2
"""Clips of one stream whose text has not come, before it waits."""

ANSWER_TIMEOUT_S = 20.0


@dataclass(slots=True)
class Measured:
    """What came back of the clips that count, and how late messages left."""

    latency_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    texts: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """What all streams share. Times are of time.monotonic; a clip counts if it ends from counts_from_s to ends_s."""

    clips: list[SpokenClip]
    ports: list[int]
    starts_s: float
    counts_from_s: float
    ends_s: float
    measured: Measured = field(default_factory=Measured)

    async def speak(self, number: int, phase_s: float) -> None:
        """One stream: clips, one after the other, until the run ends."""
        begins_s, clips, answers = self.starts_s + phase_s, number, deque[asyncio.Task[None]]()
        while begins_s < self.ends_s:
            clip = self.clips[clips % len(self.clips)]
            if len(answers) == MOST_UNANSWERED:
                await answers.popleft()
            utterance = await self._say(clip, self.ports[number % len(self.ports)], begins_s)
            answers.append(asyncio.create_task(self._await_answer(utterance, time.monotonic())))
            begins_s += clip.due_s[-1]
            clips += 1
        await asyncio.gather(*answers)

    async def _say(self, clip: SpokenClip, port: int, begins_s: float) -> Utterance:
        await asyncio.sleep(begins_s - time.monotonic())
        _, utterance = await asyncio.get_running_loop().create_connection(Utterance, "127.0.0.1", port)
        for message, due_s in zip(clip.messages, clip.due_s, strict=True):
            await asyncio.sleep(begins_s + due_s - time.monotonic())
            utterance.send(message)
            self.measured.late_ms.append((time.monotonic() - begins_s - due_s) * 1000.0)
        return utterance

    async def _await_answer(self, utterance: Utterance, done_s: float) -> None:
        measured = self.measured
        counts = self.counts_from_s <= done_s < self.ends_s
        try:
            final = await asyncio.wait_for(utterance.final, ANSWER_TIMEOUT_S)
        except (UnavailableError, TimeoutError):
            measured.failed += counts
            return
        finally:
            utterance.close()
        if counts:
            measured.latency_ms.append((final.at_s - done_s) * 1000.0)
            measured.texts += bool(final.text.strip())


async def play(clips: list[SpokenClip], ports: list[int], streams: int, warm_up_s: float, seconds: float) -> Measured:
    """All streams, begun one after the other over the first clip's time."""
    now_s, longest_s = time.monotonic() + 0.2, max(clip.due_s[-1] for clip in clips)
    phases = random.Random(1)
    run = Run(clips, ports, now_s, now_s + warm_up_s, now_s + warm_up_s + seconds)
    async with asyncio.TaskGroup() as group:
        for number in range(streams):
            group.create_task(run.speak(number, phases.uniform(0.0, min(longest_s, warm_up_s))))
    return run.measured


def percentiles(values: list[float]) -> dict[str, float]:
    """Median, p95 and p99, in the values' unit; empty for none."""
    shares = {"p50": 50, "p95": 95, "p99": 99} if values else {}
    return {name: round(float(np.percentile(values, share)), 2) for name, share in shares.items()}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--port", type=int, action="append", required=True, help="repeat it to share several servers")
    options.add_argument("--audio", type=Path, required=True, help=".npz of clips, or .npy; (S,) float32 at 16 kHz")
    options.add_argument("--streams", type=int, default=32, help="that speak at once")
    options.add_argument("--seconds", type=float, default=30.0, help="measured")
    options.add_argument("--warm-up-s", type=float, default=10.0, help="before that; streams begin one by one in it")
    options.add_argument("--message-ms", type=int, default=100, help="sound in one message, at most 1000")
    given = options.parse_args()
    clips = [cut_clip(pcm, given.message_ms) for pcm in read_clips(given.audio)]
    cpu_s, wall_s = time.process_time(), time.monotonic()
    measured = asyncio.run(play(clips, given.port, given.streams, given.warm_up_s, given.seconds))
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
    result = {
        "streams": given.streams,
        "message_ms": given.message_ms,
        "clips": len(measured.latency_ms),
        "with_text": measured.texts,
        "failed": measured.failed,
        "latency": percentiles(measured.latency_ms),
        "client_late": percentiles(measured.late_ms),
        "client_cpu_ratio": round(cpu_s / wall_s, 4),
        "latency_ms": [round(value, 2) for value in measured.latency_ms],
    }
    print(json.dumps(result), flush=True)  # noqa: T201 (its one output)


if __name__ == "__main__":
    main()
