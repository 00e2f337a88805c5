"""Errors that a user can correct, and what makes them: unknown names, values out of range."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class AdframeError(Exception):
    """An error that the user can correct. Its one line says what is wrong, where, and what to do."""


def unknown(kind: str, name: str, known: Iterable[str], *, where: str = "", limit: int = 20) -> str:
    """The text of an error for an unknown name.

    Args:
        kind: what was being named: `category`, `backbone layer`, ...
        name: what was given.
        known: the names that exist.
        where: where they were looked for, if that helps.
        limit: how many known names to list; the nearest ones where there are more.
    """
    options = list(known)
    close = difflib.get_close_matches(name, options, n=limit, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    listed = options if len(options) <= limit else close
    names = ", ".join(listed) or "nothing"
    tail = f"known: {names}" if listed == options else f"near it: {names}"
    place = f" {where}" if where else ""
    return f"unknown {kind} {name!r}{place}; {hint}{tail}"


Range = float | Sequence[float]  # [lowest, highest], or one number: always that


def at_least(value: float, low: float) -> bool:
    """Whether a number is finite and not below `low`. `value < low` would let NaN through."""
    return math.isfinite(value) and value >= low


def above(value: float, low: float) -> bool:
    """Whether a number is finite and above `low`."""
    return math.isfinite(value) and value > low


@dataclass(frozen=True, slots=True)
class Ranges:
    """Checks the numbers below one place of the configuration.

    Args:
        place: stands before every key in errors.
    """

    place: str

    def interval(self, key: str, value: Range, *, low: float, high: float) -> tuple[float, float]:
        """A range from the configuration, checked.

        Args:
            key: `rotation.degrees` and the like, below the place.
            value: [lowest, highest], or one number that stands for both.
            low: the least that is possible.
            high: the most that is possible.

        Raises:
            AdframeError: not one or two finite numbers in ascending order within [low, high].
        """
        pair = tuple(value) if isinstance(value, Sequence) else (value, value)
        if (
            len(pair) == 2
            and all(isinstance(number, int | float) and not isinstance(number, bool) for number in pair)
            and all(math.isfinite(number) for number in pair)
            and low <= pair[0] <= pair[1] <= high
        ):
            return float(pair[0]), float(pair[1])
        raise self.impossible(key, value, f"a number or [lowest, highest] between {low:g} and {high:g}")

    def whole_interval(self, key: str, value: int | Sequence[int], *, low: int, high: int) -> tuple[int, int]:
        """A range of whole numbers; raises like `interval`."""
        first, last = self.interval(key, value, low=low, high=high)
        if first % 1 or last % 1:
            raise self.impossible(key, value, f"a whole number or two between {low} and {high}")
        return int(first), int(last)

    def impossible(self, key: str, value: object, right: str) -> AdframeError:
        """The error for a value that cannot be: key, value, what would be right, in one line."""
        plain = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        text = str(plain).replace(" ", "").replace("'", "")
        return AdframeError(f"{self.place}.{key}={text} is not possible; {self.place}.{key} must be {right}")
