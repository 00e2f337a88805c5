"""Patches kept by a run, and a run that is older than they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from adframe.results.patch_samples import read_patch_samples
from tests.e2e.scripts import call, numbers_of, train_here

VIT = ("backbone.model=test_vit", "backbone.layers=[blocks.0,blocks.2]")


@pytest.mark.slow
def test_a_run_keeps_patches_and_attention_and_its_numbers(base: list[str], tmp_path: Path) -> None:
    given = [*base, *VIT, "category=[weave,tray]", "scope=global", "store=disk", f"store.folder={tmp_path}"]
    off = train_here(*given, f"paths.run={tmp_path / 'off'}")
    on = train_here(
        *given, f"paths.run={tmp_path / 'on'}", "callbacks.patches.count=20", "callbacks.patches.rollouts=2"
    )
    assert numbers_of(on) == numbers_of(off)
    assert not (off / "features").exists()
    samples = read_patch_samples(on)
    assert list(samples) == ["tray", "weave"]
    for name, sample in samples.items():
        assert [layer.name for layer in sample.layers] == ["blocks.0", "blocks.2"]
        assert all(f"/{name}/" in path for path in sample.paths)
        assert len(list((on / "features/attention" / name).iterdir())) == 4


def test_a_run_that_is_older_than_the_survey_is_still_evaluated(finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    config = yaml.safe_load((run / "config.yaml").read_text())
    del config["callbacks"]["patches"]
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    assert call("evaluate", f"run={run}", "category=tray").code == 0


def test_an_impossible_share_stops_the_run_before_its_folder_is_made(base: list[str], tmp_path: Path) -> None:
    outcome = call("train", *base, f"paths.run={tmp_path / 'run'}", "callbacks.patches.covered=2")
    assert outcome.code == 2
    assert "callbacks.patches.covered=2" in outcome.err
    assert not (tmp_path / "run").exists()
