"""The books of a run: what is finished, and what a failure may remove."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adframe.errors import AdframeError
from adframe.results import run_folder as app_folder
from adframe.results.run_files import mean_row
from adframe.results.run_folder import RunFolder
from adframe.runs.moved_data import with_root

DRAWN = {"image/auroc": np.full(8, 0.9)}


def opened(path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.open(config={"seed": 0}, environment={})
    return folder


def test_discard_removes_what_was_made_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    opened(tmp_path / "mine" / "runs" / "toy" / "now").discard()
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]
    assert list((tmp_path / "mine").iterdir()) == []


def test_discard_without_open_touches_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("precious")
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(AdframeError, match="already holds a run"):
        folder.open(config={}, environment={})
    folder.discard()
    assert (tmp_path / "run" / "config.yaml").read_text() == "precious"


def test_a_neighbour_keeps_its_folder(tmp_path: Path) -> None:
    first, second = opened(tmp_path / "runs" / "1"), opened(tmp_path / "runs" / "2")
    first.discard()
    assert (second.path / "config.yaml").is_file()


@pytest.mark.parametrize("name", ["write_predictions", "write_json"])
def test_a_category_that_could_not_be_written_is_not_done(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AdframeError("no room")

    folder = opened(tmp_path / "run")
    monkeypatch.setattr(app_folder, name, refuse)
    with pytest.raises(AdframeError, match="no room"):
        folder.add("weave", results={"image/auroc": 1.0}, rows=[], pictures=[], defects={}, drawn=DRAWN)
    assert folder.done == []


def test_a_folder_read_back_is_the_folder_that_was_written(tmp_path: Path) -> None:
    folder = opened(tmp_path / "run")
    for name, value in (("a", 0.25), ("b", 0.75)):
        folder.add(
            name,
            results={"image/auroc": value},
            rows=[],
            pictures=[{"category": name}],
            defects={},
            drawn=DRAWN,
        )
    again = RunFolder(tmp_path / "run")
    again.reopen()
    assert again.metrics == folder.metrics
    assert again.metrics["test"]["mean"] == {"image/auroc": 0.5}
    assert (again.done, again.pictures) == (["a", "b"], folder.pictures)


def test_the_mean_has_only_what_every_category_has() -> None:
    row = mean_row({"a": {"x": 1.0, "y": 1.0}, "b": {"x": 2.0}})
    assert row == {"x": 1.5}
    assert str(mean_row({"a": {"x": 1.0}, "b": {"x": float("nan")}})["x"]) == "nan"


@pytest.mark.parametrize("until", [0, 1])
def test_a_kill_before_the_configuration_is_written_leaves_a_folder_that_begins_anew(
    until: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = app_folder.write_whole, []

    def killed(path: Path, content: str | bytes) -> None:
        written.append(path.name)
        if len(written) > until:
            raise SystemExit
        write(path, content)

    for name in ("adframe.results.run_folder.write_whole", "adframe.io.files.write_whole"):
        monkeypatch.setattr(name, killed)
    with pytest.raises(SystemExit):
        RunFolder(tmp_path / "run").open(config={"seed": 0}, environment={"started": "now"})
    monkeypatch.undo()
    assert written[: until + 1] == ["environment.json", "config.yaml"][: until + 1]
    RunFolder(tmp_path / "run").open(config={"seed": 1}, environment={"started": "later"})
    assert (tmp_path / "run" / "config.yaml").read_text() == "seed: 1\n"


def test_a_file_of_somebody_else_is_not_taken_for_a_run_that_did_not_begin(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text("{}")
    with pytest.raises(AdframeError, match="is not an empty folder"):
        RunFolder(tmp_path).open(config={}, environment={})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("environment.json", "[]"),
        ("metrics.json", "[1]"),
        ("metrics.json", '{"test": {"a": 1}, "val": {}}'),
        ("metrics.json", '{"test": {}}'),
        ("metrics.json", "[" * 100_000),
        ("heatmaps/index.json", '{"a": 1}'),
    ],
)
def test_a_book_of_another_shape_is_one_line_with_its_file(name: str, text: str, tmp_path: Path) -> None:
    folder = opened(tmp_path / "run")
    folder.add("a", results={"x": 1.0}, rows=[], pictures=[], defects={}, drawn=DRAWN)
    (tmp_path / "run" / name).write_text(text)
    with pytest.raises(AdframeError, match=name) as caught:
        RunFolder(tmp_path / "run").reopen()
    assert len(str(caught.value).splitlines()) == 1


def test_a_run_of_several_datasets_cannot_be_moved_by_one_root() -> None:
    plain = {"dataset": {"root": "/a"}, "seed": 1}
    assert with_root(plain, Path("/b")) == {"dataset": {"root": "/b"}, "seed": 1}
    assert plain["dataset"] == {"root": "/a"}
    with pytest.raises(AdframeError, match="whose members have roots of their own"):
        with_root({"dataset": {"root": "/", "members": {"ad": {"root": "/a"}}}}, Path("/b"))
