"""What a sweep's intervals support, in plain sentences; what they do not support is said, too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from adframe.analysis.studies.pairwise import Contrast, between
from adframe.analysis.studies.settings import Measured, Variant
from adframe.reporting.tables import DASH
from adframe.results.names import MEAN, TITLES

_LISTED = 4  # names in a sentence


def title_of(metric: str) -> str:
    """A metric as a sentence names it."""
    return TITLES.get(metric, metric)


def signed(value: float) -> str:
    """A share in points of per cent, with its sign: +1.2, -0.3, 0.0."""
    return f"{100 * value:+.1f}" if round(abs(100 * value), 1) else "0.0"


def begun(text: str) -> str:
    """A sentence with a capital letter in front; sPRO keeps its own way."""
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]


def span(low: float, high: float, *, sign: bool = False) -> str:
    """Two shares in per cent: 97.1 to 98.4."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return DASH
    return f"{signed(low)} to {signed(high)}" if sign else f"{100 * low:.1f} to {100 * high:.1f}"


def p_text(value: float) -> str:
    """p = 0.012, p < 0.001."""
    return DASH if not math.isfinite(value) else f"p = {value:.3f}" if value >= 0.001 else "p < 0.001"


def headline(
    variants: Sequence[Variant],
    means: Mapping[str, Measured],
    found: Sequence[Contrast],
    *,
    metric: str,
    keys: str,
) -> str:
    """One sentence: who leads beyond chance, or that nobody does."""
    name = title_of(metric)
    if not means:
        return f"{keys}: no {name} is known"
    best = max(means, key=lambda key: means[key].value)
    if len(variants) < 2:
        return f"{name} {100 * means[best].value:.1f} over {len(variants[0].readings)} runs of one setting"
    beaten = [other for other in means if other != best and _beats(found, other, best, metric=metric)]
    if beaten:
        of = "every other" if len(beaten) == len(means) - 1 else f"{len(beaten)} of {len(means) - 1} others"
        return (
            f"{keys}: {best} has a higher {name} than {of} by more than chance, {100 * means[best].value:.1f}"
        )
    if any(one.shown for one in found if one.metric == metric and one.where == MEAN):
        return f"{keys}: some settings differ in {name} by more than chance, no single one leads"
    return f"{keys}: no difference in {name} that these images could show"


def on_metric(
    means: Mapping[str, Measured], found: Sequence[Contrast], *, metric: str, over: str
) -> list[str]:
    """What can be said of one metric in the mean over classes.

    Args:
        means: by variant, as far as known.
        found: all that was compared.
        metric: of which.
        over: where the numbers are from, such as `on screw`.
    """
    own = [one for one in found if one.metric == metric and one.where == MEAN]
    if len(means) < 2 or not own:
        return []
    name, holding = title_of(metric), [one for one in own if one.shown]
    if not holding:
        return [begun(_nothing(own, name=name, over=over, count=len(means)))]
    best = max(means, key=lambda key: means[key].value)
    value = means[best]
    ends = f" ({span(value.low, value.high)})" if math.isfinite(value.low) else ""
    text = f"{name} {over} is highest with {best}: {100 * value.value:.1f}{ends}."
    pairs = [between(own, other, best, metric=metric, where=MEAN) for other in means if other != best]
    known = sorted((one for one in pairs if one), key=lambda one: one.more.value)
    return [begun(" ".join([text, *_ahead(known), *_alike(known), *_others(holding, best, len(own))]))]


def by_class(found: Sequence[Contrast], *, metric: str) -> list[str]:
    """What can be said class by class, where there are several."""
    own = [one for one in found if one.metric == metric]
    if not own:
        return []
    name, holding = title_of(metric), [one for one in own if one.shown]
    if not holding:
        return [f"Class by class, none of {len(own)} comparisons of {name} holds by Holm's correction."]
    holding.sort(key=lambda one: -abs(one.more.value))
    parts = [f"{one.where}: {_upper(one)} by {_gain(one, sign=False)}" for one in holding[:_LISTED]]
    more = f"; and {len(holding) - _LISTED} more" if len(holding) > _LISTED else ""
    start = f"Class by class, {len(holding)} of {len(own)} comparisons of {name} hold by Holm's correction: "
    return [f"{start}{'; '.join(parts)}{more}."]


def on_seeds(variants: Sequence[Variant], means: Mapping[str, Measured], *, metric: str) -> list[str]:
    """How far seeds lie apart."""
    known = {name: each for name, each in means.items() if math.isfinite(each.spread)}
    if not known:
        return []
    widest = max(known, key=lambda name: known[name].spread)
    seeds = sorted({each.seeds for each in known.values()})
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    at = f", with {widest}" if len(variants) > 1 else ""
    return [
        f"Over {count} seeds {title_of(metric)} has a standard deviation of at most "
        f"{100 * known[widest].spread:.2f} points{at}."
    ]


def on_size(sizes: Mapping[str, float]) -> list[str]:
    """How large the models are, which is no matter of chance."""
    if len(sizes) < 2 or max(sizes.values()) < 1.05 * min(sizes.values()):
        return []
    least, most = min(sizes, key=lambda name: sizes[name]), max(sizes, key=lambda name: sizes[name])
    times = sizes[most] / sizes[least]
    return [
        f"The model of {least} is smallest, {sizes[least] / 1e6:.3g} MB; that of {most} largest, "
        f"{sizes[most] / 1e6:.3g} MB, {times:.3g} times as much."
    ]


def _nothing(own: Sequence[Contrast], *, name: str, over: str, count: int) -> str:
    widest = max(own, key=lambda one: abs(one.more.value))
    reach = sorted(one.reach for one in own if one.reach > 0)
    could = f" Differences below some {_range(reach)} points could not have shown." if reach else ""
    return (
        f"{name} {over}: these images cannot show a difference between any two of the {count} settings. The "
        f"largest seen is {_gain(widest)} for {widest.b} against {widest.a} ({p_text(widest.holm)} by "
        f"Holm).{could}"
    )


def _ahead(known: Sequence[Contrast]) -> list[str]:
    ahead = [one for one in known if one.shown and one.more.value > 0]
    if not ahead:
        return []
    parts = [f"{one.a} by {_gain(one, sign=False)}, {p_text(one.holm)}" for one in reversed(ahead[-_LISTED:])]
    more = f"; and {len(ahead) - _LISTED} more" if len(ahead) > _LISTED else ""
    return [f"Beyond chance it is above {'; '.join(parts)}{more}."]


def _alike(known: Sequence[Contrast]) -> list[str]:
    alike = [one for one in known if not one.shown]
    if not alike:
        return []
    names = ", ".join(one.a for one in alike[:_LISTED])
    more = f" and {len(alike) - _LISTED} more" if len(alike) > _LISTED else ""
    reach = sorted(one.reach for one in alike if one.reach > 0)
    hidden = f": differences below some {_range(reach)} points could not have shown" if reach else ""
    return [f"From {names}{more} these images cannot tell it apart{hidden}."]


def _others(holding: Sequence[Contrast], best: str, count: int) -> list[str]:
    beside = [one for one in holding if best not in (one.a, one.b)]
    return [f"In all {len(holding)} of {count} pairs differ."] if beside else []


def _range(reach: Sequence[float]) -> str:
    low, high = f"{100 * reach[0]:.1f}", f"{100 * reach[-1]:.1f}"
    return low if low == high else f"{low} to {high}"


def _gain(one: Contrast, *, sign: bool = True) -> str:
    """The difference with its interval; without a sign, of the larger against the smaller."""
    value, low, high = one.more.value, one.more.low, one.more.high
    if not sign and value < 0:
        value, low, high = -value, -high, -low
    shown = signed(value) if sign else f"{100 * value:.1f}"
    return f"{shown} ({span(low, high, sign=sign)})"


def _upper(one: Contrast) -> str:
    return f"{one.b} above {one.a}" if one.more.value > 0 else f"{one.a} above {one.b}"


def _beats(found: Sequence[Contrast], a: str, b: str, *, metric: str) -> bool:
    one = between(found, a, b, metric=metric, where=MEAN)
    return one is not None and one.shown and one.more.value > 0
