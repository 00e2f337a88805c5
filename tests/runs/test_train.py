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
