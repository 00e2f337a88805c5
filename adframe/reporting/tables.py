"""Tables as plain data, and their forms: Markdown, LaTeX, terminal, page and CSV.

For readers (Markdown, LaTeX, terminal, page) a metric is a percentage with one decimal, as papers print it:
98.7. For programs (CSV) it is the unrounded number under its full name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import rich.box
import rich.table
import rich.text

from adframe.io.csv_text import csv_text
from adframe.results.names import HEADLINE, MEAN, TITLES, Metrics

Cell = str | int | float | None

_NAME_WIDTH = 24  # characters per line of a category's name in the terminal
# A cell that holds a number, with its unit or its interval; `000.png` and `6,144 patches` are words.
_NUMBER = re.compile(r"[-+<\[(]?\s*[\d.](?!.*[A-Za-z]{4})(?!.*\.[A-Za-z])")
DASH = "–"  # noqa: RUF001  (an en dash on purpose: an unknown value)
_NO_VALUES = (DASH, "failed", "not run")  # stand in a column of numbers for a missing one
_LATEX = {letter: f"\\{letter}" for letter in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    DASH: "--",
    "±": r"$\pm$",
    "\n": " ",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        key: its full name, such as `image/auroc`.
        title: its short title.
        percent: whether it holds shares in [0, 1] that are shown as percentages.

    Example:
        >>> table = Table((Column("image/auroc", "AUROC", percent=True),), ((0.9871,),))
        >>> table.header, table.shown
        (('AUROC',), (('98.7',),))
    """

    key: str
    title: str
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of unrounded values under columns; `shown` has the texts for readers.

    Attributes:
        columns: from left to right.
        rows: the cells of each row, in the order of the columns.

    Example:
        >>> table = table_of([{"category": "bottle", "image/auroc": 0.9871}])
        >>> table.shown
        (('bottle', '98.7'),)
        >>> print(table.to_csv(), end="")
        category,image/auroc
        bottle,0.9871
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def header(self) -> tuple[str, ...]:
        """The titles of the columns."""
        return tuple(column.title for column in self.columns)

    @property
    def shown(self) -> tuple[tuple[str, ...], ...]:
        """The texts of the cells, row by row."""
        pairs = (zip(row, self.columns, strict=True) for row in self.rows)
        return tuple(tuple(shown(cell, percent=column.percent) for cell, column in row) for row in pairs)

    @property
    def word_columns(self) -> set[int]:
        """The places of columns that hold text, which is aligned at the left."""
        return {
            place
            for place in range(len(self.columns))
            if any(
                row[place] and row[place] not in _NO_VALUES and not _NUMBER.match(row[place])
                for row in self.shown
            )
        }

    def part(self, start: int, stop: int | None) -> Table:
        """Returns some of the rows.

        Args:
            start: the first row.
            stop: the row after the last one; None for the end.

        Returns:
            A table with the same columns.
        """
        return Table(self.columns, self.rows[start:stop])

    def to_csv(self) -> str:
        """Writes full names and unrounded values, for programs.

        Returns:
            CSV text; a missing value is an empty cell.
        """
        rows = ([None if _is_missing(cell) else cell for cell in row] for row in self.rows)
        return csv_text([column.key for column in self.columns], rows)

    def to_markdown(self) -> str:
        """Writes a GitHub table: words begin at the left, numbers end at the right.

        Returns:
            Markdown text.
        """
        words = self.word_columns | {0}
        rule = [":---" if place in words else "---:" for place in range(len(self.columns))]
        lines = [self.header, rule, *self.shown]
        escaped = (
            [cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ") for cell in line]
            for line in lines
        )
        return "".join(f"| {' | '.join(line)} |\n" for line in escaped)

    def to_latex(self, *, caption: str | None = None, label: str = "") -> str:
        """Writes a `tabular` for the package booktabs, with the rows of the mean bold below a rule.

        Args:
            caption: above the table; with a caption, the `tabular` is inside of a `table`.
            label: of that `table`, for references.

        Returns:
            LaTeX text.
        """
        rule = "\\midrule\n"
        lines = [_latex_row(self.header), rule]
        for place, (row, texts) in enumerate(zip(self.rows, self.shown, strict=True)):
            if row[0] == MEAN and place and self.rows[place - 1][0] != MEAN:
                lines.append(rule)
            lines.append(_latex_row(texts, bold=row[0] == MEAN))
        sides = "l" + "".join(
            "l" if place in self.word_columns else "r" for place in range(1, len(self.columns))
        )
        body = "".join(["\\toprule\n", *lines, "\\bottomrule\n"])
        plain = f"\\begin{{tabular}}{{{sides}}}\n{body}\\end{{tabular}}\n"
        if caption is None:
            return plain
        head = f"\\centering\n\\caption{{{latex_text(caption)}}}\n" + (
            f"\\label{{{label}}}\n" if label else ""
        )
        return f"\\begin{{table}}\n{head}{plain}\\end{{table}}\n"

    def to_rich(
        self, *, width: int = 100, title: str | None = None, rest: str = "metrics.json"
    ) -> rich.table.Table:
        """Builds a table for the terminal; where not all columns fit, the last ones are left out.

        Args:
            width: of the terminal in characters.
            title: above the table.
            rest: the file in which a reader finds the columns that were left out.

        Returns:
            The table, not wider than `width` where the first two columns fit.
        """
        fits = self._fitting(width)
        left_out = len(self.columns) - fits
        caption = f"{left_out} more columns in {rest}" if left_out else None
        table = rich.table.Table(title=title, caption=caption, box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for place, name in enumerate(self.header[:fits]):
            stacked = rich.text.Text(name.replace(" ", "\n"))
            # Only the first column is wrapped: a wrapped number would be unreadable.
            side: Literal["left", "right"] = "right" if place else "left"
            widest = None if place else _NAME_WIDTH
            table.add_column(stacked, justify=side, no_wrap=place > 0, overflow="fold", max_width=widest)
        for row, texts in zip(self.rows, self.shown, strict=True):
            style = "bold" if row[0] == MEAN else None
            table.add_row(*(rich.text.Text(text) for text in texts[:fits]), style=style)
        return table

    def _fitting(self, width: int) -> int:
        """Counts the columns that fit, each as wide as its widest word (the first up to `_NAME_WIDTH`)."""
        used = 1  # the edges; each column adds its padding and a divider
        for place, column in enumerate(self.columns):
            cells = [row[place] for row in self.shown]
            widest = max(len(word) for word in (*column.title.split(" "), *cells))
            used += (widest if place else min(widest, _NAME_WIDTH)) + 2
            if used > width and place:
                return place
        return len(self.columns)


def metrics_table(metrics: Metrics) -> Table:
    """Builds the table of categories, with the mean of two or more as its last row.

    Args:
        metrics: one split of metrics.json: `{"bottle": {"image/auroc": 0.99, ...}, "mean": {...}}`.

    Returns:
        The table, with those main metrics as columns that at least one category has.
    """
    names = [name for name in metrics if name != MEAN]
    names += [MEAN] if MEAN in metrics and len(names) > 1 else []  # the mean of one category repeats it
    keys = [key for key in HEADLINE if any(not _is_missing(metrics[name].get(key)) for name in names)]
    columns = (Column("category", "category"), *(Column(key, HEADLINE[key], True) for key in keys))
    return Table(columns, tuple((name, *(metrics[name].get(key) for key in keys)) for name in names))


def table_of(rows: Sequence[Mapping[str, Cell]], *, keys: Sequence[str] | None = None) -> Table:
    """Makes a table of dicts, such as the runs of a sweep.

    Args:
        rows: one dict per row; a missing key is shown as a dash.
        keys: the columns in order; by default every key, in the order of first appearance.

    Returns:
        The table; columns of shares are shown as percentages.
    """
    names = list(keys) if keys is not None else list(dict.fromkeys(key for row in rows for key in row))
    columns = tuple(Column(name, TITLES.get(name, name), is_share(name)) for name in names)
    return Table(columns, tuple(tuple(row.get(name) for name in names) for row in rows))


def table_of_columns(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> Table:
    """Builds a table with the given columns from a list of mappings.

    Args:
        columns: the columns, in order; a mapping has a value for the key of each.
        rows: one mapping per row; further keys are ignored.
    """
    return Table(tuple(columns), tuple(tuple(row[column.key] for column in columns) for row in rows))


def is_share(key: str) -> bool:
    """Returns whether a column holds a metric that is a share.

    Args:
        key: name of the column.

    Returns:
        Whether it is an image or pixel metric; a Brier score is no share, but a mean squared error.
    """
    parts = key.split("/")
    if parts[-1] == "brier":
        return False
    return "image" in parts[:-1] or "pixel" in parts[:-1]


def shown(value: Cell, *, percent: bool = False) -> str:
    """Writes a value for readers.

    Args:
        value: of a cell.
        percent: whether a number is a share, shown in per cent.

    Returns:
        For example `98.7` for 0.9871 as a percentage; an en dash for a missing value.

    Example:
        >>> shown(0.9871, percent=True), shown(0.123456)
        ('98.7', '0.1235')
    """
    if value is None or _is_missing(value):
        return DASH
    if isinstance(value, str | bool):
        return str(value)
    if percent:
        return f"{100 * value:.1f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_missing(value: Cell) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _latex_row(texts: Sequence[str], *, bold: bool = False) -> str:
    cells = [latex_text(text) for text in texts]
    if cells[0].startswith(("[", "*")):
        cells[0] = "{}" + cells[0]  # otherwise `\\` of the line before would read it as its argument
    return " & ".join(f"\\textbf{{{cell}}}" if bold else cell for cell in cells) + " \\\\\n"


def latex_text(text: str) -> str:
    """Escapes a text for LaTeX, whatever the encoding of the font; the sign of a number becomes a minus.

    Args:
        text: any text.

    Returns:
        LaTeX text.
    """
    escaped = "".join(_LATEX.get(letter, letter) for letter in text)
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", escaped)
