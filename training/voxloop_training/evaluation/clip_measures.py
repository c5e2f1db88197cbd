"""What is measured on a clip's sound itself, whoever recognises it: its length, how much of it is speech, its SNR."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from voxloop_edge.framer import Framer
from voxloop_edge.vad import VadConfig, VadStage, open_vad
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.events import Chunk, JudgedFrame
from voxloop_proto.stage import Chain

MIN_SNR_DB: Final = -10.0
MAX_SNR_DB: Final = 60.0
_BACKGROUND_PERCENTILE: Final = 10.0


@dataclass(frozen=True, slots=True)
class ClipMeasures:
    """Lengths in seconds. snr_db: None if no frame is speech.

    The SNR is the power of the frames that the VAD takes for speech, over that of the background, which is the level
    that 10 % of the clip's 30 ms frames stay below (after the lower peak of NIST's STNR). So it holds for a steady
    background with at least a tenth of the clip free of speech. Of a clip cut tightly around a word it says too little,
    as the background is then the word's own edges; after lossy codecs and noise gates, which empty the pauses, too
    much. It is kept within -10 and 60 dB.
    """

    audio_s: float
    voiced_s: float
    snr_db: float | None


def measure_sound(chunks: Iterable[Chunk]) -> ClipMeasures:
    """Measures of a whole clip; the device's VAD with its default settings judges the frames."""
    config = VadConfig()
    stages: Chain[Chunk, JudgedFrame] = Chain(Framer(config.frame_ms), VadStage(open_vad(config)))
    judged: list[JudgedFrame] = [frame for chunk in chunks for frame in stages.push(chunk)]
    judged += stages.flush()
    samples = np.array([each.frame.real_samples for each in judged], np.int64)
    voiced = np.array([each.voiced for each in judged], bool)
    powers = np.array([float(np.mean(np.square(each.frame.pcm[: each.frame.real_samples]))) for each in judged])
    return ClipMeasures(
        audio_s=float(samples.sum()) / SAMPLE_RATE_HZ,
        voiced_s=float(samples[voiced].sum()) / SAMPLE_RATE_HZ,
        snr_db=_snr_db(powers, voiced),
    )


def _snr_db(powers: npt.NDArray[np.float64], voiced: npt.NDArray[np.bool_]) -> float | None:
    if not voiced.any():
        return None
    background = float(np.percentile(powers, _BACKGROUND_PERCENTILE))
    speech = float(powers[voiced].mean()) - background
    if speech <= 0.0:
        return MIN_SNR_DB
    if background <= 0.0:
        return MAX_SNR_DB
    return min(MAX_SNR_DB, max(MIN_SNR_DB, 10.0 * math.log10(speech / background)))
