"""A password that was typed lands in no file that a run or a sweep leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.scripts import call

pytestmark = pytest.mark.slow  # whole sweeps and trainings

SECRET = "hunter2secret"


def holding(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize("logger", ["none", "wandb"])
def test_no_file_of_a_run_holds_it(logger: str, base: list[str], tmp_path: Path) -> None:
    given = (f"dataset.homepage=https://me:{SECRET}@home.page", f"logger={logger}")
    outcome = call("train", *base, "category=weave", f"paths.run={tmp_path / 'run'}", *given)
    assert (outcome.code, outcome.err) == (0, "")
    assert "(hidden)@home.page" in (tmp_path / "run" / "config.yaml").read_text()
    assert holding(tmp_path / "run") == []


def test_no_file_of_a_sweep_holds_it_and_it_is_typed_again(base: list[str], tmp_path: Path) -> None:
    homepage = f"dataset.homepage=https://me:{SECRET}@home.page"
    call("sweep", "-m", *base, "category=weave", "seed=0,1", f"paths.runs={tmp_path}", homepage)
    (sweep,) = (tmp_path / "sweeps").iterdir()
    assert (sweep / "1" / "report.html").is_file()
    assert holding(tmp_path) == []
    outcome = call("sweep", f"resume={sweep}")
    assert outcome.code == 2
    assert "does not contain the secrets; type them again: dataset.homepage=..." in outcome.err
    (sweep / "1" / "report.html").unlink()
    (sweep / "1" / "metrics.json").unlink()
    assert call("sweep", f"resume={sweep}", homepage).code == 0
    assert (sweep / "1" / "report.html").is_file()
    assert holding(tmp_path) == []
