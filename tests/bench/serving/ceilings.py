"""What bounds a server: features, onnxruntime and decoding in one plain loop without a server, and onnxruntime alone.

    python -m tests.bench.serving.ceilings --bundle DIR --audio FILE.npz --streams 32

All streams are in step, as fast as it goes, in one thread: each is given the sound of a window, then all windows are
recognised in full batches, then decoded. Batches of 1, 8 and 16 are tried, and the best one is told, though a bundle
whose arithmetic is not exact in batches may not be served with it (docs/decisions/0006). Pin it with taskset; for two
cores run two.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from tests.bench.serving.sherpa_engine import cut_streams
from tests.bench.serving.sherpa_recognizer import read_clips

from voxloop_cloud.bundle import load_bundle
from voxloop_cloud.recognition import SegmentRecognition
from voxloop_cloud.recognizer import Recognizer
from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm

BATCHES = (1, 8, 16)


def plain_loop(recognizer: Recognizer, sounds: list[Pcm], batch: int) -> float:
    """Seconds of sound recognised in a second, segments of the sounds' length."""
    chunk = recognizer.bundle.config.chunk
    assert chunk is not None, "an offline bundle has no streams"
    step = chunk.shift_frames * recognizer.bundle.config.features.shift_samples
    streams = [SegmentRecognition(recognizer) for _ in sounds]
    begun_s = time.perf_counter()
    for at in range(0, len(sounds[0]) + step, step):
        for stream, sound in zip(streams, sounds, strict=True):
            stream.push(sound[at : at + step]) if at < len(sound) else stream.finish()
        ready = [stream for stream in streams if stream.next_window() is not None]
        while ready:
            for first in range(0, len(ready), batch):
                _step(recognizer, ready[first : first + batch])
            ready = [stream for stream in ready if stream.next_window() is not None]
    texts = [stream.result().text for stream in streams]
    seconds = time.perf_counter() - begun_s
    assert any(texts), "no text: the loop is not what it is to be compared with"
    return len(sounds) * len(sounds[0]) / SAMPLE_RATE_HZ / seconds


def _step(recognizer: Recognizer, streams: list[SegmentRecognition]) -> None:
    windows = [window for stream in streams if (window := stream.next_window()) is not None]
    log_probs, states = recognizer.step([stream.state for stream in streams], np.stack(windows), used_up=True)
    for stream, row, state in zip(streams, log_probs, states, strict=True):
        stream.take(row, state)


def onnxruntime_alone(recognizer: Recognizer, streams: int, batch: int, steps: int = 12) -> float:
    """Seconds of sound in a second if only the model ran, each stream with a state of its own."""
    config = recognizer.bundle.config
    assert config.chunk is not None, "an offline bundle has no streams"
    shape = (batch, config.chunk.window_frames, config.features.mel_bins)
    windows = np.random.default_rng(0).standard_normal(shape, np.float32) * np.float32(3.0) - np.float32(8.0)
    states = [recognizer.start() for _ in range(streams)]
    begun_s = time.perf_counter()
    for _ in range(steps):
        for first in range(0, streams, batch):
            _, states[first : first + batch] = recognizer.step(states[first : first + batch], windows, used_up=True)
    shift_s = config.chunk.shift_frames * config.features.frame_shift_ms / 1000.0
    return streams * steps * shift_s / (time.perf_counter() - begun_s)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    options.add_argument("--audio", type=Path, required=True, help=".npz of clips, or .npy; (S,) float32 at 16 kHz")
    options.add_argument("--streams", type=int, default=32, help="streams in step; a multiple of 16")
    options.add_argument("--seconds", type=float, default=6.0, help="sound for each stream in a round")
    options.add_argument("--rounds", type=int, default=3, help="measured, after one that warms up")
    given = options.parse_args()
    recognizer = Recognizer(load_bundle(given.bundle))
    sounds = cut_streams(read_clips(given.audio), given.streams, given.seconds)
    plain_loop(recognizer, sounds[:2], 1)
    loops = {b: float(np.median([plain_loop(recognizer, sounds, b) for _ in range(given.rounds)])) for b in BATCHES}
    bare = {
        b: float(np.median([onnxruntime_alone(recognizer, given.streams, b) for _ in range(given.rounds)]))
        for b in BATCHES
    }
    exact = recognizer.exact_batch or max(BATCHES)
    result = {
        "bundle": recognizer.bundle.label,
        "streams": given.streams,
        "loop_streams": {str(b): round(value, 2) for b, value in loops.items()},
        "onnxruntime_alone_streams": {str(b): round(value, 2) for b, value in bare.items()},
        "exact_batch": exact,
        "loop_best": round(max(loops.values()), 2),
        "onnxruntime_alone_best": round(max(bare.values()), 2),
    }
    print(json.dumps(result), flush=True)  # noqa: T201 (its one output)


if __name__ == "__main__":
    main()
