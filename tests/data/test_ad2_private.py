"""MVTec AD 2's private test sets: scored where asked for, never measured."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from adframe.data.base import Source
from adframe.data.counts import mismatches
from adframe.data.mvtec_ad2 import MvtecAd2
from adframe.data.splits import shared_group
from adframe.errors import AdframeError


def private(source: Source, root: Path | None = None) -> MvtecAd2:
    named = {"homepage": source.homepage, "licence": source.licence, "tree": source.tree}
    return MvtecAd2(name="mvtec_ad2", root=root or source.root, private=True, **named)


def test_private_images_are_added_behind_the_public_ones(toy_ad2: Source) -> None:
    records = private(toy_ad2).scan("tray")
    public = toy_ad2.scan("tray")
    assert records[: len(public)] == public
    added = records[len(public) :]
    assert {(r.split, r.subset, r.label, r.masks) for r in added} == {("test", "unlabelled", None, ())}
    counts = Counter((r.defect, r.condition) for r in added)
    assert counts == {("test_private", "regular"): 4, ("test_private_mixed", "mixed"): 4}


def test_a_part_is_one_group_in_both_private_sets(toy_ad2: Source) -> None:
    groups = Counter(record.group for record in private(toy_ad2).scan("tray") if record.label is None)
    assert set(groups.values()) == {2}
    assert not groups.keys() & {record.group for record in toy_ad2.scan("tray")}
    assert shared_group(private(toy_ad2).scan("tray")) is None


def test_private_sets_that_are_not_there_are_told(toy_ad2: Source, tmp_path: Path) -> None:
    drop = shutil.ignore_patterns("test_private*")
    shutil.copytree(Path(toy_ad2.root) / "tray", tmp_path / "tray", ignore=drop)
    with pytest.raises(AdframeError, match=r"dataset\.private=true: no images in .*test_private or .*mixed"):
        private(toy_ad2, tmp_path).scan("tray")


def test_private_images_are_counted_where_they_are_read(toy_ad2: Source) -> None:
    from dataclasses import replace

    records = [replace(record, category="can") for record in private(toy_ad2).scan("tray")]
    assert "can: 8 images in test unlabelled, the official set has 642" in mismatches("mvtec_ad2", records)
    public = [record for record in records if record.label is not None]
    assert not any("unlabelled" in line for line in mismatches("mvtec_ad2", public))
