"""The voices that may be used, whose they are, and under which licence."""

from dataclasses import dataclass
from typing import Final, Literal

Engine = Literal["espeak-ng", "festival", "flite"]

PACKAGES: Final[dict[Engine, str]] = {
    "espeak-ng": "espeak-ng",
    "festival": "festival festvox-kallpc16k festvox-kdlpc16k",
    "flite": "flite",
}
"""Debian's packages of each engine and its voices."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice as its engine names it. person: whose speech it was made of; the same person is the same speaker."""

    engine: Engine
    name: str
    person: str
    licence: str


_FORMANTS: Final = "GPL-3 program; formant rules, and recorded consonants in its data, (c) Duddington, Dunn and others"
_CMU: Final = "BSD-like, (c) Carnegie Mellon University"
_ESPEAK: Final = (
    "en-us+m1", "en-us+m3", "en-us+m7", "en-us+f2", "en-us+f4", "en-gb+m2", "en-gb+f1", "en-gb-x-rp+m4",
    "en-gb-scotland+m5", "en-us+f5",
)  # fmt: skip

VOICES: Final = {
    f"{voice.engine}/{voice.name}": voice
    for voice in (
        *(Voice("espeak-ng", name, f"espeak-{name}", _FORMANTS) for name in _ESPEAK),
        Voice("festival", "kal_diphone", "kal", "BSD-like, (c) Alan W Black and Kevin Lenzo"),
        Voice("festival", "ked_diphone", "ked", "BSD-like, (c) University of Edinburgh, CSTR"),
        Voice("flite", "kal16", "kal", _CMU),
        Voice("flite", "slt", "slt", _CMU),
        Voice("flite", "rms", "rms", _CMU),
        Voice("flite", "awb", "awb", _CMU),
    )
}
"""By engine/name; a model that heard any of them may be shipped. Not here: RHVoice's evgeniy-eng and lyubov are
non-commercial, pico's data is of unclear origin, MBROLA's voices are not free."""

TEST_PERSONS: Final = frozenset({"slt", "rms", "awb"})
"""They are only ever heard in tests, and in the demo's queries: nothing is trained on them or chosen by them."""
