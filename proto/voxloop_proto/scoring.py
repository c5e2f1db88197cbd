"""How right a transcript is: word and character errors after one normalization, the same at both ends and in training.

jiwer counts the errors. It is imported when something is scored, so that a device that only listens never loads it.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_TYPOGRAPHIC_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\uff07", "'"))
_NOT_IN_THE_ALPHABET = re.compile(r"[^a-z' ]+")
_QUOTATION_MARK = re.compile(r"(?<![a-z])'+(?![a-z])")


@dataclass(frozen=True, slots=True)
class Score:
    """Errors of hypotheses against references, added up over all clips.

    words, characters: how many the references have (spaces between words count as characters).
    clips_right: clips whose whole text is right, those with nothing to hear and nothing heard included.
    """

    clips: int
    clips_right: int
    words: int
    substitutions: int
    deletions: int
    insertions: int
    characters: int
    character_errors: int

    @property
    def errors(self) -> int:
        """Words replaced, left out or made up."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def wer(self) -> float | None:
        """Word errors by reference words; None where the references have no words."""
        return self.errors / self.words if self.words else None

    @property
    def cer(self) -> float | None:
        """Character errors by reference characters; None where the references have none."""
        return self.character_errors / self.characters if self.characters else None

    @property
    def clips_right_ratio(self) -> float | None:
        """Share of the clips whose whole text is right; None where there are no clips."""
        return self.clips_right / self.clips if self.clips else None


def normalize(text: str) -> str:
    """The text in lower case with a to z, apostrophes inside or at the edge of words, and single spaces.

    Accents fall off their letters, hyphens and other punctuation part words, digits go: write numbers as words.
    """
    straight = text.translate(_TYPOGRAPHIC_APOSTROPHES).casefold()
    letters = "".join(char for char in unicodedata.normalize("NFKD", straight) if not unicodedata.combining(char))
    words = _NOT_IN_THE_ALPHABET.sub(" ", letters)
    return " ".join(_QUOTATION_MARK.sub(" ", words).split())


def score(references: Sequence[str], hypotheses: Sequence[str]) -> Score:
    """The errors of each hypothesis against the reference at its place, both normalized here.

    An empty reference is a clip in which nothing was said: every word heard there is an insertion.
    Raises ValueError when the two differ in number.
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references and {len(hypotheses)} hypotheses; give one for each clip")
    if not references:
        return Score(0, 0, 0, 0, 0, 0, 0, 0)
    import jiwer  # noqa: PLC0415 (only who scores needs it)

    wanted = [normalize(text) for text in references]
    heard = [normalize(text) for text in hypotheses]
    by_word = jiwer.process_words(wanted, heard)
    by_character = jiwer.process_characters(wanted, heard)
    return Score(
        clips=len(wanted),
        clips_right=sum(reference == hypothesis for reference, hypothesis in zip(wanted, heard, strict=True)),
        words=by_word.hits + by_word.substitutions + by_word.deletions,
        substitutions=by_word.substitutions,
        deletions=by_word.deletions,
        insertions=by_word.insertions,
        characters=by_character.hits + by_character.substitutions + by_character.deletions,
        character_errors=by_character.substitutions + by_character.deletions + by_character.insertions,
    )
