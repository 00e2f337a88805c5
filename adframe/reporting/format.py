"""Numbers as sentences and tables of a comparison have them: in per cent, with one decimal."""

from __future__ import annotations

import math

from adframe.reporting.tables import DASH


def percent(share: float) -> str:
    """0.125 as 12.5 %; a dash for what is not known."""
    return f"{100 * share:.1f} %" if math.isfinite(share) else DASH


def signed(difference: float) -> str:
    """A difference of shares in points: +1.2, or a dash."""
    return f"{100 * difference:+.1f}" if math.isfinite(difference) else DASH


def ends(low: float, high: float) -> str:
    """An interval of shares: [86.0, 94.4], or a dash."""
    return f"[{100 * low:.1f}, {100 * high:.1f}]" if math.isfinite(low) else DASH


def p_value(p: float) -> str:
    """Three decimals, and no more than that."""
    if not math.isfinite(p):
        return DASH
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def counted(number: int, name: str) -> str:
    """1 image, 2 images."""
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
