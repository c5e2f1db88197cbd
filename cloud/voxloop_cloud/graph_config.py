"""How a bundle of phones is searched: the [decoder] part of bundle.toml."""

from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field

_PHRASE_BEAM: Final = 30.0
"""A list's graph is small, so what is unlikely can be kept: the end of a long phrase may come as a surprise."""


class DecoderConfig(BaseModel):
    """Only for bundles whose tokens are phones; the others are decoded greedily and take no notice of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    beam: float = Field(10.0, gt=0, le=100, description="paths worse than the best by more than this are dropped, nats")
    max_active: int = Field(2000, ge=20, le=100_000, description="most states that are kept after a frame")
    acoustic_scale: float = Field(
        1.0, gt=0, le=20, description="weight of the model's log-probabilities; best of 0.8 to 1.5 on the dev sets"
    )
    word_insertion: float = Field(-0.5, ge=-20, le=20, description="reward of each word, nats; above 0 for more words")
    blank_threshold: float = Field(
        0.95, gt=0, le=1, description="of neighbouring frames whose blank is likelier than this, only the first counts"
    )
    commit_ms: float = Field(
        1000.0, ge=0, le=60_000, description="a word that ended so long ago in the best path will not change any more"
    )
    least_evidence: float = Field(
        3.8, ge=-100, le=100, description="a text's phones must be so much likelier than silence on average, nats"
    )
    alternatives: int = Field(0, ge=0, le=20, description="how many other texts a transcript may come with")
    hotword_cost: float = Field(
        2.0, ge=-40, le=100, description="what a hotword costs in place of the grammar's words, beyond 1.5 log N, nats"
    )
    hotword_phone_limit: float = Field(
        2.0, gt=0, le=100, description="a hotword is looked at if its phones are at most so unlikely on average, nats"
    )
    phrase_cost: float = Field(7.0, ge=-40, le=100, description="only hotwords: what each one costs beyond log N, nats")
    phrase_blank_cost: float = Field(
        4.0, ge=0, le=20, description="only hotwords: taken off each blank's log-probability, as something was said"
    )
    unknown_phone_cost: float = Field(
        8.0, ge=0, le=100, description="only hotwords: what each phone costs of a segment that has none of them, nats"
    )
    least_phrase_confidence: float = Field(
        0.33, ge=0, le=1, description="only hotwords: a text less sure than this is written as nothing"
    )

    def for_phrases(self) -> Self:
        """The same for the graph of a list of phrases."""
        return self.model_copy(update={"beam": max(self.beam, _PHRASE_BEAM)})
