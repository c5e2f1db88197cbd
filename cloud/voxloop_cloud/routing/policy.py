"""Who answers whom: one value that says it all, and the choice that follows from it. Pure."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from voxloop_cloud.routing.slices import Slice, Slices
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError

MOST_BUNDLES: Final = 8
"""In one policy; each that is named is in the memory of every process."""

MOST_OVERRIDES: Final = 64
MOST_DOCUMENT_CHARACTERS: Final = 64 << 10
_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}@[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH_BITS: Final = 52  # a half can be added to so many in a double


def _check_key(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(
            f"{key[:140]!r} names no bundle; allowed is NAME@VERSION, of letters, digits, '.', '_', '-', 64 each"
        )
    return key


BundleKey: TypeAlias = Annotated[str, AfterValidator(_check_key)]
Weights: TypeAlias = Annotated[
    dict[BundleKey, Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]],
    Field(min_length=1, max_length=MOST_BUNDLES, description="by bundle, its part of the devices; in any unit"),
]


class Route(StrEnum):
    """By which way a segment was answered."""

    PRIMARY = "primary"
    CANARY = "canary"
    HUMAN = "human"
    LOCAL = "local"


class Mode(StrEnum):
    """How much of the answering is the model's."""

    HUMAN = "human"  # people answer; the model's text is given only if none does in time
    SHADOW = "shadow"  # the same, so that the model is compared with what they answer
    ASSISTANCE = "assistance"  # people answer, with the model's text before them
    PARTIAL = "partial"  # the model answers where it is sure, people elsewhere
    FULL = "full"  # the model answers


class Automation(BaseModel):
    """The degree of automation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = Field(Mode.FULL, description="human, shadow, assistance, partial or full")
    least_confidence: float = Field(
        0.0, ge=0.0, le=1.0, description="partial: below this confidence of the transcript a person answers"
    )

    @model_validator(mode="after")
    def _check_confidence(self) -> Self:
        if (self.mode is Mode.PARTIAL) != (self.least_confidence > 0.0):
            raise ValueError("least_confidence belongs to the mode partial, where it is above 0, and to no other")
        return self


FULL: Final = Automation()


class Shadow(BaseModel):
    """A bundle that listens in: its text is compared and never sent to a device."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: BundleKey
    share: float = Field(1.0, gt=0.0, le=1.0, description="part of the segments that it hears, 0 to 1")


class Override(BaseModel):
    """What holds for a slice in place of what holds for all; the first that fits an utterance counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slice: Slice
    weights: Weights | None = None
    automation: Automation | None = None

    @model_validator(mode="after")
    def _check_says_something(self) -> Self:
        if self.weights is None and self.automation is None:
            raise ValueError("an override gives weights, automation or both")
        return self


class Policy(BaseModel):
    """Which bundle answers, which ones listen in, and where people do.

    primary: the bundle that stands until another is promoted; others with a weight are its canaries. standby: bundles
    that are loaded and get nothing, so that a step to them, or back to them, is at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    primary: BundleKey
    weights: Weights
    shadows: tuple[Shadow, ...] = Field((), max_length=MOST_BUNDLES)
    standby: tuple[BundleKey, ...] = Field((), max_length=MOST_BUNDLES)
    overrides: tuple[Override, ...] = Field((), max_length=MOST_OVERRIDES)
    automation: Automation = FULL

    @classmethod
    def of_one(cls, bundle: str) -> Self:
        """One bundle answers all."""
        return cls(primary=bundle, weights={bundle: 1.0})

    @model_validator(mode="after")
    def _check_bundles(self) -> Self:
        listening = [shadow.bundle for shadow in self.shadows]
        if len(set(listening)) < len(listening):
            raise ValueError("a bundle is a shadow more than once; name it once, with one share")
        if len(self.bundles) > MOST_BUNDLES:
            raise ValueError(f"{len(self.bundles)} bundles are named; each is loaded, and allowed are {MOST_BUNDLES}")
        return self

    @property
    def answering(self) -> frozenset[str]:
        """Bundles whose texts devices get."""
        return frozenset(self.weights).union(*(override.weights or () for override in self.overrides))

    @property
    def canaries(self) -> frozenset[str]:
        """Bundles that answer beside the primary."""
        return self.answering - {self.primary}

    @property
    def bundles(self) -> frozenset[str]:
        """All that are to be loaded."""
        return self.answering.union((self.primary,), (shadow.bundle for shadow in self.shadows), self.standby)

    def to_document(self) -> dict[str, object]:
        """As it is stored and shown: what is not said is left out."""
        return self.model_dump(mode="json", exclude_defaults=True)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a policy says of one device's segments."""

    bundle: str
    route: Route
    shadows: tuple[Shadow, ...]
    automation: Automation


def choose(policy: Policy, device_id: str, slices: Slices) -> Choice:
    """Who answers a device's segments, by weighted rendezvous hashing: each bundle draws a number for the device, and
    the highest wins.

    The same device gets the same bundle for as long as the weights stand. A weight that grows draws devices to its
    bundle and moves none between others; one that shrinks gives some away and moves no others.
    (Highest random weight, Thaler and Ravishankar 1998; with weights, Schindelhauer and Schomaker 2005.)
    """
    weights, automation = policy.weights, policy.automation
    if fitting := [override for override in policy.overrides if override.slice.holds(slices)]:
        weights = next((override.weights for override in fitting if override.weights), weights)
        automation = next((override.automation for override in fitting if override.automation), automation)
    bundle = _highest(weights, device_id)
    route = Route.PRIMARY if bundle == policy.primary else Route.CANARY
    return Choice(bundle, route, tuple(each for each in policy.shadows if each.bundle != bundle), automation)


def listens(shadow: Shadow, session_id: str, segment_id: int) -> bool:
    """Whether a shadow hears a segment: a fixed share of all, each chosen by itself."""
    return shadow.share >= 1.0 or _number(shadow.bundle, session_id, str(segment_id)) < shadow.share


def read_policy(document: str) -> Policy:
    """A policy from JSON. Raises ConfigError that names the field, what was found and what is allowed."""
    if len(document) > MOST_DOCUMENT_CHARACTERS:
        raise ConfigError(
            f"the policy's document has {len(document)} characters; allowed are {MOST_DOCUMENT_CHARACTERS}"
        )
    try:
        values = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the policy is not JSON ({error}); 'voxloop deploy status --json' shows one") from None
    if not isinstance(values, dict):
        raise ConfigError(f"the policy is a {type(values).__name__}; allowed is an object, see 'deploy status --json'")
    return read_settings(Policy, flags=values)


def _highest(weights: Mapping[str, float], device_id: str) -> str:
    if len(weights) == 1:
        return next(iter(weights))
    return max(weights, key=lambda bundle: weights[bundle] / -math.log(_number(bundle, device_id)))


def _number(*words: str) -> float:
    """Evenly spread between 0 and 1, neither of them included; the same for the same words on every machine."""
    digest = hashlib.blake2b("\0".join(words).encode(), digest_size=8).digest()
    return ((int.from_bytes(digest, "big") >> (64 - _HASH_BITS)) + 0.5) / (1 << _HASH_BITS)
