"""Writes the page on features: patches as points, the AUROC of every layer, attention rollout."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from adframe.analysis.compare import compare_together, is_significant
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
from adframe.results.patch_samples import PatchSample, measured_auroc, read_patch_sample
from adframe.results.sweep_folder import SweepFolder
from adframe.stats.intervals import DifferenceOf, Measured, interval_of

NOTES = (
    "Layers are ranked on test images. Reporting the ranking is correct, but if you choose a layer by this "
    "page, you choose it on test data.",
    "Embeddings show neighbourhoods only: distances between clusters, their sizes and their number depend on "
    "the settings of the method.",
    "An interval shows where a number could lie on other images of the same kind; it does not cover another "
    "sample of training patches.",
)
_SEVERAL_SEEDS = "Numbers are means over the seeds; planes, distances and attention maps show the first seed."
_LISTED_NAMES = 4  # categories in the title
SamplesBySeed = Mapping[str, Mapping[str, Sequence[PatchSample]]]  # setting -> category -> one per seed
MeanSamples = Mapping[str, Mapping[str, PatchSample]]  # setting -> category -> their mean over seeds


class FeatureStudy:
    """The study of runs that stored patches (`callbacks.patches.count` above 0).

    Args:
        seed: seed of the planes and of the random halves of a category.

    Example:
        >>> from adframe.results.sweep_folder import read_sweep
        >>> FeatureStudy(seed=0).write(read_sweep(Path("multirun/features")))  # doctest: +SKIP
        PosixPath('multirun/features/study.html')
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def write(self, sweep: SweepFolder) -> Path | None:
        """Writes `study.html`, its figures and tables into the sweep's folder.

        Args:
            sweep: a finished sweep.

        Returns:
            The path of the page; None where no run has stored patches.

        Raises:
            AdframeError: a file cannot be read or written.
        """
        by_seed, first_seeds = _read_samples(sweep)
        if not by_seed:
            return None
        findings = layer_findings(by_seed)
        samples = {
            name: {category: mean_of_seeds(own) for category, own in of_setting.items()}
            for name, of_setting in by_seed.items()
        }
        several = any(len(own) > 1 for of_setting in by_seed.values() for own in of_setting.values())
        sections = [layers_section(samples), planes_section(samples, seed=self.seed)]
        for number, (name, of_setting) in enumerate(samples.items()):
            if len(of_setting) > 1 and shared_layers(of_setting):
                distances = layer_distances(of_setting, seed=self.seed)
                sections.append(drift_section(distances, variant=name, number=number))
        attention = attention_section(first_seeds)
        study = Page(
            title=_features_title(findings, samples),
            question="How well do the network's features separate defects, layer by layer, category by "
            "category?",
            findings=findings or ["No layer differs significantly from another of its network."],
            facts=_features_facts(sweep, samples),
            sections=[*sections, *([attention] if attention else [])],
            command=sweep.command,
            links=LEADERBOARD,
            notes=(*NOTES, _SEVERAL_SEEDS) if several else NOTES,
        )
        return write_document(sweep.path, study)


def layer_findings(samples: SamplesBySeed) -> list[str]:
    """Writes which layer separates best, where all others of its network are significantly worse.

    All layers are tested on the same images, so differences are computed resample by resample; p values are
    corrected for all pairs of the study (Holm). Layers are compared within a network only, seed by seed.

    Args:
        samples: setting -> category -> its samples, one per seed.

    Returns:
        One sentence per category, setting and measure in which one layer leads.
    """
    means = {
        (measure, f"{category}, {name}" if len(samples) > 1 else category): (mean_of_seeds(own), own)
        for measure in AUROC_TITLES
        for name, of_setting in samples.items()
        for category, own in of_setting.items()
    }
    pairs = [
        (measure, where, better, other)
        for (measure, where), (mean, _) in means.items()
        for better, other in itertools.permutations(mean.layers, 2)
        if getattr(better, measure)[0] > getattr(other, measure)[0]
    ]
    compared = compare_together(
        [
            DifferenceOf(
                _measured_layer(means[measure, where][1], measure, other.name),
                _measured_layer(means[measure, where][1], measure, better.name),
                paired=True,
            )
            for measure, where, better, other in pairs
        ]
    )
    significant = {
        (measure, where, better.name, other.name): difference
        for (measure, where, better, other), (difference, p) in zip(pairs, compared, strict=True)
        if is_significant(p)
    }
    found = []
    for measure, where in dict.fromkeys(pair[:2] for pair in pairs):
        layers = means[measure, where][0].layers
        # NaN would win every comparison of `max`, so an unknown AUROC counts as the lowest.
        best = max(layers, key=lambda layer: np.nan_to_num(getattr(layer, measure)[0], nan=-1))
        others = [
            layer.name for layer in layers if layer is not best and np.isfinite(getattr(layer, measure)[0])
        ]
        if all((measure, where, best.name, name) in significant for name in others):
            by_layer = {name: significant[measure, where, best.name, name] for name in others}
            second, difference = min(by_layer.items(), key=lambda item: item[1].value)
            found.append(
                f"{where}: {best.name} alone has the highest {AUROC_TITLES[measure]}, "
                f"{hundredths(getattr(best, measure)[0])}; the next layer, {second}, is lower by "
                f"{amount(difference)}."
            )
    return found


def mean_of_seeds(samples: Sequence[PatchSample]) -> PatchSample:
    """Averages the AUROCs of several seeds, and their bootstrap draws.

    Args:
        samples: the samples of one category and network, one per seed.

    Returns:
        The first sample, with the AUROCs and draws of each layer averaged over the seeds.
    """
    first = samples[0]
    if len(samples) == 1:
        return first
    layers = []
    for layer in first.layers:
        image, patch = (_measured_layer(samples, measure, layer.name) for measure in AUROC_TITLES)
        layers.append(
            replace(
                layer,
                image_auroc=(image.value, *interval_of(image)),
                patch_auroc=(patch.value, *interval_of(patch)),
                drawn=np.stack([image.drawn, patch.drawn]),
            )
        )
    return replace(first, layers=tuple(layers))


def _measured_layer(samples: Sequence[PatchSample], measure: str, name: str) -> Measured:
    """Returns the AUROC of a layer with its draws, in the mean over seeds."""
    row = list(AUROC_TITLES).index(measure)
    found = []
    for sample in samples:
        layer = next(each for each in sample.layers if each.name == name)
        found.append(measured_auroc(measure, getattr(layer, measure)[0], layer.drawn[row], sample.units))
    return mean_over_seeds(found, paired=False)


def _read_samples(
    sweep: SweepFolder,
) -> tuple[dict[str, dict[str, list[PatchSample]]], list[tuple[str, Path, str]]]:
    """Reads the samples of every seed, and lists (setting, folder, category) of the first seeds."""
    found: dict[str, dict[str, list[PatchSample]]] = {}
    first_seeds: list[tuple[str, Path, str]] = []
    for setting in settings_of(load_results(sweep.finished).own, sweep.varied):
        for where, tests in setting.tests.items():
            read = [(test, read_patch_sample(test.folder.path, category=test.category)) for test in tests]
            stored = [(test, sample) for test, sample in read if sample is not None]
            if stored:
                found.setdefault(setting.name, {})[where] = [sample for _, sample in stored]
                first_seeds.append((setting.name, stored[0][0].folder.path, stored[0][0].category))
    return found, first_seeds


def _features_title(findings: Sequence[str], samples: MeanSamples) -> str:
    categories = list(dict.fromkeys(name for of_setting in samples.values() for name in of_setting))
    others = " and others" if len(categories) > _LISTED_NAMES else ""
    names = f"{', '.join(categories[:_LISTED_NAMES])}{others}"
    if not findings:
        return f"Features of {names}: no layer leads significantly"
    cases = len(AUROC_TITLES) * sum(map(len, samples.values()))
    return f"Features of {names}: one layer leads significantly in {len(findings)} of {cases} comparisons"


def _features_facts(sweep: SweepFolder, samples: MeanSamples) -> list[tuple[str, str]]:
    every = [sample for of_setting in samples.values() for sample in of_setting.values()]
    by_name: dict[str, PatchSample] = {}  # the first setting's sample of each category
    for of_setting in samples.values():
        by_name = dict(of_setting) | by_name
    failed = len(sweep.failed)
    return [
        ("runs", f"{len(sweep.finished)}{f', {failed} failed' if failed else ''}"),
        ("networks", ", ".join(dict.fromkeys(sample.backbone for sample in every))),
        ("test images", ", ".join(f"{each.category} {each.tested}" for each in by_name.values())),
        ("patches", f"{sum(len(layer.features) for each in every for layer in each.layers)} stored"),
        ("time of both passes", f"{sum(sample.seconds for sample in every):.0f} s"),
    ]
