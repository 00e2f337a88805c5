"""A whole study by name: what it sweeps, what the command line changes, what the table shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from adframe.models import weights
from tests.e2e.scripts import call
from tests.e2e.test_sweep import board

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("blank_figures")]  # whole sweeps and trainings


@pytest.mark.parametrize(
    ("given", "swept"),
    [
        ((), {"greedy", "random", "kmeans", "pca", "all"}),
        (("-m", "memory=random,all"), {"random", "all"}),
    ],
    ids=["plain", "-m"],
)
def test_a_study_runs_by_its_name_with_or_without_m(
    base: list[str], tmp_path: Path, given: tuple[str, ...], swept: set[str]
) -> None:
    outcome = call("sweep", *given, "experiment=memory", *base, "category=weave", f"paths.runs={tmp_path}")
    assert (outcome.code, outcome.err) == (0, "")
    rows = board(tmp_path)
    assert next(iter(rows[0])) == "memory"
    assert {row["memory"] for row in rows} == swept
    assert "choosing a setting by it means choosing on test data" in outcome.out


def test_the_command_line_replaces_what_a_study_sweeps_and_fixes(base: list[str], tmp_path: Path) -> None:
    given = ("fusion=weighted", "fusion.layers=[1,0.5],[0.5,1]", "category=weave", f"paths.runs={tmp_path}")
    outcome = call("sweep", "experiment=fusion", *base, *given)
    assert (outcome.code, outcome.err) == (0, "")
    assert {row["fusion.layers"] for row in board(tmp_path)} == {"[1,0.5]", "[0.5,1]"}


@pytest.mark.slow
def test_the_terminal_has_short_names_and_words_as_typed(base: list[str], tmp_path: Path) -> None:
    own = (f"dataset.root={tmp_path / 'loco'}", "category=tray", f"paths.runs={tmp_path}")
    given = ("composition=false,true", "model.words=4,8", *own)
    outcome = call("sweep", "experiment=composition", *base, *given)
    lines = [line.split() for line in outcome.out.splitlines()]
    head = next(i for i, line in enumerate(lines) if line[:2] == ["composition", "words"])
    assert {tuple(line[:2]) for line in lines[head + 2 : head + 6]} == {
        ("false", "4"), ("false", "8"), ("true", "4"), ("true", "8")
    }  # fmt: skip
    rows = board(tmp_path)
    assert {row["model.words"] for row in rows} == {"4", "8"}
    assert all(row["logical/image/auroc"] and float(row["model/bytes"]) > 0 for row in rows)


@pytest.mark.slow
def test_a_backbone_that_is_not_to_be_had_is_a_row_and_ends_no_other(
    base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(weights, "try_to_load_from_cache", lambda *_, **__: None)
    own = [text for text in base if not text.startswith("backbone")]
    given = ("backbone=resnet18,efficientnet_lite0", "category=weave", f"paths.runs={tmp_path}")
    outcome = call("sweep", "experiment=backbones", *own, *given)
    assert outcome.code == 2
    rows = board(tmp_path)
    assert [(row["backbone"], bool(row["image/auroc"])) for row in rows] == [
        ("efficientnet_lite0", True), ("resnet18", False)
    ]  # fmt: skip
    assert "are not cached here and the hub cannot be reached" in rows[1]["error"]


def test_a_study_that_does_not_exist_is_one_line() -> None:
    outcome = call("sweep", "experiment=memry")
    assert outcome.code == 2
    assert outcome.err.startswith("error: unknown experiment 'memry'; did you mean 'memory'?")
    assert len(outcome.err.splitlines()) == 1
