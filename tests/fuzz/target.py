"""What is fuzzed: a decoder of what others send, behind one function of bytes."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FuzzTarget:
    """One decoder.

    seeds: good inputs, made by code, from which a fuzzer sets out. run: takes any bytes and returns; whatever it raises
    is a finding, as is a crash, a run of over most_s, or memory beyond bounds.
    """

    name: str
    what: str
    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], None]
    most_s: int = 10
