"""The study of features: patches as points, how well each layer separates, attention rollout."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from adframe.analysis.compare import from_draws, is_significant
from adframe.analysis.settings import mean_over_seeds, settings_of
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
from adframe.stats.bootstrap import LEVEL, percentile_interval
from adframe.stats.estimates import Difference
from adframe.stats.significance import holm

NOTES = (
    "Layers are ranked on test images: to report by them is fine, but a layer chosen by this page is chosen "
    "on test data.",
    "Embeddings show neighbourhoods only: distances between clusters, their sizes and their number depend on "
    "the settings of the method.",
    "Intervals say where a number could lie on other images of the same kind, not with another sample of "
    "training patches.",
)
_SEVERAL_SEEDS = (
    "Numbers are means over the seeds; planes, distances and attention maps are of the first seed."
)
Samples = Mapping[str, Mapping[str, Sequence[PatchSample]]]  # setting -> category -> one sample a seed


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
        every, cells = _samples(sweep)
        if not every:
            return None
        found = findings(every)
        samples = {
            name: {category: mean_of_seeds(own) for category, own in by_class.items()}
            for name, by_class in every.items()
        }
        several = any(len(own) > 1 for by_class in every.values() for own in by_class.values())
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
            notes=(*NOTES, _SEVERAL_SEEDS) if several else NOTES,
        )
        return write_document(sweep.path, study)


def findings(samples: Samples) -> list[str]:
    """Which layer separates best, where all others of its network are significantly worse.

    Layers have seen the same images, so that differences are taken resample by resample; p values are
    corrected for all pairs of the study (Holm). Layers are compared within a network only, seed by seed.

    Args:
        samples: setting -> category -> its samples, one for each seed.
    """
    means = {
        (measure, f"{category}, {variant}" if len(samples) > 1 else category): (mean_of_seeds(own), own)
        for measure in AUROC_TITLES
        for variant, by_class in samples.items()
        for category, own in by_class.items()
    }
    pairs = [
        (measure, where, better, other)
        for (measure, where), (mean, _) in means.items()
        for better, other in itertools.permutations(mean.layers, 2)
        if getattr(better, measure)[0] > getattr(other, measure)[0]
    ]
    tested = [
        _difference(means[measure, where][1], measure, better=better.name, other=other.name)
        for measure, where, better, other in pairs
    ]
    corrected = zip(pairs, tested, holm([each.p for each in tested]), strict=True)
    sure = {
        (measure, where, better.name, other.name): each
        for (measure, where, better, other), each, p in corrected
        if is_significant(p, each)
    }
    found = []
    for measure, where in dict.fromkeys(pair[:2] for pair in pairs):
        layers = means[measure, where][0].layers
        best = max(layers, key=lambda layer: np.nan_to_num(getattr(layer, measure)[0], nan=-1))
        others = [
            layer.name for layer in layers if layer is not best and np.isfinite(getattr(layer, measure)[0])
        ]
        if all((measure, where, best.name, name) in sure for name in others):
            found.append(
                _sentence(measure, where, best, {n: sure[measure, where, best.name, n] for n in others})
            )
    return found


def mean_of_seeds(samples: Sequence[PatchSample]) -> PatchSample:
    """The first sample, with the AUROCs and their draws in the mean over all of them.

    Args:
        samples: of one category and network, one for each seed.
    """
    first = samples[0]
    if len(samples) == 1:
        return first
    layers = []
    for layer in first.layers:
        own = [other for sample in samples for other in sample.layers if other.name == layer.name]
        drawn = np.stack(
            [mean_over_seeds([one.drawn[row] for one in own]) for row in range(len(AUROC_TITLES))]
        )
        ends = [percentile_interval(row, level=LEVEL) for row in drawn]
        image, patch = (float(np.mean([getattr(one, measure)[0] for one in own])) for measure in AUROC_TITLES)
        layers.append(
            replace(layer, image_auroc=(image, *ends[0]), patch_auroc=(patch, *ends[1]), drawn=drawn)
        )
    return replace(first, layers=tuple(layers))


def _sentence(measure: str, where: str, best: LayerSample, more: Mapping[str, Difference]) -> str:
    name, least = min(more.items(), key=lambda each: each[1].value)
    value = hundredths(getattr(best, measure)[0])
    return (
        f"{where}: {best.name} alone has the highest {AUROC_TITLES[measure]}, {value}; the next layer, "
        f"{name}, is lower by {amount(least)}."
    )


def _difference(samples: Sequence[PatchSample], measure: str, *, better: str, other: str) -> Difference:
    """How much higher a measure of one layer is than that of another, in the mean over seeds."""
    row = list(AUROC_TITLES).index(measure)
    values, drawn = [], []
    for sample in samples:
        layers = {layer.name: layer for layer in sample.layers}
        values.append(getattr(layers[better], measure)[0] - getattr(layers[other], measure)[0])
        drawn.append(layers[better].drawn[row].astype(float) - layers[other].drawn[row].astype(float))
    return from_draws(mean_over_seeds(drawn), value=float(np.mean(values)))


def _samples(
    sweep: SweepFolder,
) -> tuple[dict[str, dict[str, list[PatchSample]]], list[tuple[str, Path, str]]]:
    """Setting -> category -> the samples of its seeds; and (setting, folder, category) of the first ones."""
    found: dict[str, dict[str, list[PatchSample]]] = {}
    places: list[tuple[str, Path, str]] = []
    for setting in settings_of(load_results(sweep.finished).own, sweep.varied):
        for where, tests in setting.tests.items():
            read = [(test, read_patch_sample(test.folder.path, category=test.category)) for test in tests]
            kept = [(test, sample) for test, sample in read if sample is not None]
            if kept:
                found.setdefault(setting.name, {})[where] = [sample for _, sample in kept]
                places.append((setting.name, kept[0][0].folder.path, kept[0][0].category))
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
