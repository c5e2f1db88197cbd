"""What a measurement comes to: spreads, a change with its interval, and what it was measured on."""

import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from voxloop_proto import __version__

RESAMPLES = 2_000
Values = npt.NDArray[np.float64]
_ROOT = Path(__file__).parents[3]


def spread(values_ms: Sequence[float]) -> dict[str, float]:
    """Median, 95 % quantile and the most."""
    p50, p95, most = np.percentile(values_ms, [50, 95, 100]) if len(values_ms) else (float("nan"),) * 3
    return {"p50_ms": round(float(p50), 2), "p95_ms": round(float(p95), 2), "most_ms": round(float(most), 2)}


def p95_change(before: Sequence[Sequence[float]], after: Sequence[Sequence[float]]) -> dict[str, Any]:
    """How the 95 % quantile changed, as a ratio less 1, and the 95 % interval of that.

    Both in blocks of time, which are drawn again and again: what else the machine did falls on whole blocks.
    """
    rng = np.random.default_rng(0)
    drawn = [_ratio(_redrawn(before, rng), _redrawn(after, rng)) for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    found = _ratio(np.concatenate(before), np.concatenate(after))
    return {"p95_change": round(found - 1.0, 4), "interval": [round(float(low) - 1.0, 4), round(float(high) - 1.0, 4)]}


def conditions() -> dict[str, str]:
    """Machine, versions and commit."""
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=_ROOT
    )
    return {
        "machine": f"{platform.machine()}, {_processor()}",
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "voxloop": __version__,
        "commit": found.stdout.strip(),
    }


def _redrawn(blocks: Sequence[Sequence[float]], rng: np.random.Generator) -> Values:
    return np.concatenate([blocks[place] for place in rng.integers(len(blocks), size=len(blocks))])


def _ratio(before: Values, after: Values) -> float:
    return float(np.percentile(after, 95) / np.percentile(before, 95))


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
