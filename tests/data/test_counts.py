from dataclasses import replace
from pathlib import Path

import pytest

from adframe.contracts import Record
from adframe.data.counts import COUNTED_SUBSETS, COUNTS, mismatches


def totals(dataset: str) -> dict[tuple[str, str], int]:
    rows = COUNTS[dataset].values()
    return {column: sum(row[i] for row in rows) for i, column in enumerate(COUNTED_SUBSETS[dataset])}


def records(dataset: str, category: str) -> list[Record]:
    return [
        Record(path=Path(f"{split}{i}.png"), category=category, split=split, subset=subset)
        for (split, subset), count in zip(COUNTED_SUBSETS[dataset], COUNTS[dataset][category], strict=True)
        for i in range(count)
    ]


@pytest.mark.parametrize(
    ("dataset", "categories", "expected"),
    [
        ("mvtec_ad", 15, (3629, 467, 1258)),
        ("mvtec_ad2", 8, (2528, 302, 379, 705)),
        ("mvtec_loco", 5, (1778, 305, 575, 561, 432)),
        ("visa", 12, (8659, 962, 1200)),
        ("btad", 3, (1799, 451, 290)),
    ],
)
def test_the_sums_are_the_published_totals(dataset: str, categories: int, expected: tuple[int, ...]) -> None:
    assert len(COUNTS[dataset]) == categories
    assert tuple(totals(dataset).values()) == expected


def test_whole_papers_agree() -> None:
    sums = {dataset: sum(totals(dataset).values()) for dataset in COUNTS}
    assert sums["mvtec_ad"] == 5354  # 3629 + 1725
    assert sums["visa"] == 9621 + 1200
    assert sums["btad"] == 1799 + 741
    assert sums["mvtec_loco"] == 1772 + 304 + 1568 + 6 + 1  # the paper's numbers and the archive's seven more


@pytest.mark.parametrize("dataset", COUNTS)
def test_a_whole_copy_gives_no_line(dataset: str) -> None:
    every = [record for category in COUNTS[dataset] for record in records(dataset, category)]
    assert mismatches(dataset, every) == []


def test_missing_and_surplus_images_give_a_line_each() -> None:
    some = records("mvtec_loco", "pushpins")[2:]
    some += [replace(some[-1], subset="good"), replace(some[-1], subset="unlabelled")]
    assert mismatches("mvtec_loco", some) == [
        "pushpins: 370 images in train good, the official set has 372",
        "pushpins: 139 images in test good, the official set has 138",
        "pushpins: 1 images in test unlabelled, the official set has 0",
    ]


def test_images_held_out_for_validation_still_count_as_training_images() -> None:
    held = [replace(r, split="val") if r.path.name == "train0.png" else r for r in records("visa", "pcb1")]
    assert mismatches("visa", held) == []
    without = [record for record in records("mvtec_ad2", "can") if record.split != "val"]
    assert mismatches("mvtec_ad2", without) == ["can: 0 images in val good, the official set has 46"]


@pytest.mark.parametrize("dataset", ["toy", "folder", "mvtec_ad"])
def test_what_is_not_official_gives_no_line(dataset: str) -> None:
    assert mismatches(dataset, [Record(path=Path("a.png"), category="weave", split="train")]) == []
