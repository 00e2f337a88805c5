"""The study of features: patches as points, how well each layer separates, attention rollout."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

from adframe.analysis.compare import ALPHA
from adframe.analysis.settings import settings_of
from adframe.analysis.study import LEADERBOARD
from adframe.reporting.document import Page
from adframe.reporting.format import amount, hundredths
from adframe.reporting.page_writer import write_document
from adframe.reporting.patch_sections import (
    AUROC_TITLES,
    attention_section,
    drift_section,
    layers_section,
    planes_section,
)
from adframe.results.frame import load_results
from adframe.results.layer_distances import layer_distances, shared_layers
from adframe.results.patch_samples import LayerSample, PatchSample, read_patch_sample
from adframe.results.sweep_folder import SweepFolder
from adframe.stats.bootstrap import LEVEL
from adframe.stats.estimates import Difference
from adframe.stats.significance import difference_of, holm

NOTES = (
    "Layers are ranked on test images: to report by them is fine, but a layer chosen by this page is chosen "
    "on test data.",
    "Embeddings show neighbourhoods only: distances between clusters, their sizes and their number depend on "
    "the settings of the method.",
    "Intervals say where a number could lie on other images of the same kind, not with another sample of "
    "training patches.",
)
Pair = tuple[str, str, LayerSample, LayerSample]  # measure, where, the better layer, the other


class FeatureStudy:
    """Makes the page of runs that kept patches (`callbacks.patches.count` above 0).

    Args:
        seed: of planes and draws.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def write(self, sweep: SweepFolder) -> Path | None:
        """The page; None where no run has kept patches.

        Raises:
            AdframeError: a file cannot be read or written.
        """
        samples, cells = _samples(sweep)
        if not samples:
            return None
        found = findings(samples)
        parts = [layers_section(samples), planes_section(samples, seed=self.seed)]
        for number, (variant, by_class) in enumerate(samples.items()):
            if len(by_class) > 1 and shared_layers(by_class):
                distances = layer_distances(by_class, seed=self.seed)
                parts.append(drift_section(distances, variant=variant, number=number))
        attention = attention_section(cells)
        study = Page(
            title=_title(found, samples),
            question="How well do the network's features separate defects, layer by layer, category by "
            "category?",
            findings=found or ["No layer differs significantly from another of its network."],
            facts=_facts(sweep, samples, finished=len(sweep.finished)),
            sections=[*parts, *([attention] if attention else [])],
            command=sweep.command,
            links=LEADERBOARD,
            notes=NOTES,
        )
        return write_document(sweep.path, study)


def findings(samples: Mapping[str, Mapping[str, PatchSample]]) -> list[str]:
    """Which layer separates best, where all others of its network are significantly worse.

    Layers have seen the same images, so that differences are taken resample by resample; p values are
    corrected for all pairs of the study (Holm). Layers are asked about within a network only.

    Args:
        samples: method -> category -> its sample.
    """
    pairs = [
        (measure, f"{category}, {variant}" if len(samples) > 1 else category, *pair)
        for measure in AUROC_TITLES
        for variant, by_class in samples.items()
        for category, sample in by_class.items()
        for pair in itertools.permutations(sample.layers, 2)
        if getattr(pair[0], measure)[0] > getattr(pair[1], measure)[0]
    ]
    tested = [_more(measure, better, other) for measure, _, better, other in pairs]
    shown = [p < ALPHA and each.low > 0 for each, p in zip(tested, holm([e.p for e in tested]), strict=True)]
    sure = {(m, where, a.name, b.name): each for (m, where, a, b), each, good in
            zip(pairs, tested, shown, strict=True) if good}  # fmt: skip
    found = []
    for measure, where in dict.fromkeys((each[0], each[1]) for each in pairs):
        layers = {layer.name: layer for m, w, *both in pairs if (m, w) == (measure, where) for layer in both}
        best = max(layers.values(), key=lambda layer: getattr(layer, measure)[0])
        others = [name for name in layers if name != best.name]
        if all((measure, where, best.name, name) in sure for name in others):
            found.append(
                _sentence(measure, where, best, {n: sure[measure, where, best.name, n] for n in others})
            )
    return found


def _sentence(measure: str, where: str, best: LayerSample, more: Mapping[str, Difference]) -> str:
    name, least = min(more.items(), key=lambda each: each[1].value)
    value = hundredths(getattr(best, measure)[0])
    return (
        f"{where}: {best.name} alone has the highest {AUROC_TITLES[measure]}, {value}; the next layer, "
        f"{name}, is lower by {amount(least)}."
    )


def _more(measure: str, better: LayerSample, other: LayerSample) -> Difference:
    row = list(AUROC_TITLES).index(measure)
    value = getattr(better, measure)[0] - getattr(other, measure)[0]
    drawn = better.drawn[row].astype(float) - other.drawn[row].astype(float)
    return difference_of(drawn, value=value, level=LEVEL)


def _samples(
    sweep: SweepFolder,
) -> tuple[dict[str, dict[str, PatchSample]], list[tuple[str, Path, str]]]:
    """Setting -> category -> sample, the first seed's; and (setting, folder, category) of each."""
    found: dict[str, dict[str, PatchSample]] = {}
    places: list[tuple[str, Path, str]] = []
    for setting in settings_of(load_results(sweep.finished).own, sweep.varied):
        for where, tests in setting.tests.items():
            folder, category = tests[0].folder.path, tests[0].category
            sample = read_patch_sample(folder, category=category)
            if sample is not None:
                found.setdefault(setting.name, {})[where] = sample
                places.append((setting.name, folder, category))
    return found, places


def _title(found: list[str], samples: Mapping[str, Mapping[str, PatchSample]]) -> str:
    categories = list(dict.fromkeys(name for by_class in samples.values() for name in by_class))
    what = f"{', '.join(categories[:4])}{' and others' if len(categories) > 4 else ''}"
    if not found:
        return f"Features of {what}: no layer leads significantly"
    cases = len(AUROC_TITLES) * sum(map(len, samples.values()))
    return f"Features of {what}: one layer leads significantly in {len(found)} of {cases} comparisons"


def _facts(
    sweep: SweepFolder, samples: Mapping[str, Mapping[str, PatchSample]], *, finished: int
) -> list[tuple[str, str]]:
    every = [sample for by_class in samples.values() for sample in by_class.values()]
    failed = len(sweep.failed)
    return [
        ("runs", f"{finished}{f', {failed} failed' if failed else ''}"),
        ("networks", ", ".join(dict.fromkeys(sample.backbone for sample in every))),
        ("test images", ", ".join(f"{sample.category} {sample.tested}" for sample in _of_each(samples))),
        ("patches", f"{sum(len(layer.features) for each in every for layer in each.layers)} kept"),
        ("both passes", f"{sum(sample.seconds for sample in every):.0f} s in all"),
    ]


def _of_each(samples: Mapping[str, Mapping[str, PatchSample]]) -> list[PatchSample]:
    """One sample per category."""
    found: dict[str, PatchSample] = {}
    for by_class in samples.values():
        found = dict(by_class) | found
    return list(found.values())
