"""How often two equal methods come out as different: no more often than the level says."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from adframe.analysis.compare import ALPHA, Comparison, all_pairs, compare_settings
from adframe.analysis.settings import settings_of
from adframe.results.frame import load_results
from adframe.results.names import MEAN
from adframe.results.run_folder import RunFolder
from adframe.results.sweep_folder import SweepFolder, SweepRun
from adframe.stats.bootstrap import multiplicities
from adframe.stats.significance import delong

AUROC = "image/auroc"
CLASSES = ("bolt", "tray")
SWEEPS = 200
LABELS = np.repeat([False, True], 40)
ROWS = tuple(
    {"category": name, "path": f"{n:02}", "label": int(label)}
    | dict.fromkeys(("subset", "condition", "group"), "")
    for name in CLASSES
    for n, label in enumerate(LABELS)
)
# The level and three standard errors of so many simulations.
MOST = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / SWEEPS)


def auroc(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(resamples,) from its definition: the share of pairs that are in order."""
    wins = (scores[LABELS][:, None] > scores[~LABELS]).astype(float)
    counts = weights.astype(float)
    pairs = ((counts[:, LABELS] @ wins) * counts[:, ~LABELS]).sum(1)
    return np.asarray(pairs / (counts[:, LABELS].sum(1) * counts[:, ~LABELS].sum(1)))


def simulated(
    rng: np.random.Generator, *, better: float, seeds: int
) -> tuple[list[SweepRun], dict[str, np.ndarray]]:
    """Two methods on new images of two classes, and their scores of the first class with the first seed.

    A score is what the image is like, which both methods see, and an error of each method and seed.
    """
    shared = {name: rng.normal(size=len(LABELS)) for name in CLASSES}
    found, first = [], {}
    for method, skill in (("a", 1.2), ("b", 1.2 + better)):
        for seed in range(seeds):
            test, drawn = {}, {}
            for place, name in enumerate(CLASSES):
                scores = shared[name] + rng.normal(scale=0.7, size=len(LABELS)) + skill * LABELS
                weights = resamples(seed=seed, place=place)
                test[name] = {AUROC: float(auroc(scores, np.ones((1, len(LABELS))))[0])}
                drawn[name] = {AUROC: auroc(scores, weights)}
                first.setdefault(method, scores)
            run = RunFolder(Path())
            run.metrics, run.config, run.rows = {"test": test, "val": {}}, {"seed": seed}, list(ROWS)
            run._draws = drawn
            found.append(SweepRun(str(len(found)), {"model": method, "seed": str(seed)}, run))
    return found, first


@cache
def resamples(*, seed: int, place: int) -> np.ndarray:
    """Those of one seed and class, which all runs share."""
    strata, paths = LABELS.astype(str), np.arange(len(LABELS)).astype(str)
    groups = [""] * len(LABELS)
    return multiplicities(strata, groups=groups, values=(paths,), resamples=500, seed=(seed, place))


def compared(runs: list[SweepRun]) -> list[Comparison]:
    settings = settings_of(load_results(runs), SweepFolder(Path(), tuple(runs), command="").varied)
    over = {MEAN: list(CLASSES), **{name: [name] for name in CLASSES}}
    return compare_settings(all_pairs(settings), metrics=[AUROC], over=over)


def shares(*, better: float, seeds: int) -> dict[str, float]:
    """How often each way of comparing two methods says that they differ."""
    rng = np.random.default_rng(7)
    said: dict[str, list[bool]] = {"compare": [], "delong": []}
    for _ in range(SWEEPS):
        runs, scores = simulated(rng, better=better, seeds=seeds)
        found = compared(runs)
        assert len(found) == 1 + len(CLASSES)
        said["compare"].append(any(one.significant for one in found))
        said["delong"].append(delong(scores["a"], scores["b"], labels=LABELS)[1] < ALPHA)
    return {way: float(np.mean(each)) for way, each in said.items()}


@pytest.mark.parametrize("seeds", [1, 2])
def test_equal_methods_rarely_come_out_as_different(seeds: int) -> None:
    """Over a whole family of questions, which Holm's correction is for; DeLong's test is asked once."""
    assert all(share <= MOST for share in shares(better=0.0, seeds=seeds).values())


def test_a_method_that_is_better_mostly_comes_out_as_such() -> None:
    """Else never saying anything would pass the test above."""
    assert all(share > 0.9 for share in shares(better=1.5, seeds=1).values())
