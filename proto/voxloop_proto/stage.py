"""A stage: synchronous, free of clock, network, disk and logging.

The law of every stage: its output, taken together, does not depend on how its input was cut.
`voxloop_proto.testing.assert_cut_independent` is the shared test.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)


class Stage(Protocol[In_contra, Out_co]):
    """Takes items one at a time and gives back zero or more for each."""

    def push(self, item: In_contra, /) -> tuple[Out_co, ...]:
        """Takes one item; returns what is ready now."""
        ...

    def flush(self) -> tuple[Out_co, ...]:
        """Ends the stream; returns what was held back. The stage is then as new."""
        ...


First = TypeVar("First")
Last = TypeVar("Last")


class Chain(Generic[First, Last]):
    """Stages joined end to end; itself a stage. Read it from left to right, as sound flows."""

    def __init__(self, *stages: Stage[Any, Any]) -> None:
        self._stages = stages

    def push(self, item: First, /) -> tuple[Last, ...]:
        """Takes one item through all stages."""
        return self._through((item,), 0)

    def flush(self) -> tuple[Last, ...]:
        """Flushes each stage in turn into those after it."""
        out: list[Last] = []
        for position, stage in enumerate(self._stages):
            out.extend(self._through(stage.flush(), position + 1))
        return tuple(out)

    def _through(self, items: tuple[Any, ...], position: int) -> tuple[Last, ...]:
        for stage in self._stages[position:]:
            if not items:
                return ()
            if len(items) == 1:
                items = stage.push(items[0])
            else:
                items = tuple(out for item in items for out in stage.push(item))
        return items


def run(stage: Stage[First, Last], items: Iterable[First]) -> Iterator[Last]:
    """All that a stage makes of a whole stream, the flush included."""
    for item in items:
        yield from stage.push(item)
    yield from stage.flush()
