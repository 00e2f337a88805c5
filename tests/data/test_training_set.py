"""Few training images and defects among them: who is drawn, and what stays as it is."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from adframe.contracts import Record
from adframe.data.training_set import TrainingSet
from adframe.errors import AdframeError


def category(*, train: int = 20, val: int = 5, good: int = 6, bad: int = 10) -> list[Record]:
    """The records of a category with two defect types."""

    def image(split: str, defect: str, number: int) -> Record:
        label = int(defect != "good")
        path = Path(f"set/c/{split}/{defect}/{number:03}.png")
        masks = (Path(f"set/c/ground_truth/{defect}/{number:03}.png"),) if label else ()
        subset = "anomaly" if label else "good"
        return Record(path, "c", split, defect=defect, subset=subset, label=label, masks=masks)

    return [
        *(image("train", "good", n) for n in range(train)),
        *(image("val", "good", n) for n in range(val)),
        *(image("test", "good", n) for n in range(good)),
        *(image("test", defect, n) for defect in ("scratch", "dent") for n in range(bad)),
    ]


def chosen(records: list[Record], *, seed: int = 0, **settings: float) -> list[Record]:
    return TrainingSet(**settings).choose(records, seed=seed)[0]  # type: ignore[arg-type]


def paths(records: list[Record], split: str) -> set[str]:
    return {record.path.as_posix() for record in records if record.split == split}


def test_by_default_nothing_changes() -> None:
    records = category()
    assert TrainingSet().choose(records, seed=0) == (records, [])


def test_fewer_shots_are_a_part_of_more_and_all_else_stays() -> None:
    records = category()
    taken = [paths(chosen(records, shots=shots), "train") for shots in (1, 2, 4, 8)]
    assert [len(each) for each in taken] == [1, 2, 4, 8]
    assert all(few < more for few, more in pairwise(taken))
    others = [record for record in chosen(records, shots=1) if record.split != "train"]
    assert others == [record for record in records if record.split != "train"]


def test_shots_differ_by_seed_and_not_by_the_order_of_the_files() -> None:
    records = category()
    draws = {frozenset(paths(chosen(records, seed=seed, shots=2), "train")) for seed in range(10)}
    assert len(draws) > 5
    assert paths(chosen(records[::-1], shots=2), "train") == paths(chosen(records, shots=2), "train")


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_a_share_of_the_training_set_is_defective_without_a_label(share: float) -> None:
    records = category(train=36, bad=20)
    found = chosen(records, contamination=share)
    train = [record for record in found if record.split == "train"]
    defective = [record for record in train if "good" not in record.path.parts]
    assert len(defective) == round(36 * share / (1 - share))
    assert len(defective) / len(train) == pytest.approx(share, abs=0.5 / len(train))
    assert {(record.label, record.defect, record.subset, record.masks) for record in train} == {
        (0, "good", "good", ())
    }
    assert not paths(found, "train") & paths(found, "test")


def test_every_share_and_seed_tests_the_same_images_and_half_of_each_defect_type() -> None:
    records = category(train=36, bad=21)
    tested = [
        [record for record in chosen(records, seed=seed, contamination=share) if record.split == "test"]
        for share in (0.0, 0.1, 0.2)
        for seed in (0, 1)
    ]
    assert all(each == tested[0] for each in tested)
    assert Counter(record.defect for record in tested[0]) == {"good": 6, "scratch": 11, "dent": 11}


def test_a_larger_share_has_the_defects_of_a_smaller_one() -> None:
    records = category(train=36, bad=20)
    few, more = (paths(chosen(records, contamination=share), "train") for share in (0.05, 0.2))
    assert few < more


def test_images_of_one_part_stay_on_one_side() -> None:
    records = category(train=12, bad=20)
    grouped = [
        Record(r.path, "c", r.split, defect=r.defect, label=r.label, group=f"{r.defect}{i // 2}")
        if r.label
        else r
        for i, r in enumerate(records)
    ]
    found = chosen(grouped, contamination=0.2)
    groups = [{r.group for r in found if r.group and r.split == split} for split in ("train", "test")]
    assert groups[0]
    assert not groups[0] & groups[1]


def test_too_few_images_say_what_is_possible() -> None:
    records = category(train=3)
    with pytest.raises(AdframeError, match=r"shots=4: c has 3 training images .+ fewer shots"):
        chosen(records, shots=4)
    crowded = category(train=90)
    with pytest.raises(AdframeError, match=r"needs 22 defective .+ 10 are held out .+ shots=40 at most"):
        chosen(crowded, contamination=0.2)
    assert len(paths(chosen(crowded, shots=40, contamination=0.2), "train")) == 50


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"shots": 0}, "shots=0 must be"), ({"contamination": 0.6}, "contamination=0.6 must be")],
)
def test_impossible_values_are_refused(settings: dict[str, float], reason: str) -> None:
    with pytest.raises(AdframeError, match=reason):
        TrainingSet(**settings)  # type: ignore[arg-type]


def test_the_report_says_who_is_trained_on_and_who_is_not_tested() -> None:
    _, notes = TrainingSet(shots=18, contamination=0.1).choose(category(), seed=0)
    assert notes == [
        "c: the model knows 18 of 20 training images; the threshold comes from 5 normal validation images",
        "c: 2 of 20 training images are defective (contamination=0.1); 10 defective images are not tested, "
        "the same ones for every contamination",
    ]


def labelled_of(records: list[Record], amount: float, *, seed: int = 0) -> list[Record]:
    return [r for r in chosen(records, seed=seed, labelled=amount) if (r.split, r.label) == ("train", 1)]


@pytest.mark.parametrize(("amount", "each"), [(0, 0), (1, 1), (4, 4), (0.2, 2), (0.5, 5), (0.01, 1)])
def test_labelled_defects_of_each_type_keep_label_and_masks(amount: float, each: int) -> None:
    found = labelled_of(category(), amount)
    assert Counter(record.defect for record in found) == ({"scratch": each, "dent": each} if each else {})
    assert all(record.masks and record.subset == "anomaly" for record in found)


def test_labelled_defects_leave_the_same_images_out_as_contamination() -> None:
    records = category(train=36)
    tested = [
        [record for record in chosen(records, seed=seed, **settings) if record.split == "test"]
        for settings in ({"labelled": 0}, {"labelled": 2}, {"labelled": 0.5}, {"contamination": 0.1})
        for seed in (0, 1)
    ]
    assert all(each == tested[0] for each in tested)


def test_more_labelled_defects_have_those_of_fewer_and_seeds_differ() -> None:
    records = category(bad=20)
    few, more = (paths(labelled_of(records, amount), "train") for amount in (2, 6))
    assert few < more
    assert len({frozenset(paths(labelled_of(records, 2, seed=seed), "train")) for seed in range(6)}) > 3


def test_labelled_defects_must_be_there_and_have_masks() -> None:
    with pytest.raises(AdframeError, match=r"labelled=6: c/dent has 10 .+ 5 are not tested; .+labelled=5 at"):
        chosen(category(), labelled=6)
    bare = [Record(r.path, "c", r.split, defect=r.defect, label=r.label) for r in category()]
    with pytest.raises(AdframeError, match=r"labelled=1: .+png has no ground-truth mask"):
        chosen(bare, labelled=1)
    assert len(paths(chosen(bare, labelled=0), "test")) == 16
    with pytest.raises(AdframeError, match="contamination= and labelled= both"):
        TrainingSet(contamination=0.1, labelled=1)


@pytest.mark.parametrize("value", [-1, 0.6, 1.0, 0.0])
def test_impossible_amounts_of_labelled_defects_are_refused(value: float) -> None:
    with pytest.raises(AdframeError, match=f"labelled={value} must be null, a whole number"):
        TrainingSet(labelled=value)


def test_the_report_says_how_many_defects_are_labelled() -> None:
    assert TrainingSet(labelled=2).choose(category(), seed=0)[1] == [
        "c: 4 labelled defects are training images (labelled=2 of each type); 10 defective images are not "
        "tested, the same ones for every labelled="
    ]
