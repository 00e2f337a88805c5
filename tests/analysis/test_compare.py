"""Which runs are one setting, and what two settings differ by on the same images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adframe.analysis.compare import all_pairs, compare_settings, find_comparison
from adframe.analysis.settings import Setting, mean_over_seeds, settings_of
from adframe.results.frame import load_results
from adframe.results.sweep_folder import SweepFolder, SweepRun
from adframe.stats.intervals import Measured, Units
from adframe.stats.significance import holm
from tests.fakes.study_runs import sweep_run

AUROC = "image/auroc"
BOTH = {"bolt": 1.0, "tray": 2.0}


def grouped(*runs: SweepRun) -> list[Setting]:
    return settings_of(load_results(runs), SweepFolder(Path(), runs, command="").varied)


def test_seeds_and_classes_make_no_settings_and_names_hold_only_what_varies() -> None:
    found = grouped(
        sweep_run(0, {"a.x": "1", "b": "k", "seed": "0", "category": "bolt"}, skills={"bolt": 1.0}, seed=0),
        sweep_run(1, {"a.x": "1", "b": "k", "seed": "1", "category": "bolt"}, skills={"bolt": 1.0}, seed=1),
        sweep_run(2, {"a.x": "1", "b": "k", "seed": "0", "category": "tray"}, skills={"tray": 1.0}, seed=0),
        sweep_run(3, {"a.x": "2", "b": "k", "seed": "0", "category": "bolt"}, skills={"bolt": 1.0}, seed=0),
    )
    assert [(each.name, each.overrides) for each in found] == [("1", {"a.x": "1"}), ("2", {"a.x": "2"})]
    assert {where: len(cells) for where, cells in found[0].tests.items()} == {"bolt": 2, "tray": 1}


def test_equal_categories_of_two_datasets_are_two_classes() -> None:
    (one,) = grouped(
        sweep_run(0, {"dataset": "p"}, skills={"bolt": 1.0}),
        sweep_run(1, {"dataset": "q"}, skills={"bolt": 1.0}),
    )
    assert list(one.tests) == ["p/bolt", "q/bolt"]


def test_a_mean_over_classes_is_that_of_the_run_and_its_interval_too() -> None:
    run = sweep_run(0, {}, skills=BOTH)
    (one,) = grouped(run)
    assert run.folder is not None
    found = one.estimate(AUROC, ["bolt", "tray"])
    assert found.value == pytest.approx(run.folder.test["mean"][AUROC])
    assert (found.low, found.high) == pytest.approx(run.folder.intervals["mean"][AUROC])


def test_several_seeds_do_not_narrow_what_the_images_leave_open() -> None:
    rng = np.random.default_rng(0)
    seeds = [Measured(AUROC, 0.8, 0.8 + rng.normal(size=1000) / 20, Units(40, 40)) for _ in range(5)]
    apart = mean_over_seeds(seeds, paired=False)
    assert np.std(apart.drawn) == pytest.approx(1 / 20, rel=0.05)
    assert np.std(mean_over_seeds(seeds, paired=True).drawn) < 0.6 / 20


def test_seeds_that_differ_widen_the_interval() -> None:
    alike, different = (
        grouped(
            *(
                sweep_run(seed, {"seed": str(seed)}, skills={"bolt": skill}, seed=seed)
                for seed, skill in enumerate(skills)
            )
        )[0].estimate(AUROC)
        for skills in ((1.0, 1.0, 1.0), (0.2, 1.0, 1.8))
    )
    assert different.spread > 2 * alike.spread
    assert different.high - different.low > 1.3 * (alike.high - alike.low)


def test_differences_are_paired_on_the_same_images_and_seed_only() -> None:
    a = sweep_run(0, {"x": "1"}, skills=BOTH)
    same, other_images, other_seed = (
        sweep_run(1, {"x": "2"}, skills=BOTH),
        sweep_run(1, {"x": "2"}, skills=BOTH, images="elsewhere"),
        sweep_run(1, {"x": "2"}, skills=BOTH, seed=7),
    )
    found = [
        compare_settings([tuple(grouped(a, b))], metrics=[AUROC], over={"bolt": ["bolt"]})[0]  # type: ignore[list-item]
        for b in (same, other_images, other_seed)
    ]
    assert [one.paired for one in found] == [True, False, False]
    widths = [one.difference.reach for one in found]
    assert widths[0] < 0.8 * min(widths[1:])


def test_comparisons_are_corrected_together_and_turn_with_their_sides() -> None:
    runs = [
        sweep_run(place, {"x": str(place)}, skills={"bolt": skill}) for place, skill in enumerate((0, 1, 4))
    ]
    found = compare_settings(all_pairs(grouped(*runs)), metrics=[AUROC], over={"mean": ["bolt"]})
    assert [one.adjusted for one in found] == holm([one.difference.p for one in found])
    there, back = (
        find_comparison(found, *pair, metric=AUROC, where="mean") for pair in (("0", "2"), ("2", "0"))
    )
    assert there is not None
    assert back is not None
    assert (there.difference.value, there.difference.low) == (-back.difference.value, -back.difference.high)
    assert there.significant
    assert there.difference.value > 0


def test_an_interval_excludes_zero_exactly_where_the_difference_is_significant() -> None:
    runs = [
        sweep_run(place, {"x": str(place)}, skills={"bolt": skill})
        for place, skill in enumerate((0, 0.4, 0.8, 1.2, 1.6, 2))
    ]
    found = compare_settings(all_pairs(grouped(*runs)), metrics=[AUROC], over={"mean": ["bolt"]})
    assert 0 < sum(one.significant for one in found) < len(found)
    for one in found:
        crosses = one.difference.low < 0 < one.difference.high
        assert one.significant == (not crosses)
        assert one.detectable > one.difference.reach


def test_a_difference_that_turns_with_the_seed_is_not_shown() -> None:
    runs = [
        sweep_run(0, {"x": "1", "seed": "0"}, skills={"bolt": 0.0}, seed=0),
        sweep_run(1, {"x": "1", "seed": "1"}, skills={"bolt": 1.2}, seed=1),
        sweep_run(2, {"x": "2", "seed": "0"}, skills={"bolt": 5.0}, seed=0),
        sweep_run(3, {"x": "2", "seed": "1"}, skills={"bolt": 1.0}, seed=1),
    ]
    (one,) = compare_settings(all_pairs(grouped(*runs)), metrics=[AUROC], over={"mean": ["bolt"]})
    assert one.difference.value > 0.1
    assert not one.significant


def test_runs_that_drew_another_number_of_resamples_are_compared_as_independent() -> None:
    a, b = sweep_run(0, {"x": "1"}, skills=BOTH), sweep_run(1, {"x": "2"}, skills=BOTH)
    assert b.folder is not None
    b.folder._draws = {
        name: {metric: each[:200] for metric, each in draws.items()}
        for name, draws in b.folder._draws.items()
    }
    (one,) = compare_settings(all_pairs(grouped(a, b)), metrics=[AUROC], over={"mean": ["bolt", "tray"]})
    assert not one.paired
    assert one.difference.low < one.difference.value < one.difference.high
