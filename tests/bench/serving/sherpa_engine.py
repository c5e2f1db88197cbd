"""How many real-time streams sherpa-onnx's engine bears: all of them in one `decode_streams` loop, no server.

    python -m tests.bench.serving.sherpa_engine --bundle DIR --audio FILE.npz --streams 32 --threads 1

All streams are in step: each is given a chunk of sound, then all are decoded as one batch, as fast as it goes. One JSON
line says how much sound was recognised in a second of wall clock: that many streams could speak at once. Pin it with
taskset; for two cores take --threads 2, or two of these processes on a core each.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sherpa_onnx
from tests.bench.serving.sherpa_recognizer import LAYOUT_HELP, open_recognizer, read_clips

from voxloop_cloud.bundle import load_bundle
from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm

CHUNK_MS = 320
"""Sound that each stream is given before each round: what one step of the default bundle moves on by."""


@dataclass(frozen=True, slots=True)
class Round:
    """One time through the sound. tokens: that came of it, as a sign of life."""

    audio_s: float
    wall_s: float
    cpu_s: float
    tokens: int

    @property
    def realtime_streams(self) -> float:
        """Seconds of sound in a second of wall clock."""
        return self.audio_s / self.wall_s


def cut_streams(clips: list[Pcm], streams: int, seconds: float) -> list[Pcm]:
    """Sound for each stream, the clips joined and begun at another place for each."""
    joined, samples = np.concatenate(clips), round(seconds * SAMPLE_RATE_HZ)
    starts: npt.NDArray[np.int64] = np.arange(streams) * (len(joined) // streams)
    return [np.resize(np.roll(joined, -int(start)), samples) for start in starts]


def play(recognizer: Any, sounds: list[Pcm], most_in_batch: int) -> Round:
    """All sounds through the recogniser, in step."""
    streams = [recognizer.create_stream() for _ in sounds]
    chunk, samples = CHUNK_MS * SAMPLE_RATE_HZ // 1000, len(sounds[0])
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    for at in range(0, samples, chunk):
        for stream, sound in zip(streams, sounds, strict=True):
            stream.accept_waveform(SAMPLE_RATE_HZ, sound[at : at + chunk])
        ready = [stream for stream in streams if recognizer.is_ready(stream)]
        for first in range(0, len(ready), most_in_batch):
            recognizer.decode_streams(ready[first : first + most_in_batch])
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    tokens = sum(len(recognizer.tokens(stream)) for stream in streams)
    return Round(samples * len(sounds) / SAMPLE_RATE_HZ, wall_s, cpu_s, tokens)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    options.add_argument("--audio", type=Path, required=True, help=".npz of clips, or .npy; (S,) float32 at 16 kHz")
    options.add_argument("--streams", type=int, default=32, help="streams in step")
    options.add_argument("--seconds", type=float, default=16.0, help="sound for each stream in a round")
    options.add_argument("--threads", type=int, default=1, help="of onnxruntime, inside a step")
    options.add_argument("--layout", choices=("same", "nemo"), default="same", help=LAYOUT_HELP)
    options.add_argument("--most-in-batch", type=int, default=1000, help="streams in one decode_streams")
    options.add_argument("--rounds", type=int, default=3, help="measured, after one that warms up")
    given = options.parse_args()
    bundle = load_bundle(given.bundle)
    recognizer = open_recognizer(bundle, given.threads, given.layout)
    sounds = cut_streams(read_clips(given.audio), given.streams, given.seconds)
    play(recognizer, [sound[: 4 * SAMPLE_RATE_HZ] for sound in sounds], given.most_in_batch)
    rounds = []
    for number in range(given.rounds):
        rounds.append(play(recognizer, sounds, given.most_in_batch))
        print(f"round {number + 1}: {rounds[-1].realtime_streams:.1f} streams", file=sys.stderr)  # noqa: T201
    result = {
        "peer": f"sherpa-onnx {sherpa_onnx.__version__}, engine",
        "bundle": bundle.label,
        "streams": given.streams,
        "threads": given.threads,
        "layout": given.layout,
        "most_in_batch": given.most_in_batch,
        "realtime_streams": round(float(np.median([each.realtime_streams for each in rounds])), 2),
        "realtime_streams_of_rounds": [round(each.realtime_streams, 2) for each in rounds],
        "cpu_ms_per_audio_s": round(float(np.median([each.cpu_s / each.audio_s for each in rounds])) * 1000, 3),
        "tokens": rounds[-1].tokens,
    }
    print(json.dumps(result), flush=True)  # noqa: T201 (its one output)


if __name__ == "__main__":
    main()
