"""The training data's own statistics, from a bundle's reference.json, and how the field compares with them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from voxloop_cloud.drift.metric import METRICS
from voxloop_cloud.drift.utterances import Floats
from voxloop_proto.errors import ContractError

COLUMN_OF: Final = {"level_dbfs": "raw_level_dbfs", "duration_s": "duration_ms"}
"""Where the reference calls by another name what UTTERANCES has; the rest have the same name in both."""

_LENGTH: Final = "duration_ms"  # watched on a logarithmic scale (metric.py), and in ms


_WATCHED: Final = frozenset(metric.name for metric in METRICS)


class Histogram(BaseModel):
    """Of one metric, over the training clips. What lay outside of the edges counts in the outermost bins."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    edges: tuple[float, ...] = Field(min_length=2)
    counts: tuple[float, ...] = Field(min_length=1)
    mean: float
    std: float = Field(gt=0)

    @model_validator(mode="after")
    def _fits_together(self) -> "Histogram":
        if len(self.edges) != len(self.counts) + 1 or sum(self.counts) <= 0:
            raise ValueError(
                f"{len(self.edges)} edges and {len(self.counts)} counts; allowed is one edge more, any > 0"
            )
        if any(high <= low for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("edges do not rise")
        return self

    def ranks(self, values: Floats) -> Floats:
        """The share of training clips below each value, spread evenly within bins, 0 to 1; NaN stays."""
        heights = np.concatenate(([0.0], np.cumsum(self.counts))) / sum(self.counts)
        return np.asarray(np.where(np.isnan(values), np.nan, np.interp(values, self.edges, heights)))

    def sample(self, size: int = 2_000) -> Floats:
        """Values that are spread as the histogram is."""
        heights = np.concatenate(([0.0], np.cumsum(self.counts))) / sum(self.counts)
        rising = np.concatenate(([True], np.diff(heights) > 0))
        return np.asarray(np.interp((np.arange(size) + 0.5) / size, heights[rising], np.array(self.edges)[rising]))


@dataclass(frozen=True, slots=True)
class TrainingReference:
    """Histograms by the column of UTTERANCES."""

    histograms: dict[str, Histogram]

    def in_its_unit(self, column: str, values: Floats) -> Floats:
        """A column's values as the reference has them."""
        return np.exp2(values) / 1000.0 if column == _LENGTH else values


def read_reference(file: Path) -> TrainingReference:
    """Raises ContractError for a file that is not what reference.json must be."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        found = {COLUMN_OF.get(name, name): Histogram(**each) for name, each in content.get("metrics", {}).items()}
    except (ValueError, ValidationError, TypeError, AttributeError) as error:
        first = str(error).splitlines()[0]
        raise ContractError(f"{file} is no reference ({first}); export the bundle again") from error
    return TrainingReference({name: each for name, each in found.items() if name in _WATCHED})
