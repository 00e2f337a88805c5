"""A search looks at validation alone, asks the same again, and learns from the results that it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from adframe.errors import AdframeError
from adframe.io.files import write_json
from adframe.results.run_folder import RunFolder
from adframe.results.sweep_folder import validation_means
from adframe.sweeps.optuna_search import Optuna


class FakeSweeper:
    """Leaves a run for each job, whose `learning/val/total` is a function of its overrides."""

    def __init__(self, folder: Path, loss: Callable[[dict[str, str]], float | None]) -> None:
        self.folder, self.loss, self.asked = folder, loss, list[dict[str, str]]()

    def at_once(self, count: int) -> int:
        return min(2, count)

    def try_out(self, batch: Sequence[Sequence[str]], *, first: int) -> None:
        for number, job in enumerate(batch, first):
            overrides = dict(text.split("=", 1) for text in job)
            self.asked.append(overrides)
            value = self.loss(overrides)
            if value is not None:
                books = {
                    "test": {"mean": {"image/auroc": 1.0}},
                    "val": {"tray": {"learning/val/total": value}},
                }
                write_json(self.folder / str(number) / "metrics.json", books)
                (self.folder / str(number) / "report.html").touch()


def searched(
    folder: Path, *typed: str, loss: Callable[[dict[str, str]], float | None], **settings: Any
) -> list[dict[str, str]]:
    sweeper: Any = FakeSweeper(folder, loss)
    overrides = OverridesParser.create().parse_overrides(list(typed))
    chosen = {"metric": "val/learning/val/total", "direction": "minimize", "trials": 12, **settings}
    Optuna(**chosen).search(sweeper, overrides, folder=folder)
    asked: list[dict[str, str]] = sweeper.asked
    return asked


def parabola(overrides: dict[str, str]) -> float:
    return (float(overrides["coreset"]) - 0.3) ** 2


@pytest.mark.parametrize("metric", ["image/auroc", "test/mean/image/auroc", "pixel/aupro_0.3", "value", ""])
def test_an_objective_that_is_not_of_validation_is_refused(metric: str) -> None:
    with pytest.raises(AdframeError, match="is not a metric of validation images"):
        Optuna(metric=metric)


def test_what_is_asked_lies_where_it_may_and_comes_with_what_is_fixed(tmp_path: Path) -> None:
    typed = (
        "seed=3",
        "coreset=interval(0.1,0.5)",
        "memory=greedy,random",
        "n=int(interval(1,9))",
        "k=range(2,9,3)",
    )
    asked = searched(tmp_path, *typed, loss=parabola)
    assert len(asked) == 12
    assert {overrides["seed"] for overrides in asked} == {"3"}
    assert all(
        0.1 <= float(overrides["coreset"]) <= 0.5 and len(overrides["coreset"]) <= 7 for overrides in asked
    )
    assert {overrides["memory"] for overrides in asked} <= {"greedy", "random"}
    assert {overrides["n"] for overrides in asked} <= set("123456789")
    assert {overrides["k"] for overrides in asked} <= {"2", "5", "8"}


def test_it_goes_where_the_loss_is_low(tmp_path: Path) -> None:
    asked = searched(tmp_path, "coreset=interval(0.0,1.0)", loss=parabola, trials=40)
    late = [abs(float(overrides["coreset"]) - 0.3) for overrides in asked[-10:]]
    early = [abs(float(overrides["coreset"]) - 0.3) for overrides in asked[:10]]
    assert sum(late) < 0.5 * sum(early)
    book = json.loads((tmp_path / "search.json").read_text())
    assert book["best"] == min(range(40), key=lambda number: parabola(asked[number]))


def test_the_direction_counts(tmp_path: Path) -> None:
    searched(tmp_path, "coreset=interval(0.0,1.0)", loss=parabola, direction="maximize")
    book = json.loads((tmp_path / "search.json").read_text())
    assert book["values"][book["best"]] == max(book["values"])


def test_with_the_same_answers_the_same_is_asked(tmp_path: Path) -> None:
    one, two = (searched(tmp_path / name, "coreset=interval(0.0,1.0)", loss=parabola) for name in "ab")
    assert one == two
    other = searched(tmp_path / "c", "coreset=interval(0.0,1.0)", loss=parabola, seed=1)
    assert one != other


def test_a_job_that_failed_ends_no_search(tmp_path: Path) -> None:
    def some(overrides: dict[str, str]) -> float | None:
        return None if float(overrides["coreset"]) > 0.5 else parabola(overrides)

    assert len(searched(tmp_path, "coreset=interval(0.0,1.0)", loss=some)) == 12
    values = json.loads((tmp_path / "search.json").read_text())["values"]
    assert 0 < values.count(None) < 12


def test_a_metric_that_no_run_has_stops_it_after_the_first_runs(tmp_path: Path) -> None:
    with pytest.raises(AdframeError, match="the runs have val/learning/val/total"):
        searched(tmp_path, "coreset=interval(0.0,1.0)", loss=parabola, metric="val/image/auroc")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "search.json"]


def test_nothing_to_search_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdframeError, match="has nothing to search"):
        searched(tmp_path, "seed=3", loss=parabola)


def test_validation_is_the_mean_over_models_of_what_all_have(tmp_path: Path) -> None:
    models = {"a": {"x": 1.0, "y": 2.0}, "b": {"x": 3.0, "y": None, "z": 1.0}}
    write_json(tmp_path / "metrics.json", {"test": {"mean": {"x": 9.0}}, "val": models})
    assert validation_means(RunFolder.read(tmp_path)) == {"x": 2.0}
