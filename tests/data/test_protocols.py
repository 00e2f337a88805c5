"""Both protocols on any mixture of parts: nothing leaks, shares are kept."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adframe.contracts import GOOD, Record
from adframe.data.splits import Holdout, MvtecShiftProtocol, Protocol, count_borrowed, shared_group
from adframe.errors import AdframeError

PARTS = st.lists(st.integers(1, 4), min_size=2, max_size=30)  # pictures of each part
TYPES = st.dictionaries(st.sampled_from(["dent", "dirt", "hole"]), st.lists(st.integers(1, 3), max_size=15))
PROTOCOLS = st.sampled_from([Holdout(0.2), Holdout(0.5), MvtecShiftProtocol(), MvtecShiftProtocol(0.6, 0.5)])


def part(name: str, pictures: int, **known: object) -> list[Record]:
    return [Record(path=Path(f"{name}-{i}.png"), category="c", group=name, **known) for i in range(pictures)]


def dataset(train: list[int], types: dict[str, list[int]], good: int = 3) -> list[Record]:
    records = [r for i, n in enumerate(train) for r in part(f"train/{i:02d}", n, split="train")]
    records += [r for i in range(good) for r in part(f"good/{i}", 2, split="test")]
    for defect, parts in types.items():
        for i, n in enumerate(parts):
            records += part(f"{defect}/{i:02d}", n, split="test", defect=defect, subset="anomaly", label=1)
    return [*records, *part("new/0", 2, split="test", defect="new", subset="unlabelled", label=None)]


def groups(records: list[Record], split: str, defect: str = GOOD) -> set[str]:
    return {r.group for r in records if (r.split, r.defect) == (split, defect)}


@settings(max_examples=80, deadline=None)
@given(PROTOCOLS, PARTS, TYPES, st.integers(0, 2**31), st.randoms())
def test_no_image_and_no_part_is_on_two_sides(protocol: Protocol, train, types, seed, random) -> None:
    records = dataset(train, types)
    after = protocol.draw(records, seed=seed)
    assert [replace(r, split="") for r in after] == [replace(r, split="") for r in records]
    assert shared_group(after) is None
    assert all(r.label == 0 for r in after if r.split == "train")
    assert groups(after, "train")
    assert groups(after, "val")
    normals = [r for r in records if r.split == "test" and r.label != 1]
    assert normals == [r for r in after if r.split == "test" and r.label != 1]
    shuffled = protocol.draw(random.sample(records, len(records)), seed=seed)
    assert {r.path: r.split for r in shuffled} == {r.path: r.split for r in after}


@settings(max_examples=40, deadline=None)
@given(PARTS, TYPES, st.integers(0, 2**31))
def test_the_shift_protocol_keeps_its_shares_type_by_type(train, types, seed) -> None:
    after = MvtecShiftProtocol().draw(dataset(train, types), seed=seed)
    assert abs(len(groups(after, "train")) - 0.8 * len(train)) <= 1
    for defect, parts in types.items():
        held, tested = groups(after, "val", defect), groups(after, "test", defect)
        assert len(held) + len(tested) == len(parts)
        assert len(held) in {round(0.3 * len(parts)), max(0, len(parts) - 1)}
        assert tested or not parts


def test_the_shift_protocol_on_round_numbers_is_exact() -> None:
    records = dataset([1] * 100, {"dent": [1] * 20, "dirt": [1] * 10}, good=10)
    after = MvtecShiftProtocol().draw(records, seed=42)
    assert Counter((r.split, r.defect) for r in after) == {
        ("train", "good"): 80, ("val", "good"): 20, ("test", "good"): 20,
        ("val", "dent"): 6, ("test", "dent"): 14, ("val", "dirt"): 3, ("test", "dirt"): 7,
        ("test", "new"): 2,
    }  # fmt: skip
    assert count_borrowed(records, after) == 9
    assert count_borrowed(records, Holdout(0.2).draw(records, seed=42)) == 0


def test_seeds_draw_others_and_types_draw_by_themselves() -> None:
    records = dataset([1] * 30, {"dent": [1] * 20, "dirt": [1] * 20})
    one, two = (MvtecShiftProtocol().draw(records, seed=seed) for seed in (0, 1))
    assert groups(one, "val", "dent") != groups(two, "val", "dent")
    assert {g[5:] for g in groups(one, "val", "dent")} != {g[5:] for g in groups(one, "val", "dirt")}
    without = [r for r in records if r.defect != "dirt"]
    again = MvtecShiftProtocol().draw(without, seed=0)
    assert groups(again, "val", "dent") == groups(one, "val", "dent")


@pytest.mark.parametrize("wrong", [{"train": 1}, {"train": 0}, {"anomalies": -0.1}, {"anomalies": 1.0}])
def test_impossible_shares_are_refused(wrong: dict[str, float]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(AdframeError, match=rf"split\.{name}={value} must lie between 0 and 1"):
        MvtecShiftProtocol(**wrong)
