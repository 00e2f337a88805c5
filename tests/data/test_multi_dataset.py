"""Several datasets as one: each category as its own dataset has it, and none lost or mixed up."""

from dataclasses import replace
from pathlib import Path

import pytest

from adframe.data.base import Source
from adframe.data.multi_dataset import Several
from adframe.data.mvtec_ad import MvtecAd
from adframe.errors import AdframeError

NAMED = {"homepage": "h", "licence": "l", "tree": "t"}


def pool(**members: Source) -> Several:
    return Several(name="several", root=Path("nowhere"), members=members, **NAMED)


@pytest.fixture
def lone(tmp_path: Path) -> Source:
    for folder in ("train/good", "test/good"):
        (tmp_path / "ad" / "nut" / folder).mkdir(parents=True)
        (tmp_path / "ad" / "nut" / folder / "000.png").touch()
    return MvtecAd(name="ad", root=tmp_path / "ad", **NAMED)


def test_each_category_is_what_its_own_dataset_has(lone: Source, toy_loco: Source) -> None:
    both = pool(ad=lone, loco=toy_loco)
    assert both.found() == ["nut", *toy_loco.found()]
    for member in (lone, toy_loco):
        for name in member.found():
            assert both.scan(name) == member.scan(name)


def test_all_records_lie_below_its_root_and_masks_saturate_if_any_do(lone: Source, toy_loco: Source) -> None:
    both = pool(ad=lone, loco=toy_loco)
    assert all(r.path.is_relative_to(both.root) for name in both.found() for r in both.scan(name))
    assert (both.saturated, pool(ad=lone).saturated) == (True, False)


def test_members_may_be_given_from_where_one_stands(
    lone: Source, toy_loco: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lone.root.parent)
    both = pool(ad=replace(lone, root=Path("ad")), loco=toy_loco)
    assert all(r.path.is_relative_to(both.root) for r in both.scan("nut"))


def test_a_category_of_two_members_is_refused(toy_ad: Source, toy_loco: Source) -> None:
    with pytest.raises(AdframeError, match=r"dataset.members.a and in dataset.members.b"):
        pool(a=toy_ad, b=toy_loco).choose("all")


def test_what_would_see_images_in_another_way_is_refused(lone: Source) -> None:
    with pytest.raises(AdframeError, match=r"members.ad.preprocess=grey_world"):
        pool(ad=replace(lone, preprocess="grey_world"))
    with pytest.raises(AdframeError, match="has no members"):
        pool()


def test_other_members_have_another_book_of_splits(lone: Source, toy_loco: Source) -> None:
    assert pool(ad=lone).split_file_prefix != pool(ad=lone, loco=toy_loco).split_file_prefix


def test_without_any_image_the_error_says_what_to_get(tmp_path: Path) -> None:
    with pytest.raises(AdframeError, match=r"no member .* get the data from h"):
        pool(ad=MvtecAd(name="ad", root=tmp_path / "ad", **NAMED)).categories()
