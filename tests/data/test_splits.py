from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adframe.contracts import Record
from adframe.data.splits import Holdout, MvtecShiftProtocol
from adframe.errors import AdframeError


def records_of(sizes: list[int]) -> list[Record]:
    """A group of so many pictures for every number, and two test images."""
    train = [
        Record(path=Path(f"{group:03d}_{i}.png"), category="c", split="train", group=f"g{group:03d}")
        for group, size in enumerate(sizes)
        for i in range(size)
    ]
    return [
        *train,
        *(Record(path=Path(f"t{i}.png"), category="c", split="test", group=f"t{i}") for i in range(2)),
    ]


def held(records: list[Record], *, share: float = 0.2, seed: int = 0) -> set[Path]:
    return {record.path for record in Holdout(share).draw(records, seed=seed) if record.split == "val"}


GROUPS = st.lists(st.integers(1, 4), min_size=2, max_size=40)
SHARES = st.floats(0.01, 0.99)


@settings(max_examples=60, deadline=None)
@given(GROUPS, SHARES, st.integers(0, 2**31), st.randoms())
def test_no_image_and_no_group_is_on_two_sides(sizes, share, seed, random) -> None:
    records = records_of(sizes)
    after = Holdout(share).draw(records, seed=seed)
    assert [replace(record, split="") for record in after] == [
        replace(record, split="") for record in records
    ]
    groups = {split: {r.group for r in after if r.split == split} for split in ("train", "val", "test")}
    assert groups["train"]
    assert groups["val"]
    assert not groups["train"] & groups["val"]
    assert groups["test"] == {"t0", "t1"}
    expected = min(max(share * len(sizes), 1), len(sizes) - 1)
    assert abs(len(groups["val"]) - expected) <= 0.5
    shuffled = random.sample(records, len(records))
    assert held(shuffled, share=share, seed=seed) == held(records, share=share, seed=seed)


def test_the_seed_and_the_category_draw_others() -> None:
    records = records_of([1] * 40)
    draws = {frozenset(held(records, seed=seed)) for seed in range(10)}
    other = [replace(record, category="d") for record in records]
    assert len(draws) == 10
    assert held(other) != held(records)


def test_every_image_gets_its_turn() -> None:
    records = records_of([1] * 10)
    assert set.union(*(held(records, seed=seed) for seed in range(60))) == {r.path for r in records[:10]}


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(AdframeError, match=f"holdout={share} must lie between 0 and 1"):
        Holdout(share).draw(records_of([1, 1]), seed=0)


@pytest.mark.parametrize("sizes", [[], [5]])
def test_one_group_cannot_be_split(sizes: list[int]) -> None:
    with pytest.raises(AdframeError, match=f"c has {len(sizes)} training images; two are needed"):
        Holdout(0.5).draw(records_of(sizes), seed=0)


def test_without_groups_each_image_is_on_its_own() -> None:
    records = [Record(path=Path(f"/d/{i}.png"), category="c", split="train") for i in range(24)]
    assert len(held(records, share=0.25)) == 6
    anomalous = [replace(r, split="test", label=1, defect="hole") for r in records]
    after = MvtecShiftProtocol(train=0.8, anomalies=0.5).draw([*records, *anomalous_at(anomalous)], seed=0)
    assert sum(r.split == "val" and r.label == 1 for r in after) == 12


def anomalous_at(records: list[Record]) -> list[Record]:
    return [replace(record, path=Path("/d/hole") / record.path.name) for record in records]
