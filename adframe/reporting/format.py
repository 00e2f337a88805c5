"""Writes numbers as text, in one way everywhere: shares in per cent, with one decimal.

percent(0.125)                              12.5%
short_percent(0.00034)                      0.034%
points(0.0123)                              +1.2
signed(1.243)                               +1.24
span(0.86, 0.944)                           86.0 to 94.4
with_interval(Estimate(0.9, 0.86, 0.944))   90.0 (86.0 to 94.4)
p_value(0.0004)                             <0.001
"""

from __future__ import annotations

import math

from adframe.reporting.tables import DASH
from adframe.results.names import TITLES
from adframe.stats.estimates import Difference, Estimate


def hundredths(share: float) -> str:
    """Writes a share in per cent without the sign.

    Args:
        share: in [0, 1]; NaN is unknown.

    Returns:
        For example `12.5`, never `-0.0`; a dash for an unknown share.

    Example:
        >>> hundredths(0.125), hundredths(-0.0001)
        ('12.5', '0.0')
    """
    return DASH if not math.isfinite(share) else f"{100 * share:.1f}".replace("-0.0", "0.0")


def percent(share: float) -> str:
    """Writes a share in per cent.

    Args:
        share: in [0, 1]; NaN is unknown.

    Returns:
        For example `12.5%`; a dash for an unknown share.

    Example:
        >>> percent(0.125)
        '12.5%'
    """
    return f"{hundredths(share)}%" if math.isfinite(share) else DASH


def short_percent(share: float) -> str:
    """Writes a share in per cent with two significant digits, for areas, which may be small.

    Args:
        share: in [0, 1]; NaN is unknown.

    Returns:
        For example `0.034%` or `12%`; a dash for an unknown share.

    Example:
        >>> short_percent(0.00034), short_percent(0.12)
        ('0.034%', '12%')
    """
    if not math.isfinite(share):
        return DASH
    return f"{100 * share:.0f}%" if share >= 0.1 else f"{100 * share:.2g}%"


def points(difference: float) -> str:
    """Writes a difference of two shares in percentage points, with its sign.

    Args:
        difference: of two shares in [0, 1].

    Returns:
        For example `+1.2`, `-0.3` or `0.0`; a dash for an unknown difference.

    Example:
        >>> points(0.0123), points(-0.00001)
        ('+1.2', '0.0')
    """
    return signed(100 * difference, decimals=1)


def signed(value: float, *, decimals: int = 2) -> str:
    """Writes a number with its sign.

    Args:
        value: the number; NaN is unknown.
        decimals: of the text.

    Returns:
        For example `+1.24`; zero has no sign, and a dash is an unknown number.

    Example:
        >>> signed(1.243), signed(-0.001)
        ('+1.24', '0.00')
    """
    if not math.isfinite(value):
        return DASH
    return f"{value:+.{decimals}f}" if round(abs(value), decimals) else f"{0:.{decimals}f}"


def span(low: float, high: float, *, signed: bool = False) -> str:
    """Writes an interval of shares in per cent.

    Args:
        low: lower end, in [0, 1].
        high: upper end, in [0, 1].
        signed: whether both ends get a sign, as for an interval of a difference.

    Returns:
        For example `86.0 to 94.4`; a dash where an end is unknown.

    Example:
        >>> span(0.86, 0.944), span(-0.01, 0.02, signed=True)
        ('86.0 to 94.4', '-1.0 to +2.0')
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return DASH
    return f"{points(low)} to {points(high)}" if signed else f"{hundredths(low)} to {hundredths(high)}"


def with_interval(found: Estimate) -> str | None:
    """Writes an estimated share with its standard deviation over seeds and its 95% interval, in per cent.

    Args:
        found: the estimate.

    Returns:
        For example `90.0 ± 0.5 (86.0 to 94.4)`; None for an unknown value.
    """
    ends = f" ({span(found.low, found.high)})" if math.isfinite(found.low) else ""
    return None if (text := with_spread(found)) is None else f"{text}{ends}"


def with_spread(found: Estimate) -> str | None:
    """Writes an estimated share with its standard deviation over seeds, in per cent.

    Args:
        found: the estimate.

    Returns:
        For example `90.0 ± 0.5`; None for an unknown value.
    """
    if not found.known:
        return None
    spread = f" ± {100 * found.spread:.1f}" if math.isfinite(found.spread) else ""
    return f"{hundredths(found.value)}{spread}"


def gain(found: Difference) -> str:
    """Writes a difference with its 95% interval in percentage points.

    Args:
        found: the difference of two shares.

    Returns:
        For example `+1.2 (+0.3 to +2.1)`; without brackets where the interval is unknown.

    Example:
        >>> gain(Difference(0.012, 0.003, 0.021, p=0.01))
        '+1.2 (+0.3 to +2.1)'
        >>> gain(Difference(0.012, math.nan, math.nan, p=math.nan))
        '+1.2'
    """
    ends = span(found.low, found.high, signed=True)
    return points(found.value) if ends == DASH else f"{points(found.value)} ({ends})"


def amount(found: Difference) -> str:
    """Writes the size of a difference with its 95% interval, whatever its sign.

    Args:
        found: the difference of two shares.

    Returns:
        For example `1.2 points (0.3 to 2.1)`; without brackets where the interval is unknown.
    """
    own = found.reversed if found.value < 0 else found
    ends, text = span(own.low, own.high), f"{hundredths(own.value)} points"
    return text if ends == DASH else f"{text} ({ends})"


def p_value(p: float) -> str:
    """Writes a p value with three decimals, for the cell of a table.

    Args:
        p: in [0, 1]; NaN is unknown.

    Returns:
        For example `0.012`; `<0.001` for smaller ones, a dash for an unknown one.
    """
    if not math.isfinite(p):
        return DASH
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def p_equals(p: float) -> str:
    """Writes a p value for a sentence.

    Args:
        p: in [0, 1]; NaN is unknown.

    Returns:
        For example `p = 0.012`, `p < 0.001` or `p unknown`.
    """
    if not math.isfinite(p):
        return "p unknown"
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def counted(number: int, noun: str) -> str:
    """Writes a number with its noun.

    Args:
        number: how many.
        noun: in the singular.

    Returns:
        For example `1 image`, `2 images` or `1,200 categories`.

    Example:
        >>> counted(1, "image"), counted(1200, "category"), counted(2, "box")
        ('1 image', '1,200 categories', '2 boxes')
    """
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}es" if noun.endswith("x") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else many}"


def title_of(metric: str) -> str:
    """Returns the name of a metric in a sentence.

    Args:
        metric: its key, such as `image/auroc`.

    Returns:
        For example `image AUROC`; the key itself for an unknown metric.
    """
    return TITLES.get(metric, metric)


def capitalised(text: str) -> str:
    """Begins a text with a capital letter; a word such as sPRO keeps its own spelling.

    Args:
        text: a caption, title or axis name.

    Returns:
        The text with its first letter in upper case.

    Example:
        >>> capitalised("loss by epoch"), capitalised("sPRO by category")
        ('Loss by epoch', 'sPRO by category')
    """
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]
