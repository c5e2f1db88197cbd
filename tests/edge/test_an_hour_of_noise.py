"""An hour of noise, the worst that a device can be left with: it stays within its memory and its longest segment."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from voxloop_edge.pipeline import EdgeConfig, build_pipeline
from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm, ms_to_samples
from voxloop_proto.events import Chunk, SegmentEnded, SegmentPayload, SegmentStarted
from voxloop_proto.process import resident_bytes

HOUR_SAMPLES = 3600 * SAMPLE_RATE_HZ
CHUNK_SAMPLES = SAMPLE_RATE_HZ // 2


def _street(samples: int) -> Pcm:
    """Hum whose level and pitch change several times a second: what a VAD takes for speech."""
    rng = np.random.default_rng(3)
    time_s = np.arange(samples) / SAMPLE_RATE_HZ
    pitch_hz = 140 + 40 * np.sin(2 * np.pi * 1.3 * time_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    hum = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 4 * time_s), 0.02, 1)
    return np.asarray(0.1 * hum * syllables + 0.001 * rng.standard_normal(samples), np.float32)


def test_an_hour_of_noise_is_cut_into_bounded_segments_in_bounded_memory() -> None:
    """In a process of its own: what other tests have left in this one comes and goes."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        assert process.submit(_listen_for_an_hour).result() < 8 << 20


def _listen_for_an_hour() -> int:
    """Bytes by which the process grew after the first minute."""
    config = EdgeConfig()
    pipeline = build_pipeline(config)
    noise = _street(CHUNK_SAMPLES * 16)
    start_sample = sent_samples = segments = 0
    resident_after_a_minute = 0
    for position in range(0, HOUR_SAMPLES, CHUNK_SAMPLES):
        offset = position // CHUNK_SAMPLES % 16 * CHUNK_SAMPLES
        for event in pipeline.push(Chunk(position, noise[offset : offset + CHUNK_SAMPLES])):
            match event:
                case SegmentStarted():
                    start_sample, sent_samples = event.start_sample, 0
                    segments += 1
                case SegmentPayload():
                    sent_samples += event.samples
                case SegmentEnded():
                    assert sent_samples == event.end_sample - start_sample
                    assert sent_samples <= ms_to_samples(config.segmenter.max_segment_ms)
        if position == 60 * SAMPLE_RATE_HZ:
            resident_after_a_minute = resident_bytes()
    assert segments > 10
    return resident_bytes() - resident_after_a_minute
