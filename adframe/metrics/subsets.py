"""Which subsets get numbers of their own beside those over all images."""

from __future__ import annotations

from collections.abc import Iterable

from adframe.contracts import GOOD

_PLAIN = {GOOD, "anomaly"}  # all images together say the same


def own_line(subsets: Iterable[str]) -> list[str]:
    """The distinct subsets to report by name, sorted (LOCO: logical, structural)."""
    return sorted(set(subsets) - _PLAIN)
