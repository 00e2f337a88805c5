"""Names as people give them, from the command line to the tables and back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.scripts import call, metrics_of

NAMES = ("1", "1e3", "true", "-5", "null", "[red] a=b, c")
WANTED = 'category=[1,1e3,true,-5,null,"[red] a=b, c"]'


@pytest.fixture
def named(toy: Path, tmp_path: Path) -> Path:
    """The same category under every name."""
    for name in NAMES:
        shutil.copytree(toy / "weave", tmp_path / "data" / name)
    return tmp_path / "data"


@pytest.mark.slow
def test_categories_may_be_called_anything(base: list[str], named: Path, tmp_path: Path) -> None:
    given = [text for text in base if not text.startswith(("dataset.", "dataset="))]
    run = tmp_path / "run=1, a [b]"
    places = (f"dataset.root={named}", f'paths.run="{run}"')
    outcome = call("train", *given, "dataset=mvtec_ad", *places, WANTED)
    assert outcome.code == 0, outcome.err
    assert [name for name in metrics_of(run)["test"] if name != "mean"] == list(NAMES)
    for name in NAMES:
        assert f" {name} " in outcome.out
    again = call("evaluate", f'run="{run}"', "category=1e3", "num_workers=0")
    assert again.code == 0, again.err
    assert "numbers equal the run's to the last digit" in again.out


def test_a_setting_that_the_method_does_not_read_is_said(base: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    outcome = call("train", *base, "category=weave", f"paths.run={run}", "mask_ratio=0.5", "coreset=0.2")
    assert outcome.code == 0
    assert outcome.err == "note: mask_ratio was given, but model=patchcore does not read it\n"
    assert "mask_ratio was given" in (run / "report.html").read_text()


@pytest.mark.parametrize(
    ("key", "named"), [("dataset.unlabelled", "dataset.unlabelled"), ("model.coreset", "model"), ("x", "x")]
)
def test_evaluate_refuses_what_it_does_not_read(key: str, named: str, finished: Path) -> None:
    outcome = call("evaluate", f"run={finished}", f"+{key}=neu")
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: unknown override '{named}'")
