"""The sentences of studies: what the comparisons support, and what they do not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from adframe.analysis.compare import Comparison, between
from adframe.analysis.settings import Setting
from adframe.reporting.format import (
    amount,
    capitalised,
    gain,
    hundredths,
    p_equals,
    title_of,
    with_interval,
)
from adframe.results.names import MEAN
from adframe.stats.estimates import Estimate

_LISTED = 4  # names in one sentence


def headline(
    settings: Sequence[Setting],
    means: Mapping[str, Estimate],
    found: Sequence[Comparison],
    *,
    metric: str,
    keys: str,
) -> str:
    """One sentence: which setting leads significantly, or that none does.

    Args:
        settings: all of the study.
        means: the metric by setting, as far as it is known.
        found: the comparisons.
        metric: such as `image/auroc`.
        keys: the names of what was varied.
    """
    name = title_of(metric)
    if not means:
        return f"{keys}: no {name} is known"
    best = max(means, key=lambda key: means[key].value)
    if len(settings) < 2:
        return f"{name} {hundredths(means[best].value)} over {len(settings[0].runs)} runs of one setting"
    pairs = {
        other: between(found, other, best, metric=metric, where=MEAN) for other in means if other != best
    }
    beaten = [one for one in pairs.values() if one and one.significant and one.difference.value > 0]
    if beaten:
        of = "every other" if len(beaten) == len(pairs) else f"{len(beaten)} of {len(pairs)} others"
        return f"{keys}: {best} has a significantly higher {name} than {of}, {hundredths(means[best].value)}"
    if any(one.significant for one in found if one.metric == metric and one.where == MEAN):
        return f"{keys}: some settings differ significantly in {name}, but no single one leads"
    return f"{keys}: no significant difference in {name}"


def on_metric(
    means: Mapping[str, Estimate], found: Sequence[Comparison], *, metric: str, over: str
) -> list[str]:
    """What can be said of one metric in the mean over categories.

    Args:
        means: by setting, as far as known.
        found: all comparisons.
        metric: such as `image/auroc`.
        over: what the numbers are of, such as `on screw`.
    """
    own = [one for one in found if one.metric == metric and one.where == MEAN]
    if len(means) < 2 or not own:
        return []
    name, holding = title_of(metric), [one for one in own if one.significant]
    if not holding:
        return [capitalised(_no_difference(own, name=name, over=over, count=len(means)))]
    best = max(means, key=lambda key: means[key].value)
    text = f"{name} {over} is highest with {best}: {with_interval(_without_spread(means[best]))}."
    pairs = [between(own, other, best, metric=metric, where=MEAN) for other in means if other != best]
    known = sorted((one for one in pairs if one), key=lambda one: one.difference.value)
    others = [one for one in holding if best not in (one.a, one.b)]
    in_all = [f"In all, {len(holding)} of {len(own)} pairs differ significantly."] if others else []
    return [capitalised(" ".join([text, *_ahead(known), *_alike(known), *in_all]))]


def by_category(found: Sequence[Comparison], *, metric: str) -> list[str]:
    """What can be said category by category, where there are several."""
    own = [one for one in found if one.metric == metric]
    if not own:
        return []
    name, holding = title_of(metric), [one for one in own if one.significant]
    start = f"Category by category, {len(holding) or 'none'} of {len(own)} comparisons of {name}"
    if not holding:
        return [f"{start} is significant after Holm's correction."]
    holding.sort(key=lambda one: -abs(one.difference.value))
    parts = [
        f"{one.where}: {one.b if one.difference.value > 0 else one.a} above "
        f"{one.a if one.difference.value > 0 else one.b} by {amount(one.difference)}"
        for one in holding[:_LISTED]
    ]
    more = f"; and {len(holding) - _LISTED} more" if len(holding) > _LISTED else ""
    verb = "is" if len(holding) == 1 else "are"
    return [f"{start} {verb} significant after Holm's correction: {'; '.join(parts)}{more}."]


def on_seeds(means: Mapping[str, Estimate], *, metric: str) -> list[str]:
    """How much the metric varies over seeds."""
    known = {name: each for name, each in means.items() if math.isfinite(each.spread)}
    if not known:
        return []
    widest = max(known, key=lambda name: known[name].spread)
    seeds = sorted({each.seeds for each in known.values()})
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    at = f", with {widest}" if len(means) > 1 else ""
    return [
        f"Over {count} seeds {title_of(metric)} has a standard deviation of at most "
        f"{100 * known[widest].spread:.2f} points{at}."
    ]


def on_size(sizes: Mapping[str, float]) -> list[str]:
    """How large the models are, which is no matter of chance.

    Args:
        sizes: bytes by setting.
    """
    if len(sizes) < 2 or max(sizes.values()) < 1.05 * min(sizes.values()):
        return []
    least, most = min(sizes, key=lambda name: sizes[name]), max(sizes, key=lambda name: sizes[name])
    return [
        f"The model of {least} is the smallest, {sizes[least] / 1e6:.3g} MB; that of {most} is the largest, "
        f"{sizes[most] / 1e6:.3g} MB, {sizes[most] / sizes[least]:.3g} times as much."
    ]


def not_significant(found: Sequence[tuple[str, Comparison]]) -> list[str]:
    """One sentence on the comparisons that are not significant, with how large each difference could be.

    Args:
        found: what each comparison is of, and the comparison.

    Returns:
        At most one sentence; none where all are significant.
    """
    open_ = [
        (text, one.difference)
        for text, one in found
        if not one.significant and math.isfinite(one.difference.low)
    ]
    if not open_:
        return []
    parts = [f"{text}: {gain(difference)}" for text, difference in open_[:6]]
    more = f"; and {len(open_) - 6} more in the table" if len(open_) > 6 else ""
    return [f"No significant difference: {'; '.join(parts)}{more}."]


def _no_difference(own: Sequence[Comparison], *, name: str, over: str, count: int) -> str:
    widest = max(own, key=lambda one: abs(one.difference.value))
    reach = sorted(one.difference.reach for one in own if one.difference.reach > 0)
    least = f" Differences below about {_range(reach)} points cannot be detected here." if reach else ""
    return (
        f"{name} {over}: no significant difference between any two of the {count} settings. The largest seen "
        f"is {gain(widest.difference)} for {widest.b} compared with {widest.a} "
        f"({p_equals(widest.adjusted)} after Holm's correction).{least}"
    )


def _ahead(known: Sequence[Comparison]) -> list[str]:
    ahead = [one for one in known if one.significant and one.difference.value > 0]
    if not ahead:
        return []
    parts = [
        f"{one.a} by {amount(one.difference)}, {p_equals(one.adjusted)}" for one in ahead[::-1][:_LISTED]
    ]
    more = f"; and {len(ahead) - _LISTED} more" if len(ahead) > _LISTED else ""
    return [f"It is significantly above {'; '.join(parts)}{more}."]


def _alike(known: Sequence[Comparison]) -> list[str]:
    alike = [one for one in known if not one.significant]
    if not alike:
        return []
    names = ", ".join(one.a for one in alike[:_LISTED])
    more = f" and {len(alike) - _LISTED} more" if len(alike) > _LISTED else ""
    reach = sorted(one.difference.reach for one in alike if one.difference.reach > 0)
    least = f": differences below about {_range(reach)} points cannot be detected here" if reach else ""
    return [f"It does not differ significantly from {names}{more}{least}."]


def _range(reach: Sequence[float]) -> str:
    low, high = hundredths(reach[0]), hundredths(reach[-1])
    return low if low == high else f"{low} to {high}"


def _without_spread(found: Estimate) -> Estimate:
    return Estimate(found.value, found.low, found.high)
