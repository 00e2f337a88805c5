"""Tables as plain data, and the ways to show them.

For people (Markdown, LaTeX, terminal, page) a metric is a percentage with one decimal, as the field's
papers print it: 98.7. For programs (CSV) it is the raw number under its full name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import rich.box
import rich.table
import rich.text

from adframe.io.csv_text import csv_text
from adframe.results.names import HEADLINE, MEAN, TITLES, Metrics

Cell = str | int | float | None

_NAME = 24  # characters of a category's name on one line of the terminal
DASH = "–"  # noqa: RUF001  (an en dash on purpose: what is not known)
_LATEX = {letter: f"\\{letter}" for letter in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    DASH: "--",
    "\n": " ",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its full name, its short title, and whether it holds shares shown as percentages."""

    key: str
    title: str
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of raw values under columns; `shown` is what people read."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def header(self) -> tuple[str, ...]:
        return tuple(column.title for column in self.columns)

    @property
    def shown(self) -> tuple[tuple[str, ...], ...]:
        pairs = (zip(row, self.columns, strict=True) for row in self.rows)
        return tuple(tuple(shown(cell, percent=column.percent) for cell, column in row) for row in pairs)

    def part(self, start: int, stop: int | None) -> Table:
        """The rows from `start` up to `stop`, or to the end."""
        return Table(self.columns, self.rows[start:stop])

    def to_csv(self) -> str:
        """Full names and raw values, for programs; what is missing is empty."""
        rows = ([None if _missing(cell) else cell for cell in row] for row in self.rows)
        return csv_text([column.key for column in self.columns], rows)

    def to_markdown(self) -> str:
        """A GitHub table, numbers right-aligned."""
        rule = [":---", *["---:"] * (len(self.columns) - 1)]
        lines = [self.header, rule, *self.shown]
        return "".join(f"| {' | '.join(_escaped(cell) for cell in line)} |\n" for line in lines)

    def to_latex(self, *, caption: str | None = None, label: str = "") -> str:
        """A `tabular` for the package booktabs, numbers right-aligned, the mean's rows bold below a rule.

        Args:
            caption: above it; with one the `tabular` stands in a `table`.
            label: of that `table`, to refer to.
        """
        rule = "\\midrule\n"
        lines = [_latex_row(self.header), rule]
        for place, (row, texts) in enumerate(zip(self.rows, self.shown, strict=True)):
            if row[0] == MEAN and place and self.rows[place - 1][0] != MEAN:
                lines.append(rule)
            lines.append(_latex_row(texts, bold=row[0] == MEAN))
        sides = "l" + "r" * (len(self.columns) - 1)
        body = "".join(["\\toprule\n", *lines, "\\bottomrule\n"])
        plain = f"\\begin{{tabular}}{{{sides}}}\n{body}\\end{{tabular}}\n"
        if caption is None:
            return plain
        head = f"\\centering\n\\caption{{{_latex(caption)}}}\n" + (f"\\label{{{label}}}\n" if label else "")
        return f"\\begin{{table}}\n{head}{plain}\\end{{table}}\n"

    def to_rich(
        self, *, width: int = 100, title: str | None = None, rest: str = "metrics.json"
    ) -> rich.table.Table:
        """A terminal table of at most `width` characters; the last columns go where not all fit.

        Args:
            width: of the terminal.
            title: above the table.
            rest: where a reader finds the columns that were left out.
        """
        fits = self._fitting(width)
        left_out = len(self.columns) - fits
        caption = f"{left_out} more columns in {rest}" if left_out else None
        table = rich.table.Table(title=title, caption=caption, box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for place, name in enumerate(self.header[:fits]):
            stacked = rich.text.Text(name.replace(" ", "\n"))
            # The first column gives way, the numbers never do.
            side: Literal["left", "right"] = "right" if place else "left"
            widest = None if place else _NAME
            table.add_column(stacked, justify=side, no_wrap=place > 0, overflow="fold", max_width=widest)
        for row, texts in zip(self.rows, self.shown, strict=True):
            style = "bold" if row[0] == MEAN else None
            table.add_row(*(rich.text.Text(text) for text in texts[:fits]), style=style)
        return table

    def _fitting(self, width: int) -> int:
        """How many columns fit when each is as wide as its widest word, the first at most `_NAME`."""
        used = 1  # the edges; each column adds its padding and a divider
        for place, column in enumerate(self.columns):
            cells = [row[place] for row in self.shown]
            widest = max(len(word) for word in (*column.title.split(" "), *cells))
            used += (widest if place else min(widest, _NAME)) + 2
            if used > width and place:
                return place
        return len(self.columns)


def metrics_table(metrics: Metrics) -> Table:
    """Categories, then the mean of two or more, by the headline metrics that at least one of them has.

    Args:
        metrics: one split of metrics.json: `{"bottle": {"image/auroc": 0.99, ...}, "mean": {...}}`.
    """
    names = [name for name in metrics if name != MEAN]
    names += [MEAN] if MEAN in metrics and len(names) > 1 else []  # the mean of one category repeats it
    keys = [key for key in HEADLINE if any(not _missing(metrics[name].get(key)) for name in names)]
    columns = (Column("category", "category"), *(Column(key, HEADLINE[key], True) for key in keys))
    return Table(columns, tuple((name, *(metrics[name].get(key) for key in keys)) for name in names))


def table_of(rows: Sequence[Mapping[str, Cell]], *, keys: Sequence[str] | None = None) -> Table:
    """Any list of dicts as a table, such as a sweep's leaderboard.

    Args:
        rows: one dict per row; what a row lacks is shown as a dash.
        keys: the columns, in order; by default every key, in the order of first appearance.
    """
    names = list(keys) if keys is not None else list(dict.fromkeys(key for row in rows for key in row))
    columns = tuple(Column(name, TITLES.get(name, name), is_share(name)) for name in names)
    return Table(columns, tuple(tuple(row.get(name) for name in names) for row in rows))


def is_share(key: str) -> bool:
    """Whether a column holds one of the metrics that are shares; a Brier score is a squared distance."""
    parts = key.split("/")
    if parts[-1] == "brier":
        return False
    return "image" in parts[:-1] or "pixel" in parts[:-1]


def shown(value: Cell, *, percent: bool = False) -> str:
    """A value as people read it: 0.9871 as a percentage is 98.7, what is missing is an en dash."""
    if value is None or _missing(value):
        return DASH
    if isinstance(value, str | bool):
        return str(value)
    if percent:
        return f"{100 * value:.1f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _missing(value: Cell) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _latex_row(texts: Sequence[str], *, bold: bool = False) -> str:
    cells = [_latex(text) for text in texts]
    if cells[0].startswith(("[", "*")):
        cells[0] = "{}" + cells[0]  # or the line break before it would take it for its own argument
    return " & ".join(f"\\textbf{{{cell}}}" if bold else cell for cell in cells) + " \\\\\n"


def _latex(text: str) -> str:
    """Text that LaTeX prints as it is, whatever the font's encoding; a number's sign becomes a minus."""
    escaped = "".join(_LATEX.get(letter, letter) for letter in text)
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", escaped)
