"""Writes the sentences of studies: what their comparisons support, and what they do not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from adframe.analysis.compare import Comparison, find_comparison
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
_LISTED_DIFFERENCES = 2  # differences in the sentence on what is not significant
_SIZE_FACTOR = 1.05  # sizes that differ by less are called equal


def headline(
    settings: Sequence[Setting],
    means: Mapping[str, Estimate],
    comparisons: Sequence[Comparison],
    *,
    metric: str,
    keys: str,
) -> str:
    """Writes one sentence that says which setting leads significantly, or that none does.

    Args:
        settings: all settings of the study.
        means: name of the setting -> the mean of the metric over categories, where it is known.
        comparisons: all comparisons of the study.
        metric: such as `image/auroc`.
        keys: names of the keys that were varied.

    Returns:
        The title of the page.
    """
    name = title_of(metric)
    if not means:
        return f"{keys}: no {name} is known"
    best = max(means, key=lambda key: means[key].value)
    if len(settings) < 2:
        return f"{name} {hundredths(means[best].value)} over {len(settings[0].runs)} runs of one setting"
    others = [other for other in means if other != best]
    pairs = [find_comparison(comparisons, other, best, metric=metric, where=MEAN) for other in others]
    better = [each for each in pairs if each and each.significant and each.difference.value > 0]
    if better:
        of = "every other" if len(better) == len(others) else f"{len(better)} of {len(others)} others"
        return f"{keys}: {best} has a significantly higher {name} than {of}, {hundredths(means[best].value)}"
    if any(each.significant for each in comparisons if (each.metric, each.where) == (metric, MEAN)):
        return f"{keys}: some settings differ significantly in {name}, but no single one leads"
    return f"{keys}: no significant difference in {name}"


def metric_sentences(
    means: Mapping[str, Estimate], comparisons: Sequence[Comparison], *, metric: str, over: str
) -> list[str]:
    """Writes what the comparisons support about one metric in the mean over categories.

    Args:
        means: name of the setting -> the mean of the metric over categories, where it is known.
        comparisons: all comparisons of the study.
        metric: such as `image/auroc`.
        over: the images of the numbers in words, such as `on screw`.

    Returns:
        One paragraph; none with fewer than two settings.
    """
    own = [each for each in comparisons if (each.metric, each.where) == (metric, MEAN)]
    if len(means) < 2 or not own:
        return []
    name, significant = title_of(metric), [each for each in own if each.significant]
    if not significant:
        limit = _detectable_sentence(own)
        sentence = _no_difference_sentence(own, name=name, over=over, count=len(means))
        return [capitalised(sentence), *([limit] if limit else [])]
    best = max(means, key=lambda key: means[key].value)
    # The paragraph compares settings, so it gives the interval without the deviation over seeds.
    value = with_interval(Estimate(means[best].value, means[best].low, means[best].high))
    sentences = [f"{name} {over} is highest with {best}: {value}."]
    pairs = [find_comparison(own, other, best, metric=metric, where=MEAN) for other in means if other != best]
    against_best = sorted((each for each in pairs if each), key=lambda each: each.difference.value)
    sentences += _higher_sentences(against_best) + _indistinguishable_sentences(against_best)
    if any(best not in (each.a, each.b) for each in significant):
        sentences.append(f"In all, {len(significant)} of {len(own)} pairs differ significantly.")
    return [capitalised(" ".join(sentences))]


def category_sentences(comparisons: Sequence[Comparison], *, metric: str) -> list[str]:
    """Writes which comparisons of single categories are significant.

    Args:
        comparisons: comparisons within categories.
        metric: such as `image/auroc`.

    Returns:
        One sentence with the largest differences; none without comparisons.
    """
    own = [each for each in comparisons if each.metric == metric]
    if not own:
        return []
    significant = [each for each in own if each.significant]
    start = f"Per category, {len(significant) or 'none'} of {len(own)} comparisons of {title_of(metric)}"
    if not significant:
        return [f"{start} is significant after Holm's correction."]
    significant.sort(key=lambda each: -abs(each.difference.value))
    parts = [
        f"{each.where}: {each.b if each.difference.value > 0 else each.a} above "
        f"{each.a if each.difference.value > 0 else each.b} by {amount(each.difference)}"
        for each in significant[:_LISTED]
    ]
    more = f"; and {len(significant) - _LISTED} more" if len(significant) > _LISTED else ""
    verb = "is" if len(significant) == 1 else "are"
    return [f"{start} {verb} significant after Holm's correction: {'; '.join(parts)}{more}."]


def seed_sentences(means: Mapping[str, Estimate], *, metric: str) -> list[str]:
    """Writes how much a metric varies over seeds.

    Args:
        means: name of the setting -> the metric, where it is known.
        metric: such as `image/auroc`.

    Returns:
        One sentence with the largest standard deviation; none where every setting has one seed.
    """
    known = {name: each for name, each in means.items() if math.isfinite(each.spread)}
    if not known:
        return []
    widest = max(known, key=lambda name: known[name].spread)
    seeds = sorted({each.seeds for each in known.values()})
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    at = f", with {widest}" if len(means) > 1 else ""
    return [
        f"Over {count} seeds, {title_of(metric)} has a standard deviation of at most "
        f"{100 * known[widest].spread:.2f} points{at}."
    ]


def size_sentences(sizes: Mapping[str, float]) -> list[str]:
    """Writes how much the sizes of the models differ; sizes are exact, so no test is needed.

    Args:
        sizes: name of the setting -> size of its model in bytes.

    Returns:
        One sentence; none where the sizes are about equal.

    Example:
        >>> size_sentences({"0.01": 1e6, "0.1": 10e6})
        ['The model of 0.01 is the smallest, 1 MB; that of 0.1 is the largest, 10 MB, 10 times as large.']
    """
    if len(sizes) < 2 or max(sizes.values()) < _SIZE_FACTOR * min(sizes.values()):
        return []
    least, most = min(sizes, key=lambda name: sizes[name]), max(sizes, key=lambda name: sizes[name])
    return [
        f"The model of {least} is the smallest, {sizes[least] / 1e6:.3g} MB; that of {most} is the largest, "
        f"{sizes[most] / 1e6:.3g} MB, {sizes[most] / sizes[least]:.3g} times as large."
    ]


def not_significant_sentences(comparisons: Sequence[tuple[str, Comparison]]) -> list[str]:
    """Writes which comparisons are not significant, and how large each difference could be.

    Args:
        comparisons: (a description of the comparison, the comparison).

    Returns:
        One sentence with differences and intervals; none where all are significant.
    """
    differences = [
        (text, each.difference)
        for text, each in comparisons
        if not each.significant and math.isfinite(each.difference.low)
    ]
    if not differences:
        return []
    parts = [f"{text}: {gain(difference)}" for text, difference in differences[:_LISTED_DIFFERENCES]]
    rest = len(differences) - len(parts)
    more = f"; and {rest} more in the table" if rest else ""
    return [f"No significant difference: {'; '.join(parts)}{more}."]


def _no_difference_sentence(own: Sequence[Comparison], *, name: str, over: str, count: int) -> str:
    widest = max(own, key=lambda each: abs(each.difference.value))
    which = "the two settings" if count == 2 else f"any two of the {count} settings"
    return (
        f"{name} {over}: no significant difference between {which}. The largest "
        f"difference is {gain(widest.difference)} for {widest.b} compared with {widest.a} "
        f"({p_equals(widest.adjusted)} after Holm's correction)."
    )


def _higher_sentences(against_best: Sequence[Comparison]) -> list[str]:
    """Names the settings that are significantly below the best one, the lowest first."""
    lower = [each for each in against_best if each.significant and each.difference.value > 0]
    if not lower:
        return []
    parts = [f"{each.a} by {amount(each.difference)}, {p_equals(each.adjusted)}" for each in lower[::-1]]
    more = f"; and {len(lower) - _LISTED} more" if len(lower) > _LISTED else ""
    return [f"It is significantly above {'; '.join(parts[:_LISTED])}{more}."]


def _indistinguishable_sentences(against_best: Sequence[Comparison]) -> list[str]:
    """Names the settings that do not differ significantly from the best one."""
    similar = [each for each in against_best if not each.significant]
    if not similar:
        return []
    names = ", ".join(each.a for each in similar[:_LISTED])
    more = f" and {len(similar) - _LISTED} more" if len(similar) > _LISTED else ""
    limit = _detectable_sentence(similar)
    return [f"It does not differ significantly from {names}{more}.", *([limit] if limit else [])]


def _detectable_sentence(comparisons: Sequence[Comparison]) -> str:
    """States the smallest difference that these comparisons would find; "" where it is unknown."""
    sizes = sorted(each.detectable for each in comparisons if each.detectable > 0)
    if not sizes:
        return ""
    low, high = hundredths(sizes[0]), hundredths(sizes[-1])
    size = low if low == high else f"{low} to {high}"
    return (
        f"With these test images, a true difference of {size} points would be found with a probability of "
        "80%, and a smaller one more rarely."
    )
