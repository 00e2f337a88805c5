"""Which runs are one setting, and what two settings differ by on the same images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adframe.analysis.studies import pairwise as comparing
from adframe.analysis.studies.pairwise import between, contrasts
from adframe.analysis.studies.settings import Variant, gain_draws, mean_together, measured, variants_of
from adframe.analysis.studies.sweep_runs import Reading
from adframe.results.sweep_folder import Sweep
from adframe.stats.significance import holm
from tests.fakes.study_runs import reading

AUROC = "image/auroc"
BOTH = {"bolt": 1.0, "tray": 2.0}


def grouped(*runs: Reading) -> list[Variant]:
    return variants_of(Sweep(Path(), tuple(run.entry for run in runs), command=""), runs)


def test_seeds_and_classes_make_no_settings_and_names_hold_only_what_varies() -> None:
    found = grouped(
        reading(0, {"a.x": "1", "b": "k", "seed": "0", "category": "bolt"}, skills={"bolt": 1.0}, seed=0),
        reading(1, {"a.x": "1", "b": "k", "seed": "1", "category": "bolt"}, skills={"bolt": 1.0}, seed=1),
        reading(2, {"a.x": "1", "b": "k", "seed": "0", "category": "tray"}, skills={"tray": 1.0}, seed=0),
        reading(3, {"a.x": "2", "b": "k", "seed": "0", "category": "bolt"}, skills={"bolt": 1.0}, seed=0),
    )
    assert [(each.name, each.told) for each in found] == [("1", {"a.x": "1"}), ("2", {"a.x": "2"})]
    assert {where: len(cells) for where, cells in found[0].cells.items()} == {"bolt": 2, "tray": 1}


def test_equal_categories_of_two_datasets_are_two_classes() -> None:
    (one,) = grouped(
        reading(0, {"dataset": "p"}, skills={"bolt": 1.0}), reading(1, {"dataset": "q"}, skills={"bolt": 1.0})
    )
    assert list(one.cells) == ["p/bolt", "q/bolt"]


def test_a_mean_over_classes_is_that_of_the_run_and_its_interval_too() -> None:
    run = reading(0, {}, skills=BOTH)
    (one,) = grouped(run)
    found = measured(one, "mean", AUROC, classes=["bolt", "tray"])
    assert found is not None
    assert found.value == pytest.approx(run.run.test["mean"][AUROC])
    drawn = np.mean([run.drawn["bolt"][AUROC], run.drawn["tray"][AUROC]], axis=0)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(drawn, (2.5, 97.5))), abs=1e-3)


def test_several_seeds_do_not_narrow_what_the_images_leave_open() -> None:
    rng = np.random.default_rng(0)
    seeds = [rng.normal(size=1000) for _ in range(5)]
    assert np.std(mean_together(seeds)) == pytest.approx(1, abs=0.05)
    assert np.std(np.mean(seeds, axis=0)) < 0.5
    assert np.array_equal(np.argsort(mean_together(seeds)), np.argsort(seeds[0]))


def test_differences_are_paired_on_the_same_images_and_seed_only() -> None:
    a = reading(0, {"x": "1"}, skills=BOTH)
    same, other_images, other_seed = (
        reading(1, {"x": "2"}, skills=BOTH),
        reading(1, {"x": "2"}, skills=BOTH, images="elsewhere"),
        reading(1, {"x": "2"}, skills=BOTH, seed=7),
    )
    found = [gain_draws(*grouped(a, b), "bolt", AUROC) for b in (same, other_images, other_seed)]
    assert [each is not None and each[2] for each in found] == [True, False, False]
    widths = [float(np.std(each[0])) for each in found if each]
    assert widths[0] < 0.8 * min(widths[1:])


def test_contrasts_are_corrected_together_and_turn_with_their_sides() -> None:
    runs = [
        reading(place, {"x": str(place)}, skills={"bolt": skill}) for place, skill in enumerate((0, 1, 4))
    ]
    found = contrasts(grouped(*runs), wheres=["mean"], metrics=[AUROC], classes=["bolt"])
    assert [one.holm for one in found] == holm([one.more.p for one in found])
    there, back = (between(found, *pair, metric=AUROC, where="mean") for pair in (("0", "2"), ("2", "0")))
    assert there is not None
    assert back is not None
    assert (there.more.value, there.more.low) == (-back.more.value, -back.more.high)
    assert there.shown
    assert there.more.value > 0


def test_p_goes_below_the_draws_floor_only_where_none_lies_beyond_zero() -> None:
    rng = np.random.default_rng(0)
    sure = comparing.tested(rng.normal(6, 1, 1000), value=6.0)
    assert 0 < sure.p < 1e-6
    weak = comparing.tested(rng.normal(1, 1, 1000), value=1.0)
    assert 0.1 < weak.p < 0.5
    assert comparing.tested(np.zeros(1000), value=0.0).p == 1


def test_a_difference_that_turns_with_the_seed_is_not_shown() -> None:
    runs = [
        reading(0, {"x": "1", "seed": "0"}, skills={"bolt": 0.0}, seed=0),
        reading(1, {"x": "1", "seed": "1"}, skills={"bolt": 1.2}, seed=1),
        reading(2, {"x": "2", "seed": "0"}, skills={"bolt": 5.0}, seed=0),
        reading(3, {"x": "2", "seed": "1"}, skills={"bolt": 1.0}, seed=1),
    ]
    (one,) = contrasts(grouped(*runs), wheres=["mean"], metrics=[AUROC], classes=["bolt"])
    assert one.more.value > 0.1
    assert not one.steady
    assert not one.shown
