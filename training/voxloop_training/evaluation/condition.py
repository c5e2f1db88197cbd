"""Which clips of a set count: `accuracy_score>=8`, `gender=f`."""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from voxloop_edge.manifest import Clip
from voxloop_proto.errors import ConfigError

_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    ">=": operator.ge, "<=": operator.le, "!=": operator.ne, "=": operator.eq, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
_FORM = re.compile(r"\s*([^<>=!]+?)\s*(>=|<=|!=|=|>|<)\s*([^<>=!].*?)\s*")


@dataclass(frozen=True, slots=True)
class Condition:
    """A field of a manifest compared with a value: numbers as numbers, all else as text, by = and != only."""

    field: str
    comparison: str
    value: float | str

    def __str__(self) -> str:
        value = f"{self.value:g}" if isinstance(self.value, float) else self.value
        return f"{self.field}{self.comparison}{value}"

    def concerns(self, clips: Sequence[Clip]) -> bool:
        """Whether any clip has the field."""
        return any(_value(clip, self.field) is not None for clip in clips)

    def holds(self, clip: Clip) -> bool:
        """Whether the clip counts; one without the field does not.

        Raises ConfigError when text is to be more or less than something.
        """
        found = _value(clip, self.field)
        if found is None:
            return False
        if isinstance(found, float) and isinstance(self.value, float):
            return _COMPARISONS[self.comparison](found, self.value)
        if self.comparison not in {"=", "!="}:
            raise ConfigError(
                f"--where {self}: {self.field} of clip {clip.id!r} is {found!r}; {self.comparison} compares numbers "
                "only; use = or != with text"
            )
        return _COMPARISONS[self.comparison](str(found), str(self.value))


def parse_condition(text: str) -> Condition:
    """FIELD, one of >= <= > < = !=, VALUE. Raises ConfigError for anything else."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ConfigError(f"--where {text!r}; allowed is FIELD>=VALUE (or <=, >, <, =, !=), such as accuracy_score>=8")
    field, comparison, value = found.groups()
    return Condition(field, comparison, _number_or_text(value))


def fields_of(clips: Sequence[Clip]) -> list[str]:
    """The names that a condition may use."""
    tags = {tag for clip in clips for tag in clip.tags}
    return sorted(tags | ({"speaker"} if any(clip.speaker for clip in clips) else set()))


def _value(clip: Clip, field: str) -> str | float | None:
    return clip.speaker if field == "speaker" else clip.tags.get(field)


def _number_or_text(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value
