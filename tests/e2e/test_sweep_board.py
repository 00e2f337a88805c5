"""A sweep in Weights & Biases: its runs in one group, its table a run of that group."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.e2e.scripts import call, command
from tests.e2e.test_loggers import items, records
from tests.e2e.test_sweep import board
from tests.e2e.test_sweep_launchers import folder_of

pytestmark = pytest.mark.slow  # whole sweeps and trainings


def followed(base: list[str], place: Path, *given: str) -> Path:
    arguments = ("logger=wandb", "logger.mode=offline", "category=weave", "seed=0,1", *given)
    outcome = call("sweep", "-m", *base, *arguments, f"paths.runs={place}")
    assert (outcome.code, outcome.err) == (0, "")
    return folder_of(place)


@pytest.fixture(scope="module")
def sweep(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return followed(base, tmp_path_factory.mktemp("wandb"))


def groups(sweep: Path) -> list[str]:
    files = sweep.glob("**/offline-run-*/run-*.wandb")
    return [record.run.run_group for file in files for record in records(file) if record.HasField("run")]


def test_the_runs_and_the_table_are_one_group(sweep: Path) -> None:
    assert groups(sweep) == [sweep.name] * 3


@pytest.mark.exhaustive
def test_a_group_that_the_user_names_stays(base: list[str], tmp_path: Path) -> None:
    assert groups(followed(base, tmp_path, "logger.group=mine")) == ["mine"] * 3


def test_the_table_holds_the_rows_of_the_file(sweep: Path) -> None:
    (file,) = sweep.glob("wandb/offline-run-*/run-*.wandb")
    history = [items(record.history.item) for record in records(file) if record.HasField("history")]
    (path,) = [row["leaderboard/path"] for row in history if "leaderboard/path" in row]
    table = json.loads((file.parent / "files" / path).read_text())
    rows = board(sweep.parents[1])
    assert table["columns"] == list(rows[0])
    place = table["columns"].index("image/auroc")
    assert [row[place] for row in table["data"]] == [float(row["image/auroc"]) for row in rows]


def test_the_file_for_agents_repeats_the_sweep(sweep: Path) -> None:
    file = yaml.safe_load((sweep / "wandb_sweep.yaml").read_text())
    assert file["program"] == command("train")[1]
    assert file["parameters"] == {"seed": {"values": [0, 1]}}
    assert "category=weave" in file["command"]
    assert file["command"][-1] == "${args_no_hyphens}"
