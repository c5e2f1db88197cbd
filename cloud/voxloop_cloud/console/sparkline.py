"""A small curve as an SVG path. Pure."""

from collections.abc import Sequence
from typing import Final

WIDTH: Final = 100.0
HEIGHT: Final = 28.0
_MARGIN: Final = 2.0


def spark_path(points: Sequence[tuple[float, float | None]], from_s: float, to_s: float) -> str:
    """A path over WIDTH x HEIGHT, with gaps where there is no value; empty if there are fewer than two values.

    points: when and what, the oldest first. The lowest value lies at the bottom, the highest at the top.
    """
    values = [value for _, value in points if value is not None]
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    span = high - low
    parts: list[str] = []
    is_drawing = False
    for at_s, value in points:
        if value is None:
            is_drawing = False
            continue
        x = WIDTH * (at_s - from_s) / max(1e-3, to_s - from_s)
        height = (value - low) / span if span > 0 else 0.5
        y = HEIGHT - _MARGIN - height * (HEIGHT - 2 * _MARGIN)
        parts.append(f"{'L' if is_drawing else 'M'}{x:.1f} {y:.1f}")
        is_drawing = True
    return "".join(parts)
