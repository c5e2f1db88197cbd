"""Why a person is asked: the words that REVIEWS keeps."""

from typing import Final

UNSURE: Final = "unsure"
"""Begins the reason of an utterance that its bundle was not sure of. Labels of these alone say little about bundles."""

AUDIT: Final = "audit"
"""Drawn at random, so that labels are of utterances as they are."""

POLICY: Final = "policy"
"""Begins the reason where people answer all."""


def unsure(confidence: float, least_confidence: float) -> str:
    """The reason of an utterance below the threshold."""
    return f"{UNSURE}: confidence {confidence:.2f} is below {least_confidence:.2f}"


def by_policy(mode: str) -> str:
    """The reason of a mode in which people answer."""
    return f"{POLICY}: people answer ({mode})"
