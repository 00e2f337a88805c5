"""Defines the errors that a user can correct, and helpers for unknown names and values out of range."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class AdframeError(Exception):
    """An error that the user can correct. Its one line says what is wrong, where, and what to do.

    Example:
        >>> raise AdframeError("seed=-1 must be 0 or more")
        Traceback (most recent call last):
        adframe.errors.AdframeError: seed=-1 must be 0 or more
    """


def unknown(kind: str, name: str, known: Iterable[str], *, where: str = "", limit: int = 20) -> str:
    """Formats the message for an unknown name.

    Args:
        kind: kind of the name: `category`, `backbone layer`, ...
        name: the unknown name.
        known: the existing names.
        where: where it was looked up; "" leaves it out.
        limit: largest number of known names to list; the most similar ones where there are more.

    Returns:
        The message.
    """
    options = list(known)
    close = difflib.get_close_matches(name, options, n=limit, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    listed = options if len(options) <= limit else close
    names = ", ".join(listed) or "nothing"
    tail = f"known: {names}" if listed == options else f"near it: {names}"
    place = f" {where}" if where else ""
    return f"unknown {kind} {name!r}{place}; {hint}{tail}"


Range = float | Sequence[float]  # [lowest, highest], or one number for both


def at_least(value: float, low: float) -> bool:
    """Tells whether a number is finite and not below `low`. `value < low` would accept NaN.

    Args:
        value: the number.
        low: smallest possible value.

    Returns:
        True if it is.
    """
    return math.isfinite(value) and value >= low


def above(value: float, low: float) -> bool:
    """Tells whether a number is finite and above `low`.

    Args:
        value: the number.
        low: the bound, excluded.

    Returns:
        True if it is.
    """
    return math.isfinite(value) and value > low


@dataclass(frozen=True, slots=True)
class Ranges:
    """Checks the numbers below one key of the configuration.

    Args:
        place: prefix of every key in errors.

    Example:
        >>> Ranges("shift.transforms").interval("blur.sigma", [1, 2], low=0, high=5)
        (1.0, 2.0)
    """

    place: str

    def interval(self, key: str, value: Range, *, low: float, high: float) -> tuple[float, float]:
        """Checks a range of the configuration.

        Args:
            key: such as `rotation.degrees`, below the place.
            value: [lowest, highest], or one number for both.
            low: smallest possible value.
            high: largest possible value.

        Returns:
            (lowest, highest).

        Raises:
            AdframeError: if it is not one or two finite numbers in ascending order within [low, high].
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
        """Checks a range of whole numbers.

        Args:
            key: as in `interval`.
            value: as in `interval`.
            low: as in `interval`.
            high: as in `interval`.

        Returns:
            (lowest, highest).

        Raises:
            AdframeError: as `interval`, or if a number is not whole.
        """
        first, last = self.interval(key, value, low=low, high=high)
        if first % 1 or last % 1:
            raise self.impossible(key, value, f"a whole number or two between {low} and {high}")
        return int(first), int(last)

    def impossible(self, key: str, value: object, right: str) -> AdframeError:
        """Builds the error for a value that is not possible: key, value and possible values in one line.

        Args:
            key: as in `interval`.
            value: the value.
            right: description of possible values.

        Returns:
            The error to raise.
        """
        plain = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        text = str(plain).replace(" ", "").replace("'", "")
        return AdframeError(f"{self.place}.{key}={text} is not possible; {self.place}.{key} must be {right}")
