"""How often the pages call two equal methods different, and how often they find a true difference.

    python -m benchmarks.levels                    # 500 sweeps a claim, some minutes
    python -m benchmarks.levels --sweeps 100 --csv levels.csv

Each row is one kind of claim that a page can make. A sweep is simulated with equal methods, and all
comparisons that the page corrects together (the family) are made by the page's own code. The share of sweeps
in which any of them is significant must not exceed 5 %. Beside it stands the power: the same with one method
better by the stated difference, and the share of sweeps in which that difference is found.

Two methods share what is difficult about an image, and differ in an error of their own. With several seeds
each seed of a method has an error that its images share. Parts with several images have an error in common.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import stats

from adframe.analysis.compare import (
    ALPHA,
    all_pairs,
    compare_settings,
    compare_together,
    is_significant,
)
from adframe.analysis.compared_runs import ComparedRun
from adframe.analysis.comparison_table import lines_of
from adframe.analysis.questions import answer_question, correct_answers
from adframe.analysis.settings import Setting, by_category
from adframe.metrics.resampled import image_resampled
from adframe.results.frame import OWN, TestResult
from adframe.results.names import MEAN
from adframe.results.patch_samples import measured_auroc
from adframe.results.run_folder import RunFolder
from adframe.stats.binned import bin_differences, by_bin
from adframe.stats.bootstrap import RESAMPLING_SEED
from adframe.stats.intervals import DifferenceOf, Measured, Units
from adframe.stats.proportions import excess_alarms_p, fisher, mcnemar
from adframe.stats.significance import holm, wilcoxon
from adframe.stats.weighted_metrics import weighted_metrics
from benchmarks.simulation.common import draw_weights

RESAMPLES = 300
METRICS = ("image/auroc", "image/ap", "image/f1_max")
DECISIONS = ("image/recall", "image/fpr", "image/f1", "image/balanced_accuracy")
Row = dict[str, Any]
Sweep = Callable[[np.random.Generator, float], bool]  # (rng, how much better) -> anything significant


@dataclass(frozen=True, slots=True)
class Category:
    """The law of the images of one category.

    Attributes:
        name: its name.
        normal: number of normal images.
        anomalous: number of anomalous images.
        skill: distance of the anomalous scores from the normal ones, in standard deviations.
        images_per_part: images that show one part and share an error.
    """

    name: str
    normal: int
    anomalous: int
    skill: float
    images_per_part: int = 1


CATEGORIES = (
    Category("bolt", 40, 80, 1.2),  # image AUROC of about 0.80
    Category("tray", 20, 40, 2.2),  # 0.94
    Category("weave", 60, 120, 1.4, images_per_part=3),  # 0.84
)
SMALL = (Category("few", 4, 8, 1.5), Category("near", 12, 30, 3.5))  # 0.86 of 12 images, and 0.993


def labels_of(category: Category) -> np.ndarray:
    """(n,) bool, normal images first."""
    return np.arange(category.normal + category.anomalous) >= category.normal


def draw_difficulty(category: Category, rng: np.random.Generator) -> np.ndarray:
    """What every method sees of each image, with the error that the images of a part share."""
    count = category.normal + category.anomalous
    parts = rng.normal(size=count)[np.arange(count) // category.images_per_part]
    own = rng.normal(size=count)
    if category.images_per_part == 1:
        return own
    return np.sqrt(0.4) * parts + np.sqrt(0.6) * own


def scores_of(
    category: Category, difficulty: np.ndarray, rng: np.random.Generator, *, skill: float
) -> np.ndarray:
    """The scores of one method and seed: half of the variance is the image's, half the method's own."""
    own = rng.normal(size=len(difficulty))
    return np.sqrt(0.5) * difficulty + np.sqrt(0.5) * own + skill * labels_of(category)


def rows_of(category: Category, scores: np.ndarray, *, threshold: float) -> list[Row]:
    """Prediction rows, as a run stores them."""
    return [
        {
            "category": category.name,
            "path": f"{number:03}.png",
            "label": int(label),
            "subset": "anomaly" if label else "good",
            "condition": "",
            "group": f"{label} {number // category.images_per_part}" if category.images_per_part > 1 else "",
            "score": float(score),
            "threshold": threshold,
            "decision": bool(score > threshold),
        }
        for number, (score, label) in enumerate(zip(scores, labels_of(category), strict=True))
    ]


def test_result(rows_by_category: dict[str, list[Row]], category: str, *, run: str, seed: int) -> TestResult:
    """A test as a study reads it, with values and draws of these rows."""
    rows = rows_by_category[category]
    folder = RunFolder(Path(run))
    scores, labels = np.array([row["score"] for row in rows]), [row["label"] for row in rows]
    truth = np.array(labels, bool)
    once = np.ones((1, len(rows)), np.uint16)
    threshold = rows[0]["threshold"]
    values = weighted_metrics(scores, labels=truth, weights=once, threshold=threshold)
    drawn = image_resampled(
        scores=scores,
        labels=labels,
        subsets=[row["subset"] for row in rows],
        groups=[row["group"] for row in rows],
        paths=[row["path"] for row in rows],
        threshold=threshold,
        resamples=RESAMPLES,
        seed=RESAMPLING_SEED + len(category),
    )
    folder.metrics = {
        "test": {category: {name: float(each[0]) for name, each in values.items()}},
        "val": {},
        "resampling_seeds": {category: RESAMPLING_SEED},
    }
    folder.rows = rows
    folder._draws = {category: drawn}
    return TestResult(run, folder, category, category, "", OWN, {}, {}, seed=seed)


def settings(
    rng: np.random.Generator,
    better: float,
    *,
    methods: int = 3,
    seeds: int = 1,
    categories: Sequence[Category] = CATEGORIES[:2],
    seed_deviation: float = 0.0,
) -> list[Setting]:
    """Settings on the same images; the last one is better by `better` standard deviations."""
    difficulty = {each.name: draw_difficulty(each, rng) for each in categories}
    found = []
    for method in range(methods):
        tests = []
        for seed in range(seeds):
            luck = rng.normal() * seed_deviation
            rows = {
                each.name: rows_of(
                    each,
                    scores_of(
                        each,
                        difficulty[each.name],
                        rng,
                        skill=each.skill + luck + better * (method == methods - 1),
                    ),
                    threshold=1.3,
                )
                for each in categories
            }
            tests += [test_result(rows, name, run=f"{method}.{seed}", seed=seed) for name in rows]
        found.append(Setting(str(method), {}, by_category(tests)))
    return found


def ablation_means(
    rng: np.random.Generator,
    better: float,
    *,
    seeds: int = 1,
    deviation: float = 0.0,
    metrics: Sequence[str] = METRICS,
    chosen: Sequence[Category] = CATEGORIES[:2],
) -> bool:
    """The pairs of the ablation page in the mean over categories, of several metrics."""
    own = settings(rng, better, seeds=seeds, seed_deviation=deviation, categories=chosen)
    over = {MEAN: [each.name for each in chosen]}
    return any(each.significant for each in compare_settings(all_pairs(own), metrics=metrics, over=over))


def ablation_categories(rng: np.random.Generator, better: float) -> bool:
    """The pairs of the ablation page within each category."""
    over = {each.name: [each.name] for each in CATEGORIES}
    own = settings(rng, better, categories=CATEGORIES)
    return any(each.significant for each in compare_settings(all_pairs(own), metrics=METRICS[:1], over=over))


def question_page(rng: np.random.Generator, better: float, *, metric: str) -> bool:
    """One question about four subjects, as on the pages of shifts, transfers and the global model."""
    answers = []
    for subject in range(4):
        before, after = settings(rng, better, methods=2)
        answers.append(
            answer_question(f"{subject}", "lost", before, after, metric=metric, categories=["bolt", "tray"])
        )
    return any(each.significant for each in correct_answers(answers))


def comparison_page(rng: np.random.Generator, better: float) -> bool:
    """The table of `evaluate.py compare=`: three runs in three categories and in their mean."""
    own = settings(rng, better, categories=CATEGORIES)
    runs = []
    for setting in own:
        rows = [row for test in setting.all_tests for row in test.folder.rows]
        images = {(row["category"], row["path"]): row for row in rows}
        runs.append(ComparedRun(setting.name, setting.all_tests[0].folder, images))
    return any(line.comparison is not None and line.comparison.significant for line in lines_of(runs))


def wilcoxon_across(rng: np.random.Generator, better: float) -> bool:
    """Wilcoxon's test of two runs across eight categories."""
    categories = [Category(f"c{number}", 20, 40, 1 + 0.3 * number) for number in range(8)]
    first, second = settings(rng, better, methods=2, categories=categories)
    values = [[each.estimate("image/auroc", [name]).value for name in each.tests] for each in (first, second)]
    return is_significant(holm([wilcoxon(*values)])[0])


def defect_bins(rng: np.random.Generator, better: float) -> bool:
    """Recall and AUROC of large and of small defects, in three categories."""
    numbers: list[DifferenceOf | None] = []
    for category in CATEGORIES:
        labels = labels_of(category)
        place = np.where(labels, rng.integers(3, size=len(labels)), -1)
        scores = scores_of(category, draw_difficulty(category, rng), rng, skill=category.skill)
        scores = scores + better * (place == 2)
        rows = rows_of(category, scores, threshold=1.3)
        bins = by_bin(
            scores,
            labels=labels,
            decisions=scores > 1.3,
            bins=place,
            groups=[row["group"] for row in rows],
            paths=[row["path"] for row in rows],
            resamples=RESAMPLES,
            seed=(RESAMPLING_SEED,),
        )
        numbers += bin_differences(bins[0], bins[-1]) or (None, None)
    return any(is_significant(p) for _, p in compare_together(numbers))


def threshold_rules(rng: np.random.Generator, better: float) -> bool:
    """F1 of four rules, each compared with that of the run's own threshold.

    Without a true difference all decide equally well, but on other images: each has an error of its own.
    """
    category = CATEGORIES[0]
    labels = labels_of(category)
    scores = scores_of(category, draw_difficulty(category, rng), rng, skill=category.skill)
    weights = draw_weights(labels, np.arange(len(labels)), rng, resamples=RESAMPLES)

    def f1_of(called: np.ndarray) -> Measured:
        found = weighted_metrics(
            called.astype(float),
            labels=labels,
            weights=weights,
            threshold=0.5,
        )["image/f1"]
        return Measured("image/f1", float(found[0]), found[1:], Units(category.normal, category.anomalous))

    own = f1_of(scores + 0.7 * rng.normal(size=len(labels)) > 0.9)
    others = [f1_of(scores + better * labels + 0.7 * rng.normal(size=len(labels)) > 0.9) for _ in range(4)]
    compared = compare_together([DifferenceOf(own, each, paired=True) for each in others])
    return any(is_significant(p) for _, p in compared)


def feature_layers(rng: np.random.Generator, better: float) -> bool:
    """Every pair of three layers by the AUROC of images, in two categories."""
    numbers = []
    for category in CATEGORIES[:2]:
        labels = labels_of(category)
        weights = draw_weights(labels, np.arange(len(labels)), rng, resamples=RESAMPLES)
        difficulty = draw_difficulty(category, rng)
        layers = []
        for layer in range(3):
            skill = category.skill + better * (layer == 2)
            found = weighted_metrics(
                scores_of(category, difficulty, rng, skill=skill),
                labels=labels,
                weights=weights,
            )["image/auroc"]
            units = Units(category.normal, category.anomalous)
            layers.append(measured_auroc("image_auroc", float(found[0]), found[1:], units))
        numbers += [
            DifferenceOf(layers[a], layers[b], paired=True) for a in range(3) for b in range(3) if a != b
        ]
    return any(is_significant(p) for _, p in compare_together(numbers))


def defect_types(rng: np.random.Generator, better: float) -> bool:
    """Recall of each of five types of defect compared with that of the others (Fisher's exact test)."""
    types = rng.integers(5, size=60)
    chance = np.clip(0.7 - better * (types == 0), 0, 1)
    found = rng.random(60) < chance
    p_values = [
        fisher(
            (int(found[types == kind].sum()), int((types == kind).sum())),
            (int(found[types != kind].sum()), int((types != kind).sum())),
        )
        for kind in range(5)
    ]
    return any(is_significant(p) for p in holm(p_values))


def agreement(rng: np.random.Generator, better: float) -> bool:
    """Three runs that are equally often right as a first one, on 60 images (McNemar's exact test)."""
    image = rng.normal(size=60)
    right = [
        image + rng.normal(size=60) < stats.norm.ppf(0.8) * math.sqrt(2) + better * (run == 3)
        for run in range(4)
    ]
    p_values = [mcnemar(int((right[0] & ~each).sum()), int((~right[0] & each).sum())) for each in right[1:]]
    return any(is_significant(p) for p in holm(p_values))


def false_alarms(rng: np.random.Generator, better: float) -> bool:
    """False alarms on test images at the largest validation score, in three categories."""
    p_values = []
    for normal in (8, 20, 60):
        known, new = rng.normal(size=30), rng.normal(size=normal) + better
        p_values.append(excess_alarms_p((0, 30), (int((new > known.max()).sum()), normal)))
    return any(is_significant(p) for p in holm(p_values))


# claim, the sweep, and the difference at which the power is measured, with its description
CLAIMS: dict[str, tuple[Sweep, float, str]] = {
    "ablation, means, AUROC, AP and F1-max": (ablation_means, 1.0, "1 std"),
    "ablation, means, decisions": (
        lambda rng, better: ablation_means(rng, better, metrics=DECISIONS),
        1.0,
        "1 std",
    ),
    "ablation, parts of three images": (
        lambda rng, better: ablation_means(rng, better, chosen=CATEGORIES[2:]),
        1.0,
        "1 std",
    ),
    "ablation, few images and AUROC near 1": (
        lambda rng, better: ablation_means(rng, better, chosen=SMALL, metrics=(*METRICS, *DECISIONS)),
        2.0,
        "2 std",
    ),
    "ablation, means, 3 seeds that vary": (
        lambda rng, better: ablation_means(rng, better, seeds=3, deviation=0.3, metrics=METRICS[:1]),
        1.0,
        "1 std",
    ),
    "ablation, means, 2 seeds that vary": (
        lambda rng, better: ablation_means(rng, better, seeds=2, deviation=0.3, metrics=METRICS[:1]),
        1.0,
        "1 std",
    ),
    "ablation, categories": (ablation_categories, 1.0, "1 std"),
    "shift, transfer, global model: AUROC": (
        lambda rng, better: question_page(rng, better, metric="image/auroc"),
        1.0,
        "1 std",
    ),
    "shift: false-positive rate": (
        lambda rng, better: question_page(rng, better, metric="image/fpr"),
        math.nan,
        "",
    ),
    "shift: F1": (lambda rng, better: question_page(rng, better, metric="image/f1"), 1.0, "1 std"),
    "comparison page": (comparison_page, 1.0, "1 std"),
    "comparison page, Wilcoxon, 8 categories": (wilcoxon_across, 0.5, "0.5 std"),
    "errors: size and place of defects": (defect_bins, 1.5, "1.5 std"),
    "errors: rules for the threshold": (threshold_rules, 1.5, "1.5 std"),
    "errors: types of defect": (defect_types, 0.5, "50 points of recall"),
    "errors: agreement of runs": (agreement, 2.0, "80 to 98 % right"),
    "errors: false alarms": (false_alarms, 1.0, "1 std"),
    "features: layers": (feature_layers, 1.0, "1 std"),
}


def share_of_claims(sweep: Sweep, *, better: float, sweeps: int, seed: int) -> float:
    """How often a page makes the claim.

    Args:
        sweep: one of `CLAIMS`.
        better: the true difference; 0 for equal methods.
        sweeps: number of simulated sweeps.
        seed: seed of the simulation.

    Returns:
        The share of the sweeps in which any comparison of the family is significant.
    """
    rng = np.random.default_rng(seed)
    return sum(sweep(rng, better) for _ in range(sweeps)) / sweeps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sweeps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of a claim's name")
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    error = math.sqrt(ALPHA * (1 - ALPHA) / options.sweeps)
    table = Table(
        title=f"{options.sweeps} sweeps a claim; a share of {ALPHA:.0%} has a standard error of {error:.1%}"
    )
    for heading in ("claim", "false claims", "power", "true difference"):
        table.add_column(heading, justify="right" if heading in ("false claims", "power") else "left")
    rows = []
    for name, (sweep, better, what) in track(list(CLAIMS.items()), description="claims"):
        if options.only not in name:
            continue
        false, power = (
            math.nan
            if math.isnan(size)
            else share_of_claims(sweep, better=size, sweeps=options.sweeps, seed=options.seed)
            for size in (0.0, better)
        )
        rows.append((name, false, power, what))
        table.add_row(name, f"{false:.1%}", "" if math.isnan(power) else f"{power:.1%}", what)
    Console().print(table)
    if options.csv:
        with options.csv.open("w", newline="") as file:
            csv.writer(file).writerows([("claim", "false_claims", "power", "true_difference"), *rows])


if __name__ == "__main__":
    main()
