"""The training data's own statistics, from a bundle's reference.json, and how the field compares with them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from voxloop_cloud.drift.metric import METRICS
from voxloop_cloud.drift.utterances import Floats, Indices
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
        """The share of training clips below each value, 0 to 1, half of those in its own bin included; NaN stays.

        So the training clips' own ranks have a mean of 1/2, also where many clips have one value.
        """
        heights = np.cumsum(self.counts) / sum(self.counts)
        middles = heights - np.asarray(self.counts) / (2 * sum(self.counts))
        return np.asarray(np.where(np.isnan(values), np.nan, middles[self._bins(values)]))

    def rounded(self, values: Floats) -> Floats:
        """Each value as the middle of its bin, (N,): what can be compared with `sample`. None may be NaN."""
        return np.asarray(self._middles()[self._bins(values)])

    def sample(self, size: int = 2_000) -> Floats:
        """Values, each the middle of a bin, that are spread as the histogram is."""
        heights = np.cumsum(self.counts) / sum(self.counts)
        return np.asarray(self._middles()[np.searchsorted(heights, (np.arange(size) + 0.5) / size)])

    def _bins(self, values: Floats) -> Indices:
        return np.clip(np.searchsorted(self.edges, values, side="right") - 1, 0, len(self.counts) - 1)

    def _middles(self) -> Floats:
        edges = np.asarray(self.edges)
        return np.asarray((edges[1:] + edges[:-1]) / 2)


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
