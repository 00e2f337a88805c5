"""How numbers are written, in one way everywhere: shares in per cent, with one decimal.

percent(0.125)                          12.5%
short_percent(0.00034)                  0.034%
points(0.0123)                          +1.2
signed(1.243)                           +1.24
span(0.86, 0.944)                       86.0 to 94.4
with_interval(Estimate(0.9, 0.86, 0.944))   90.0 (86.0 to 94.4)
p_value(0.0004)                         <0.001
"""

from __future__ import annotations

import math

from adframe.reporting.tables import DASH
from adframe.results.names import TITLES
from adframe.stats.estimates import Difference, Estimate


def hundredths(share: float) -> str:
    """A share in per cent without the sign: 12.5; a dash for what is unknown. Never -0.0."""
    return DASH if not math.isfinite(share) else f"{100 * share:.1f}".replace("-0.0", "0.0")


def percent(share: float) -> str:
    """A share in per cent: 12.5%, or a dash for what is unknown."""
    return f"{hundredths(share)}%" if math.isfinite(share) else DASH


def short_percent(share: float) -> str:
    """A share in per cent with two significant digits, for areas, of which small ones matter: 0.034%, 12%."""
    if not math.isfinite(share):
        return DASH
    return f"{100 * share:.0f}%" if share >= 0.1 else f"{100 * share:.2g}%"


def points(difference: float) -> str:
    """A difference of shares in points, with its sign: +1.2, -0.3, 0.0, or a dash."""
    return signed(100 * difference, decimals=1)


def signed(value: float, *, decimals: int = 2) -> str:
    """A number with its sign: +1.24, -0.30, 0.00, or a dash for what is unknown."""
    if not math.isfinite(value):
        return DASH
    return f"{value:+.{decimals}f}" if round(abs(value), decimals) else f"{0:.{decimals}f}"


def span(low: float, high: float, *, signed: bool = False) -> str:
    """An interval of shares, in per cent: 86.0 to 94.4; with signs for an interval of a difference."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return DASH
    return f"{points(low)} to {points(high)}" if signed else f"{hundredths(low)} to {hundredths(high)}"


def with_interval(found: Estimate) -> str | None:
    """A number with its spread over seeds and its interval: 90.0 ± 0.5 (86.0 to 94.4); None if unknown."""
    if not found.known:
        return None
    spread = f" ± {100 * found.spread:.1f}" if math.isfinite(found.spread) else ""
    ends = f" ({span(found.low, found.high)})" if math.isfinite(found.low) else ""
    return f"{hundredths(found.value)}{spread}{ends}"


def gain(found: Difference) -> str:
    """A difference with its interval: +1.2 (+0.3 to +2.1)."""
    return f"{points(found.value)} ({span(found.low, found.high, signed=True)})"


def amount(found: Difference) -> str:
    """The size of a difference with its interval, whatever its sign: 1.2 points (0.3 to 2.1)."""
    own = found.reversed if found.value < 0 else found
    return f"{hundredths(own.value)} points ({span(own.low, own.high)})"


def p_value(p: float) -> str:
    """A p value with three decimals: 0.012, <0.001, or a dash."""
    if not math.isfinite(p):
        return DASH
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def p_equals(p: float) -> str:
    """A p value in a sentence: p = 0.012, p < 0.001."""
    if not math.isfinite(p):
        return "p unknown"
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 image, 2 images, 1,200 categories."""
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else many}"


def title_of(metric: str) -> str:
    """The name of a metric in a sentence: `image/auroc` is image AUROC."""
    return TITLES.get(metric, metric)


def capitalised(text: str) -> str:
    """A sentence with a capital letter in front; a word such as sPRO keeps its own spelling."""
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]
