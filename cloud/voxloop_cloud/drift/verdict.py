"""What a detector says when it is sure, and the difference matters."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from voxloop_cloud.drift.blame import Blame

Against = Literal["last week", "reference"]
Kind = Literal["sudden", "gradual"]


@dataclass(frozen=True, slots=True)
class Drift:
    """A row of DRIFTS.

    effect: Wasserstein distance, in standard deviations of before. e_value: the evidence; needed: what it had to be.
    utterances: since the change, as far as it can be told. is_greater: whether values rose.
    """

    metric: str
    stage: str
    slice: str
    against: Against
    kind: Kind
    effect: float
    ks: float
    psi: float
    e_value: float
    needed: float
    utterances: int
    is_greater: bool
    blame: Blame | None

    def to_row(self) -> dict[str, Any]:
        """Its columns, the report with all that has none of its own."""
        fields = asdict(self)
        row = {column: fields.pop(column) for column in ("metric", "stage", "slice", "against", "kind", "effect")}
        return {**row, "report": {"sentence": self.sentence(), **fields}}

    def sentence(self) -> str:
        """For a person."""
        where = "" if self.slice == "all" else f" of {self.slice}"
        direction = "rose" if self.is_greater else "fell"
        text = (
            f"{self.metric}{where} {direction} against {self.against}, {self.kind}, by {self.effect:.2f} deviations "
            f"over the last {self.utterances} utterances"
        )
        return f"{text}; {self.blame.stage} moved first: {self.blame.reason}" if self.blame else text
