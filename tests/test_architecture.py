"""The rules of the house that can be read off the source (DESIGN, sections 2 and 7)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "adframe"
MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = [ROOT / f"{name}.py" for name in ("train", "sweep", "evaluate")]
FLOORS = [  # a room imports only rooms of the floors above it in this list
    {"errors", "contracts"},
    {"io", "stats"},
    {"ops"},
    {"transforms", "toy"},
    {"data", "models", "metrics", "calibration"},
    {"results"},
    {"systems", "reporting"},
    {"callbacks", "diagnostics", "inference"},
    {"runs", "export", "serving"},
    {"analysis"},
    {"config"},
    {"cli"},
    {"sweeps", "app", "api", "__main__"},  # `app` holds one earlier name of a command
]
HYDRA = {"config", "sweeps", "cli"}
LEVEL = {room: level for level, floor in enumerate(FLOORS) for room in floor}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file the import stands."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("adframe.")}


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_rooms_import_only_rooms_to_their_left() -> None:
    wrong = [
        f"{names(path)} may not import {room}"
        for path in MODULES
        if path != PACKAGE / "__init__.py"
        for room in sorted(rooms(path) - {room_of(path)})
        if LEVEL[room] >= LEVEL[room_of(path)]
    ]
    assert wrong == []


def test_every_folder_of_the_package_is_a_room_of_the_plan() -> None:
    assert {room_of(path) for path in MODULES} - {"__init__"} == set(LEVEL)


def test_only_rooms_that_need_it_know_hydra() -> None:
    known = {
        path: {name.split(".")[0] for name in imports(path)} for path in MODULES if room_of(path) not in HYDRA
    }
    assert [names(path) for path in known if known[path] & {"hydra", "omegaconf"}] == []


def test_scripts_hold_no_logic() -> None:
    assert [len(path.read_text().splitlines()) <= 30 for path in SCRIPTS] == [True] * 3
    assert all(rooms(path) <= {"cli", "config", "runs", "sweeps"} for path in SCRIPTS)


def test_every_init_is_empty_and_nothing_is_called_utils() -> None:
    sources = [*MODULES, *(ROOT / "tests").rglob("*.py")]
    assert [
        names(path)
        for path in sources
        if path.name == "__init__.py" and path != PACKAGE / "__init__.py" and path.read_text().strip()
    ] == []
    assert [
        names(path) for path in sources if "util" in path.stem.lower() or "helpers" in path.stem.lower()
    ] == []


def lines_of_code(path: Path) -> int:
    """Lines that hold more than documentation: no docstring, no comment, not empty."""
    defined = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    documented = set[int]()
    for node in ast.walk(parsed(path)):
        if isinstance(node, defined) and ast.get_docstring(node) is not None:
            documented.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines = [(number, line.strip()) for number, line in enumerate(path.read_text().splitlines(), start=1)]
    return sum(bool(line) and line[0] != "#" and number not in documented for number, line in lines)


def test_no_module_has_more_than_250_lines_of_code() -> None:
    assert [(names(path), lines_of_code(path)) for path in MODULES if lines_of_code(path) > 250] == []


def test_no_signature_swallows_keyword_arguments() -> None:
    sinks = [
        f"{names(path)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.args.kwarg
        if not isinstance(node.body[-1], ast.Raise)  # what refuses everything swallows nothing
    ]
    assert sinks == []


def test_every_test_folder_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    assert [names(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []
