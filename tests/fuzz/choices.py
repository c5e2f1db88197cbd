"""Decisions read off a fuzzer's bytes: one byte string is one run, whoever made it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Option = TypeVar("Option")


class Choices:
    """Reads decisions from bytes, front to back. Used up, it gives zeros, which every reader takes for "as it should
    be": so the empty input is an undisturbed run, and each byte can disturb it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def used_up(self) -> bool:
        """True once only zeros are left to give."""
        return self._at >= len(self._data)

    def below(self, count: int) -> int:
        """A number of 0 to count - 1, count at most 256."""
        (byte,) = self.take(1) or b"\0"
        return byte % count

    def pick(self, options: Sequence[Option]) -> Option:
        """One of the options; the first once the bytes are used up."""
        return options[self.below(len(options))]

    def take(self, most_bytes: int) -> bytes:
        """The next bytes as they are, fewer at the end."""
        taken = self._data[self._at : self._at + most_bytes]
        self._at += len(taken)
        return taken


@dataclass(frozen=True, slots=True)
class Edit:
    """Bytes in one place replaced by others; the place counts from the front and wraps round the text's end."""

    place: int
    removed_bytes: int
    put: bytes


def edited(content: bytes, edits: Sequence[Edit]) -> bytes:
    """The content after all edits, in order."""
    for edit in edits:
        place = edit.place % (len(content) + 1)
        content = content[:place] + edit.put + content[place + edit.removed_bytes :]
    return content


def read_edits(choices: Choices, most: int) -> list[Edit]:
    """Edits until the bytes are used up: place (3 bytes), bytes removed, bytes put."""
    edits: list[Edit] = []
    while not choices.used_up and len(edits) < most:
        place = int.from_bytes(choices.take(3), "little")
        edits.append(Edit(place, choices.below(16), choices.take(choices.below(9))))
    return edits
