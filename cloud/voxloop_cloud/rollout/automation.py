"""Who answers an utterance, the model or a person: a pure choice by the degree of automation."""

from enum import Enum, auto

from voxloop_cloud.routing.policy import Mode


class Answerer(Enum):
    """Who is to answer."""

    ANSWER = auto()  # the model
    REVIEW = auto()  # a person; the device waits
    BOTH = auto()  # the model at once, and a person hears it afterwards, for a label


def decide(mode: Mode, confidence: float, threshold: float, is_audited: bool = False) -> Answerer:
    """Who answers. confidence: of the transcript, 0 to 1. threshold: in the mode partial, that the model answers from.

    is_audited: drawn at random to be labelled, whoever answers.
    """
    if mode in {Mode.HUMAN, Mode.SHADOW, Mode.ASSISTANCE}:
        return Answerer.REVIEW
    if mode is Mode.PARTIAL and confidence < threshold:
        return Answerer.REVIEW
    return Answerer.BOTH if is_audited else Answerer.ANSWER


def shows_suggestion(mode: Mode) -> bool:
    """Whether the person sees the model's text: not where they are to answer without it."""
    return mode not in {Mode.HUMAN, Mode.SHADOW}
