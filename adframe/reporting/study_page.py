"""A study's page, and its figures and tables as files for a paper."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adframe.io.files import write_whole
from adframe.reporting.document import Block, Figure, Numbers, Picture, Pictures, Study
from adframe.reporting.html import fill
from adframe.reporting.tables import DASH, Table

FIGURES, TABLES = "figures", "tables"  # folders beside the page
_NAME = re.compile(r"[A-Za-z0-9_]+")
_NUMBER = re.compile(r"[-+<\[(]?\s*[\d.]")  # how a cell begins that holds a number
_LARGER = 1.25  # on the page than on paper, where letters are small
_BESIDE = {"leaderboard.html": "All runs"}  # pages that are linked where they lie beside the study's


def write_study(folder: Path, study: Study, *, name: str = "study") -> Path:
    """Writes `<name>.html`, `figures/*.svg`, `*.png`, `tables/*.csv` and `*.tex`; the page comes last.

    The page holds everything it shows; figures are pictures in it, so that nothing of them meets the
    page's own styles or names.

    Args:
        folder: where; made if it is not there.
        study: what is written.
        name: of the page.

    Returns:
        The page.

    Raises:
        ValueError: a name is no file's name (letters, digits, `_`), or two figures or two tables share it.
        AdframeError: a file cannot be written.
    """
    blocks = [block for section in study.sections for block in section.blocks]
    _check_names([block.name for block in blocks if isinstance(block, Figure)], kind="figure")
    _check_names([block.name for block in blocks if isinstance(block, Numbers)], kind="table")
    _check_names([name], kind="page")
    for block in blocks:
        _write_beside(folder, block)
    numbers = {Figure: iter(range(1, len(blocks) + 1)), Numbers: iter(range(1, len(blocks) + 1))}
    sections = [
        {
            "title": section.title,
            "anchor": f"part-{place}",
            "blocks": [_shown(block, numbers=numbers) for block in section.blocks],
        }
        for place, section in enumerate(study.sections, 1)
    ]
    links = [(file, title) for file, title in _BESIDE.items() if (folder / file).is_file()]
    context = {"title": study.title, "study": study, "sections": sections, "links": links}
    page = folder / f"{name}.html"
    write_whole(page, fill("study.html", context, styles=("page.css", "study.css")))
    return page


def _check_names(names: list[str], *, kind: str) -> None:
    for place, name in enumerate(names):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{kind} {name!r}: a file's name has letters, digits and _ only")
        if name.casefold() in (other.casefold() for other in names[:place]):
            raise ValueError(f"{kind} {name!r}: two have that name")


def _write_beside(folder: Path, block: Block) -> None:
    if isinstance(block, Figure):
        write_whole(folder / FIGURES / f"{block.name}.svg", block.svg)
        write_whole(folder / FIGURES / f"{block.name}.png", block.png)
    elif isinstance(block, Numbers):
        write_whole(folder / TABLES / f"{block.name}.csv", (block.raw or block.table).to_csv())
        latex = block.table.to_latex(caption=block.caption, label=f"tab:{block.name}")
        write_whole(folder / TABLES / f"{block.name}.tex", latex)


def _shown(block: Block, *, numbers: dict[type, Iterator[int]]) -> tuple[str, Any]:
    """A block's kind, and what the template reads of it."""
    if isinstance(block, Figure):
        return "figure", {
            "number": next(numbers[Figure]),
            "anchor": f"figure-{block.name}",
            "caption": block.caption,
            "source": _data(block.svg.encode(), kind="svg+xml"),
            "width": _width(block.svg),
            "files": [f"{FIGURES}/{block.name}.{kind}" for kind in ("svg", "png")],
        }
    if isinstance(block, Numbers):
        return "numbers", {
            "number": next(numbers[Numbers]),
            "anchor": f"table-{block.name}",
            "caption": block.caption,
            "table": block.table,
            "words": _columns_of_words(block.table),
            "files": [f"{TABLES}/{block.name}.{kind}" for kind in ("csv", "tex")],
        }
    if isinstance(block, Pictures):
        rows = [(name, [_picture(cell) for cell in cells]) for name, cells in block.rows]
        return "pictures", {"caption": block.caption, "columns": block.columns, "rows": rows}
    return "text", block


def _picture(picture: Picture) -> tuple[str, str]:
    return _data(picture.jpeg, kind="jpeg"), picture.caption


def _data(content: bytes, *, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _columns_of_words(table: Table) -> set[int]:
    """Places of columns that are read as text, and so begin at the left."""
    rows = table.shown
    return {
        place
        for place in range(len(table.columns))
        if any(row[place] and row[place] != DASH and not _NUMBER.match(row[place]) for row in rows)
    }


def _width(svg: str) -> int:
    """Of the drawing on the page, in its pixels."""
    points = re.search(r'<svg[^>]*\bwidth="([0-9.]+)pt"', svg)
    return round(float(points[1]) * 96 / 72 * _LARGER) if points else 640
