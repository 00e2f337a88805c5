"""Figures: the same bytes every time, whole by themselves, honest about shares and what is not known."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from collections.abc import Callable
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from adframe.reporting import figures
from adframe.reporting.document import Figure
from adframe.reporting.figure_render import inline, png, svg
from adframe.reporting.figure_style import title_lines, wrapped
from adframe.stats.calibration_error import Bin

SVG = "{http://www.w3.org/2000/svg}"
RATES = (np.array([0, 0.5, 1]), np.array([0, 0.9, 1]), 0.7)
BARS = {"a": {"bolt": (0.891, 0.8, 0.95), "tray": None}, "b": {"bolt": 0.7, "tray": 0.6}}
POINTS = np.random.default_rng(0).normal(size=(3000, 2))
DRAWN: dict[str, Callable[[], Figure]] = {
    "bars": lambda: figures.bars("f", caption="c", values=BARS, y_name="AUROC, %", base=0.5),
    "scatter": lambda: figures.scatter(
        "f", caption="c", points={"a": [(0.1, 0.2, "bolt")]}, x_name="x, %", y_name="y", front=[(0.1, 0.2)]
    ),
    "matrix": lambda: figures.matrix(
        "f", caption="c", rows=["a"], columns=["b", "c"], values=np.array([[0.25, np.nan]]), unit="%"
    ),
    "roc": lambda: figures.roc_figure("f", caption="c", curves={"a": RATES}),
    "roc_panels": lambda: figures.roc_panels("f", caption="c", panels={"bolt": {"a": RATES}, "tray": {}}),
    "lines": lambda: figures.lines(
        "f", caption="c", series={"a": [(0.01, 0.5, 0.4, 0.6), (0.1, 0.6, None, None)]}, x_name="x",
        y_name="y, %", log_x=True, rings=[(0.1, 0.6)], ring_name="best",
    ),
    "histogram": lambda: figures.histogram(
        "f", caption="c", series={"a": [1.0, 2.0], "b": []}, x_name="score", marks={"threshold": 1.5}
    ),
    "cloud": lambda: figures.cloud("f", caption="c", panels={"layer": (POINTS, ["a", "b"] * 1500)}),
    "reliability": lambda: figures.reliability(
        "f", caption="c", series={"a": [Bin(5, 0.1, 0.2), Bin(1, 1.0, 1.0)], "b": [Bin(2, 0.5, 0.5)]}
    ),
}  # fmt: skip


def words(figure: Figure) -> list[str]:
    """The texts of a figure."""
    return [
        "".join(each.itertext()).strip() for each in ElementTree.fromstring(svg(figure)).iter(f"{SVG}text")
    ]


@pytest.mark.parametrize("kind", DRAWN)
def test_a_figure_is_whole_and_the_same_every_time(kind: str) -> None:
    before = dict(matplotlib.rcParams)
    drawing, picture = svg(DRAWN[kind]()), png(DRAWN[kind]())
    assert ElementTree.fromstring(drawing).tag == f"{SVG}svg"
    assert picture.startswith(b"\x89PNG")
    assert (drawing, picture) == (svg(DRAWN[kind]()), png(DRAWN[kind]()))
    assert len(drawing) < 1_000_000
    assert not re.search(r'(href|src)="(?!#|data:)', drawing)
    assert dict(matplotlib.rcParams) == before
    assert gc.isenabled()


@pytest.mark.parametrize("kind", DRAWN)
def test_on_a_page_text_axes_and_grid_have_the_pages_colour(kind: str) -> None:
    found = inline(svg(DRAWN[kind]()), alt="<b>")
    assert "currentColor" in found
    assert not re.search(r"#(18212b|5a6570|d9dee3)", found)
    assert 'aria-label="&lt;b&gt;"' in found
    assert "http" not in found


@pytest.mark.slow
def test_nothing_is_imported_to_draw_before_something_is_drawn() -> None:
    rooms = ("run_page", "dataset_page", "leaderboard_page", "page_writer", "patch_sections", "figures")
    names = ", ".join(rooms)
    code = f"import sys\nfrom adframe.reporting import {names}\nassert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_that_look_like_mathematics_or_markup_are_drawn_as_they_are() -> None:
    name = "<b>$\\frac{a$"
    assert name in words(figures.bars("f", caption="c", values={"v": {name: 0.5, "b": 0.4}}, y_name="y"))


def test_axes_begin_with_a_capital_letter() -> None:
    assert {"Score", "Share of each group, %"} <= set(words(DRAWN["histogram"]()))


def test_shares_are_shown_in_per_cent_where_the_axis_says_so() -> None:
    assert "89.1" in words(figures.bars("f", caption="c", values=BARS, y_name="AUROC, %"))
    plain = words(figures.bars("f", caption="c", values=BARS, y_name="AUROC"))
    assert "0.891" in plain
    assert "89.1" not in plain


def test_what_is_not_known_is_said_and_never_a_zero() -> None:
    shown = words(figures.bars("f", caption="c", values=BARS, y_name="AUROC, %"))
    assert shown.count("n/a") == 1
    assert "0.0" not in shown
    cells = words(DRAWN["matrix"]())
    assert "25.0" in cells
    assert "nan" not in cells


def test_with_one_class_every_variant_has_its_bar_and_its_name() -> None:
    values = {f"v{number}": {"bolt": 0.5} for number in range(4)}
    assert {"bolt", "v0", "v1", "v2", "v3"} <= set(
        words(figures.bars("f", caption="", values=values, y_name="y"))
    )


def test_names_of_points_never_cover_each_other() -> None:
    def named(points: list[tuple[float, float, str]]) -> int:
        figure = figures.scatter("f", caption="c", points={"a": points}, x_name="x", y_name="y")
        return sum(text.startswith("class") for text in words(figure))

    assert named([(place, place, f"class{place}") for place in range(5)]) == 5
    crowd = [(0.5 + place / 1e6, 0.5, f"class_of_a_long_name_{place}") for place in range(60)]
    assert 0 < named(crowd) < 60


def test_a_matrix_of_another_shape_than_its_names_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 rows and 1 columns"):
        figures.matrix("f", caption="c", rows=["a"], columns=["b"], values=np.zeros((1, 2)), unit="")


def test_long_names_are_broken_without_losing_a_letter() -> None:
    name = "splicing_connectors, reduce=random"
    lines = wrapped(name, width=12).split("\n")
    assert max(map(len, lines)) <= 12
    assert "".join(lines).replace(" ", "") == name.replace(" ", "")


def test_the_title_of_a_panel_is_never_cut_off() -> None:
    name = "Wide_Resnet, moderate, weave_of_the_second_line_in_the_night_shift " + "x" * 60
    panels = {name: {"a": RATES}, "tray": {"a": RATES}, "bolt": {"a": RATES}}
    shown = words(figures.roc_panels("f", caption="c", panels=panels))
    lines = title_lines(name, room=1.75).split("\n")
    assert set(lines) <= set(shown)
    assert max(map(len, lines)) <= 23
    assert "".join(lines).replace(" ", "") == name.replace(" ", "")
