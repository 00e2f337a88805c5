"""Names, tags and settings that a tracker shows of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adframe.runs.run_labels import filterable, run_name, run_tags

CONFIG: dict[str, Any] = {
    "category": ["weave", "tray"], "model": {"_target_": "x.create_patchcore", "backbone": {}},
    "dataset": {"name": "toy"}, "shift": {"name": "none"}, "logger": {"kind": "csv"},
}  # fmt: skip
ENVIRONMENT: dict[str, Any] = {
    "model": "patchcore", "dataset": "toy", "backbone": "efficientnet_lite0", "shift": "severe",
    "command": ["python", "train.py", "model=padim", "coreset=0.05", "logger.mode=offline", "paths.run=r"],
}  # fmt: skip


def test_a_run_is_named_by_its_method_categories_and_overrides(tmp_path: Path) -> None:
    assert run_name(tmp_path, CONFIG, ENVIRONMENT) == "PatchCore toy weave+tray coreset=0.05"


def test_a_run_of_a_sweep_is_named_by_the_overrides_that_vary(tmp_path: Path) -> None:
    jobs = [["category=weave", "seed=0", "coreset=0.1"], ["category=weave", "seed=1", "coreset=0.1"]]
    (tmp_path / "sweep.json").write_text(json.dumps({"jobs": jobs}))
    assert [run_name(tmp_path / str(n), CONFIG, ENVIRONMENT) for n in (0, 1)] == ["seed=0", "seed=1"]


def test_tags_are_those_of_the_user_and_the_parts() -> None:
    tags = ["mine", "toy", "PatchCore", "efficientnet_lite0", "severe"]
    assert run_tags(CONFIG, ENVIRONMENT, ["mine", "toy"]) == tags


def test_a_method_without_a_backbone_has_no_tag_of_one() -> None:
    assert "efficientnet_lite0" not in run_tags(CONFIG | {"model": {"_target_": "x"}}, ENVIRONMENT)


def test_settings_can_be_filtered() -> None:
    config = CONFIG | {"shift": {"transforms": [{"amount": 1}, {"amount": 2}]}}
    settings = filterable(config, ENVIRONMENT)
    assert settings["shift"]["transforms"] == {"0": {"amount": 1}, "1": {"amount": 2}}
    assert (settings["method"], settings["shift_name"], "logger" in settings) == (
        "PatchCore",
        "severe",
        False,
    )
