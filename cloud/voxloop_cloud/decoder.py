"""From the model's log-probabilities to text: streaming greedy CTC (Graves et al. 2006, best-path decoding)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SPACE = "\u2581"
"""The start of a word: a token of its own (characters) or a token's first character (BPE)."""

LogProbs = npt.NDArray[np.float32]
"""Natural logarithms of probabilities, shape (T, V) float32."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Text so far. The first stable_characters of it will not change; the rest may."""

    text: str
    stable_characters: int


@dataclass(frozen=True, slots=True)
class DecodedWord:
    """A word, when it was heard (ms from the segment's first sample), and its confidence, 0 to 1."""

    text: str
    start_ms: float
    end_ms: float
    confidence: float


@dataclass(frozen=True, slots=True)
class DecodedAlternative:
    """Another text for the segment, and how likely it is among all that were considered, 0 to 1."""

    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Decoded:
    """The outcome for one segment.

    confidence, 0 to 1: the mean of the tokens' confidences. A token's is the model's highest probability for it among
    the frames in which it was the best one; a word's is the mean over its tokens. Of a null transcript it is the
    lowest probability that the blank had in any frame: near 1 if nothing came close to being heard; 0 if there was no
    frame to hear anything in.
    tokens: the ids of the emitted tokens, spaces included.
    alternatives: other texts, the likeliest first; greedy decoding has none.
    """

    text: str
    words: tuple[DecodedWord, ...]
    confidence: float
    tokens: tuple[int, ...]
    alternatives: tuple[DecodedAlternative, ...] = ()


@dataclass(slots=True)
class _Emitted:
    token: int
    first_frame: int
    last_frame: int
    log_prob: float


class CtcDecoder:
    """Greedy CTC for one stream: the best token of each frame, repeats merged, blanks dropped.

    Best-path decoding never takes back what it wrote, so all of a hypothesis is stable.
    """

    def __init__(self, tokens: Sequence[str], blank_id: int, frame_ms: float) -> None:
        """frame_ms: time between two frames of log-probabilities."""
        self._tokens = tokens
        self._blank_id = blank_id
        self._frame_ms = frame_ms
        self._frames = 0
        self._emitted: list[_Emitted] = []
        self._lowest_blank = 0.0

    @property
    def frames(self) -> int:
        """Frames taken so far."""
        return self._frames

    def push(self, log_probs: LogProbs) -> None:
        """Takes the next frames, (T, V) float32, T of any size."""
        if not len(log_probs):
            return
        best = log_probs.argmax(axis=1)
        for frame in np.flatnonzero(best != self._blank_id).tolist():
            self._hear(int(best[frame]), self._frames + frame, float(log_probs[frame, best[frame]]))
        self._lowest_blank = min(self._lowest_blank, float(log_probs[:, self._blank_id].min()))
        self._frames += len(log_probs)

    def hypothesis(self) -> Hypothesis:
        """The text so far."""
        text = self._spell(self._emitted)
        return Hypothesis(text, len(text))

    def result(self) -> Decoded:
        """Text, words and confidence of all frames so far."""
        words = tuple(self._to_word(spelled) for spelled in self._split())
        if words:
            confidence = _mean_probability(self._emitted)
        else:
            confidence = _probability(self._lowest_blank) if self._frames else 0.0
        text = " ".join(word.text for word in words)
        return Decoded(text, words, confidence, tuple(emitted.token for emitted in self._emitted))

    def _hear(self, token: int, frame: int, log_prob: float) -> None:
        last = self._emitted[-1] if self._emitted else None
        if last and last.token == token and last.last_frame == frame - 1:
            last.last_frame = frame
            last.log_prob = max(last.log_prob, log_prob)
        else:
            self._emitted.append(_Emitted(token, frame, frame, log_prob))

    def _spell(self, emitted: Sequence[_Emitted]) -> str:
        return " ".join("".join(self._tokens[each.token] for each in emitted).replace(SPACE, " ").split())

    def _split(self) -> list[list[_Emitted]]:
        """The emitted tokens of each word; a lone space token starts a word but is no part of it."""
        words: list[list[_Emitted]] = [[]]
        for emitted in self._emitted:
            token = self._tokens[emitted.token]
            if token.startswith(SPACE):
                words.append([])
            if token != SPACE:
                words[-1].append(emitted)
        return [word for word in words if word]

    def _to_word(self, emitted: Sequence[_Emitted]) -> DecodedWord:
        return DecodedWord(
            text=self._spell(emitted),
            start_ms=emitted[0].first_frame * self._frame_ms,
            end_ms=(emitted[-1].last_frame + 1) * self._frame_ms,
            confidence=_mean_probability(emitted),
        )


def _probability(log_prob: float) -> float:
    return float(np.exp(min(0.0, log_prob)))


def _mean_probability(emitted: Sequence[_Emitted]) -> float:
    return sum(_probability(each.log_prob) for each in emitted) / len(emitted)
