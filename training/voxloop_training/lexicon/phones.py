"""The phones that a model writes: ARPAbet without stress, as CMUdict has them."""

from typing import Final

PHONES: Final[tuple[str, ...]] = (
    *(
        "AA",
        "AE",
        "AH",
        "AO",
        "AW",
        "AY",
        "B",
        "CH",
        "D",
        "DH",
        "EH",
        "ER",
        "EY",
        "F",
        "G",
        "HH",
        "IH",
        "IY",
        "JH",
        "K",
    ),
    *("L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH"),
)
"""All 39, in the order of their token ids; the CTC blank follows them. Never reorder: bundles depend on it."""

Pronunciation = tuple[str, ...]
"""The phones of one word."""


def without_stress(phones: list[str]) -> Pronunciation:
    """CMUdict's phones less the stress digits: AH0 -> AH."""
    return tuple(phone.rstrip("012") for phone in phones)
