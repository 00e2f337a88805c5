"""Writes CSV that a spreadsheet shows unchanged: a text that would be a formula is quoted."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # OWASP, CSV Injection


def csv_text(header: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """Formats a table as CSV; None becomes an empty cell, and numbers stay numbers.

    Args:
        header: names of the columns.
        rows: rows with one cell per column.

    Returns:
        The CSV text.
    """
    return "".join(csv_line(row) for row in (header, *rows))


def csv_line(row: Iterable[object]) -> str:
    """Formats one row of a table as CSV, with the end of the line.

    Args:
        row: the cells.

    Returns:
        The CSV text.

    Example:
        >>> csv_line(["a,b", None, 0.5])
        '"a,b",,0.5\\n'
    """
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([_csv_cell(value) for value in row])
    return out.getvalue()


def _csv_cell(value: object) -> object:
    if not isinstance(value, str) or not value.startswith(_FORMULA) or _is_numeric_text(value):
        return value
    # Readers take a carriage return for the end of a row.
    return f"'{value}".replace("\r", " ")


def _is_numeric_text(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.strip() == text
