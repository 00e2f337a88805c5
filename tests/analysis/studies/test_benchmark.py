"""A benchmark of methods: who ranks best, who wins where, and who could not be run."""

from __future__ import annotations

import csv
from pathlib import Path

from adframe.analysis.studies.benchmark import Benchmark
from adframe.results.names import TRANSDUCTIVE
from adframe.results.run_folder import RunFolder
from adframe.results.sweep_folder import read_sweep
from tests.fakes.pages import words_of
from tests.fakes.study_runs import leave_failure, leave_latency, leave_run

PLACES = ("bolt", "cap", "disc", "nut", "plate", "ring")


def page_of(sweep: Path, skills: dict[str, dict[str, float]], *, failed: tuple[str, ...] = ()) -> str:
    for number, (method, own) in enumerate(skills.items()):
        leave_run(sweep, number, f"model={method}", skills=own)
        leave_latency(sweep, number, 10.0 * (number + 1))
    for number, method in enumerate(failed, start=len(skills)):
        leave_failure(sweep, number, f"model={method}")
    page = Benchmark(metrics=["image/auroc"]).write(read_sweep(sweep))
    assert page is not None
    return words_of(page)


def rows_of(sweep: Path) -> dict[str, dict[str, str]]:
    with (sweep / "tables/methods.csv").open() as file:
        return {row["setting"]: row for row in csv.DictReader(file)}


def test_methods_are_ranked_with_their_wins_and_costs_and_failures_are_named(tmp_path: Path) -> None:
    skills = {"weak": -1.5, "strong": 4.0, "middle": 0.8}
    text = page_of(
        tmp_path, {name: dict.fromkeys(PLACES, each) for name, each in skills.items()}, failed=("absent",)
    )
    assert "strong ranks best of 3 methods by image AUROC over 6 categories" in text
    rows = rows_of(tmp_path)
    assert list(rows) == ["strong", "middle", "weak", "absent"]
    assert [float(rows[name]["rank"]) for name in ("strong", "middle", "weak")] == [1, 2, 3]
    records = {
        name: tuple(int(row[key]) for key in ("wins", "ties", "losses"))
        for name, row in rows.items()
        if row["rank"]
    }
    assert all(sum(record) == 2 * len(PLACES) for record in records.values())
    assert records["strong"][0] > records["middle"][0] > records["weak"][0] == 0
    wins, _, losses = (sum(record[place] for record in records.values()) for place in range(3))
    assert wins == losses
    assert float(rows["middle"]["latency"]) == 30
    assert rows["absent"]["error"]
    assert "not run" in text
    assert "Methods that could not be run are last" in text
    assert (tmp_path / "figures/ranks.svg").is_file()


def test_a_transductive_method_is_marked(tmp_path: Path) -> None:
    for number, method in enumerate(("musc", "padim")):
        leave_run(tmp_path, number, f"model={method}", skills={"bolt": 1.0})
    folder = RunFolder(tmp_path / "0")
    folder.reopen()
    folder.add_warnings("bolt", [TRANSDUCTIVE])
    text = page_of(tmp_path, {})
    assert "MuSc (transductive)" in text
    assert f"MuSc: {TRANSDUCTIVE}" in text
    assert "PaDiM (transductive)" not in text
    assert set(rows_of(tmp_path)) == {"MuSc", "PaDiM"}


def test_methods_that_change_places_are_not_told_apart(tmp_path: Path) -> None:
    cross = {
        name: {place: 1.0 + (number + turn) % 3 for turn, place in enumerate(PLACES)}
        for number, name in enumerate(("a", "b", "c"))
    }
    text = page_of(tmp_path, cross)
    assert "2 methods cannot be told apart from it" in text
    assert "Ranks do not differ significantly (Friedman" in text


def test_one_category_has_a_table_and_no_diagram(tmp_path: Path) -> None:
    text = page_of(tmp_path, {"a": {"bolt": 0.0}, "b": {"bolt": 3.0}})
    assert not (tmp_path / "figures/ranks.svg").exists()
    assert list(rows_of(tmp_path)) == ["b", "a"]
    assert "b ranks best of 2 methods by image AUROC over 1 category" in text
