"""What the training data sounds like: the yardstick against which the server measures drift."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from lhotse import CutSet

from voxloop_proto.audio import Pcm, level_dbfs
from voxloop_training.audio_cache import AudioCache

_FRAME_SAMPLES: Final = 320
_EDGES: Final[dict[str, npt.NDArray[np.float64]]] = {
    "level_dbfs": np.arange(-70.0, 1.0, 5.0),
    "duration_s": np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 20.0, 30.0]),
    "snr_db": np.arange(0.0, 81.0, 5.0),
    "characters_per_s": np.arange(0.0, 31.0, 2.0),
}


def reference_statistics(cuts: CutSet, cache: AudioCache) -> dict[str, Any]:
    """Histogram, mean and standard deviation of each input metric over the clips with words, as recorded."""
    rows = list(_measure(cuts, cache))
    return {"clips": len(rows), "metrics": {name: _summary([row[name] for row in rows], name) for name in _EDGES}}


def snr_db(samples: Pcm) -> float:
    """A guess without a reference: loud (95th percentile) over quiet (10th percentile) frames of 20 ms."""
    frames = samples[: len(samples) // _FRAME_SAMPLES * _FRAME_SAMPLES].reshape(-1, _FRAME_SAMPLES)
    if not len(frames):
        return 0.0
    powers_db = 10.0 * np.log10(np.mean(np.square(frames), axis=1) + 1e-10)
    loud_db, quiet_db = np.percentile(powers_db, [95, 10])
    return float(loud_db - quiet_db)


def _measure(cuts: CutSet, cache: AudioCache) -> Iterator[dict[str, float]]:
    for cut in cuts:
        text = cut.supervisions[0].text or ""
        if text:
            samples = cache.load(cut.id)
            yield {
                "level_dbfs": level_dbfs(samples),
                "duration_s": cut.duration,
                "snr_db": snr_db(samples),
                "characters_per_s": len(text) / cut.duration,
            }


def _summary(values: list[float], name: str) -> dict[str, Any]:
    """What lies outside of the edges counts in the outermost bins."""
    edges = _EDGES[name]
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    mean, deviation = float(np.mean(values)), float(np.std(values))
    return {"edges": edges.tolist(), "counts": counts.tolist(), "mean": round(mean, 4), "std": round(deviation, 4)}
