"""Folders of finished runs and sweeps of an earlier release are read, and give the same tables cell by cell.

`tests/golden/README.md` says what the folders are. Where a table is meant to change, the change is entered
in `RENAMED` or `REWORDED`; where a number is meant to change, the file in `tests/golden/expected/` is
edited, and the commit says why.
"""

from __future__ import annotations

import csv
import io
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adframe.reporting.run_page import write_page
from tests.e2e.scripts import metrics_of
from tests.golden.replay import CASES, EXPECTED, RUNS, Case, replay, unpack

RENAMED = {  # old name of a file (`tables/alarms.csv`) or of a column -> its name today
    "tables/classes.csv": "tables/categories.csv",
    "class": "category",
    "variant": "method",
    "front_of_latency": "pareto_latency",
    "front_of_size": "pareto_size",
}
REWORDED = {  # old text of a whole cell -> its text today
    "false alarms more at the frozen threshold": "false-positive rate at the frozen threshold",
    "false alarms after recalibrating": "false-positive rate after recalibration",
    "balanced accuracy through recalibrating": "balanced accuracy after recalibration",
    "image AUROC through refitting": "image AUROC after refitting",
    "image AUROC against clean, refitted": "image AUROC after refitting, compared with clean",
    "image AUROC against the model fitted there": "image AUROC compared with the model that was fitted there",
    "a model a class": "one model per category",
    "DinoLora": "DINOv2-LoRA",
    **{
        f"{old}, model for all": f"{new}, one model for all"
        for old, new in (("image AUROC",) * 2, ("pixel AUROC",) * 2, ("false alarms", "FPR"))
    },
}
BRACKETS = re.compile(r"\[(-?[\d.]+), (-?[\d.]+)\]")  # intervals were written so; today: 86.0 to 94.4
RELATIVE = ABSOLUTE = 1e-6  # how far numbers may lie apart: draws are kept in float32
SHOWN = 60  # differences in a message

Rows = list[dict[str, str]]


# Whole studies take most of the time: one sweep, one comparison and some error analyses stay fast tests.
_FAST_CASES = ("ablation", "failed", "compare", "errors", "errors_calibrated", "errors_lora")
# Of the slow ones: from one model of all categories, and from tests under several domains.
_OFTEN = ("global_model", "domain_shift")


def marks_of(name: str) -> list[pytest.MarkDecorator]:
    if name in _FAST_CASES:
        return []
    return [pytest.mark.slow, *([] if name in _OFTEN else [pytest.mark.exhaustive])]


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks_of(name)) for name in CASES])
def test_a_golden_folder_gives_the_same_tables(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)  # pictures only, and slow to load
    if name == "search":
        pytest.importorskip("optuna")
    unpack(tmp_path, CASES[name])
    expected = {
        RENAMED.get(file, file): (EXPECTED / name / file).read_text()
        for file in (
            path.relative_to(EXPECTED / name).as_posix() for path in (EXPECTED / name).rglob("*.csv")
        )
    }
    lines = list(differences(expected, replay(name, tmp_path), case=name))
    more = f"\n... and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    assert not lines, f"{len(lines)} differences:\n" + "\n".join(lines[:SHOWN]) + more


@pytest.mark.parametrize("name", RUNS)
def test_the_page_of_a_golden_run_is_written_again(name: str, tmp_path: Path) -> None:
    unpack(tmp_path, Case("", (name,), ()))
    page = write_page(tmp_path / name).read_text()
    test = metrics_of(tmp_path / name)["test"]
    for category, row in test.items():
        assert category in page
        assert f"{100 * row['image/auroc']:.1f}" in page


def test_a_difference_is_told_by_file_row_column_and_both_values() -> None:
    old = "name,value\na,1.0\nb,2.0\n"
    assert (
        list(differences({"t.csv": old}, {"t.csv": "value,name\n1.0000000000001,a\n2,b\n"}, case="c")) == []
    )
    assert list(differences({"t.csv": old}, {"t.csv": "name,value\na,1.0\nb,2.1\n"}, case="c")) == [
        "c/t.csv, row 2 (b), column value: 2.0 -> 2.1"
    ]
    assert list(differences({"t.csv": old}, {"t.csv": "name,more\na,1.0\nc,2.0\n"}, case="c")) == [
        "c/t.csv, column value: is missing",
        "c/t.csv, column more: is new",
        "c/t.csv, row 2 (b), column name: b -> c",
    ]
    assert list(differences({"t.csv": old}, {"u.csv": old, "t.csv": old + "c,3\n"}, case="c")) == [
        "c/u.csv: is new",
        "c/t.csv: 2 rows -> 3 rows",
    ]
    assert list(differences({"t.csv": old}, {}, case="c")) == ["c/t.csv: is missing"]


def differences(expected: dict[str, str], found: dict[str, str], *, case: str) -> Iterator[str]:
    """A line for every file, column, row or cell in which two sets of CSV files differ."""
    yield from (f"{case}/{file}: is missing" for file in expected if file not in found)
    yield from (f"{case}/{file}: is new" for file in found if file not in expected)
    for file in filter(found.__contains__, expected):
        yield from _of_file(f"{case}/{file}", _rows(expected[file], RENAMED), _rows(found[file], {}))


def _of_file(file: str, old: Rows, new: Rows) -> Iterator[str]:
    before, after = (list(rows[0]) for rows in (old, new))
    yield from (f"{file}, column {column}: is missing" for column in before if column not in after)
    yield from (f"{file}, column {column}: is new" for column in after if column not in before)
    if len(old) != len(new):
        yield f"{file}: {len(old) - 1} rows -> {len(new) - 1} rows"
    for number, (one, other) in enumerate(zip(old[1:], new[1:], strict=False), 1):
        named = ", ".join([text for text in one.values() if text and not _is_number(text)][:3])
        for column in filter(other.__contains__, one):
            if not _is_same(one[column], other[column]):
                yield f"{file}, row {number} ({named}), column {column}: {one[column]} -> {other[column]}"


def _rows(text: str, renamed: dict[str, str]) -> Rows:
    """The header, then every row, by column; a second column of one name is `name (2)`."""
    header, *rows = csv.reader(io.StringIO(text))
    names: list[str] = []
    for name in (renamed.get(column, column) for column in header):
        count = sum(known.partition(" (")[0] == name for known in names)
        names.append(f"{name} ({count + 1})" if count else name)
    return [dict(zip(names, row, strict=True)) for row in (header, *rows)]


def _is_same(old: str, new: str) -> bool:
    if _is_number(old) and _is_number(new):
        a, b = float(old), float(new)
        return math.isclose(a, b, rel_tol=RELATIVE, abs_tol=ABSOLUTE) or (math.isnan(a) and math.isnan(b))
    return BRACKETS.sub(r"\1 to \2", REWORDED.get(old, old)) == new


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
