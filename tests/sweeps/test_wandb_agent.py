"""The file for Weights & Biases' agents says the same sweep."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from adframe.sweeps.wandb_agent import AGENT_FILE, write_agent_file


def written(folder: Path, *typed: str, project: str | None = "mine") -> dict[str, Any]:
    overrides = OverridesParser.create().parse_overrides(list(typed))
    write_agent_file(folder, overrides, project=project)
    found: dict[str, Any] = yaml.safe_load((folder / AGENT_FILE).read_text())
    return found


@pytest.fixture(autouse=True)
def script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["sweep.py"])


def test_what_is_swept_is_a_grid_of_parameters(tmp_path: Path) -> None:
    found = written(tmp_path, "coreset=0.01,0.1", "fusion.layers=[1,0],[0,1]", "composition=true,false")
    assert (found["program"], found["method"], found["project"]) == ("train.py", "grid", "mine")
    assert found["parameters"] == {
        "coreset": {"values": [0.01, 0.1]},
        "fusion.layers": {"values": ["[1,0]", "[0,1]"]},
        "composition": {"values": ["True", "False"]},
    }


def test_what_is_not_swept_stands_in_the_command(tmp_path: Path) -> None:
    given = ("experiment=layers", "launcher=joblib", "logger=none", "category=[a,b]", "seed=0,1")
    found = written(tmp_path, *given, project=None)
    start = ["${env}", "${interpreter}", "${program}", "store=disk"]
    assert found["command"] == [*start, "+experiment=layers", "category=[a,b]", "${args_no_hyphens}"]
    assert "project" not in found


def test_an_interval_is_a_distribution(tmp_path: Path) -> None:
    found = written(tmp_path, "coreset=tag(log,interval(0.01,0.5))", "model.neighbours=int(interval(1,9))")
    assert found["method"] == "random"
    assert found["parameters"]["coreset"] == {"distribution": "log_uniform_values", "min": 0.01, "max": 0.5}
    assert found["parameters"]["model.neighbours"] == {"distribution": "int_uniform", "min": 1, "max": 9}
