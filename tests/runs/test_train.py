"""The configuration that a run writes down."""

from pathlib import Path

import pytest

from adframe.config.recipe import stored_config
from tests.e2e.scripts import composed


@pytest.mark.parametrize("store", ["none", "disk"])
def test_paths_hold_from_any_folder_wherever_they_are_used(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    typed = (
        "backbone.checkpoint=w.pth",
        "dataset=mvtec_ad",
        "dataset.root=d",
        "paths.store=s",
        f"store={store}",
    )
    config = stored_config(composed("train", *typed))
    assert config["backbone"]["checkpoint"] == str(tmp_path / "w.pth")
    assert config["model"]["backbone"] == config["backbone"]
    assert config["dataset"]["root"] == str(tmp_path / "d")
    assert config["model"]["store"] == config["store"]
    assert store == "none" or config["store"]["folder"] == str(tmp_path / "s")


@pytest.mark.parametrize(("typed", "stored"), [("a.png", "a.png"), ("{screw: a.png, nut: b/c.png}", None)])
def test_masks_of_the_region_hold_from_any_folder(
    typed: str, stored: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = stored_config(composed("train", "roi=mask", f"roi.mask={typed}"))
    by_category = {"screw": str(tmp_path / "a.png"), "nut": str(tmp_path / "b" / "c.png")}
    assert config["roi"]["mask"] == (by_category if stored is None else str(tmp_path / stored))
