"""Writes pages as self-contained HTML, and their figures and tables as files for a paper."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adframe.io.files import write_whole
from adframe.reporting.document import (
    Block,
    CardGallery,
    Details,
    Figure,
    Page,
    Picture,
    Pictures,
    Section,
    TableBlock,
    blocks_of,
)
from adframe.reporting.figure_render import inline, png, svg, width
from adframe.reporting.format import capitalised
from adframe.reporting.html import fill
from adframe.reporting.latex import label_of, study_of
from adframe.reporting.terms import PageTerms
from adframe.results.gallery import picture_uris

FIGURES, TABLES = "figures", "tables"  # folders next to a page
_FILE_NAME = re.compile(r"[A-Za-z0-9_]+")


def write_document(folder: Path, page: Page, *, name: str = "study") -> Path:
    """Writes `<name>.html`, `figures/*.svg`, `*.png`, `tables/*.csv` and `*.tex`; the page comes last.

    Args:
        folder: where; it is created if missing.
        page: the page.
        name: of the HTML file, without suffix.

    Returns:
        The path of the page.

    Raises:
        ValueError: a name has characters other than letters, digits and `_`, or two figures or tables share
            one.
        AdframeError: a file cannot be written.
    """
    _check_file_names([name], kind="page")
    drawings = _drawings(page)
    for figure in (block for block in blocks_of(page) if isinstance(block, Figure)):
        write_whole(folder / FIGURES / f"{figure.name}.svg", drawings[figure.name])
        write_whole(folder / FIGURES / f"{figure.name}.png", png(figure))
    for block in blocks_of(page):
        if isinstance(block, TableBlock):
            write_whole(folder / TABLES / f"{block.name}.csv", (block.raw or block.table).to_csv())
            label = label_of(study_of(page.command, default=name), block.name)
            latex = block.latex or block.table.to_latex(caption=block.caption, label=label)
            write_whole(folder / TABLES / f"{block.name}.tex", latex)
    links = [(file, title) for file, title in page.links if (folder / file).is_file()]
    path = folder / f"{name}.html"
    write_whole(path, _rendered(page, drawings, links=links, has_files=True))
    return path


def render_page(page: Page) -> str:
    """Renders a page without files next to it: pictures, style and script are inside.

    Args:
        page: the page.

    Returns:
        The text of the HTML file.

    Raises:
        ValueError: a name has characters other than letters, digits and `_`, or two figures or tables share
            one.
    """
    return _rendered(page, _drawings(page), links=list(page.links), has_files=False)


def _drawings(page: Page) -> dict[str, str]:
    """Returns the SVG of each figure by its name, after all names have been checked."""
    blocks = blocks_of(page)
    figures = [block for block in blocks if isinstance(block, Figure)]
    _check_file_names([figure.name for figure in figures], kind="figure")
    _check_file_names([block.name for block in blocks if isinstance(block, TableBlock)], kind="table")
    return {figure.name: svg(figure) for figure in figures}


def _check_file_names(names: list[str], *, kind: str) -> None:
    known: set[str] = set()
    for name in names:
        if not _FILE_NAME.fullmatch(name):
            raise ValueError(f"{kind} {name!r}: the name must have only letters, digits and _")
        if name.casefold() in known:
            raise ValueError(f"{kind} {name!r}: two of the page have this name")
        known.add(name.casefold())


def _rendered(
    page: Page, drawings: Mapping[str, str], *, links: Sequence[tuple[str, str]], has_files: bool
) -> str:
    # Pictures are identified by id: two may have equal content and different captions.
    pictures = [picture for block in blocks_of(page) for picture in _pictures_of(block)]
    uris = picture_uris({str(id(picture)): picture.content for picture in pictures})
    view = _View(drawings, {int(name): uri for name, uri in uris.items()}, has_files=has_files)
    terms = PageTerms()
    for drawing in drawings.values():
        terms.drawing(drawing)
    return fill(
        {
            "page": page,
            "sections": [view.section(each, place) for place, each in enumerate(page.sections, 1)],
            "links": links,
            "has_files": has_files,
            "terms": terms,
        }
    )


def _pictures_of(block: Block) -> Iterator[Picture]:
    if isinstance(block, Pictures):
        yield from (picture for _, pictures in block.rows for picture in pictures)
    elif isinstance(block, CardGallery):
        yield from (picture for card in block.cards for picture in card.pictures)


@dataclass
class _View:
    """Turns sections and blocks into the variables of the template; it counts figures and tables."""

    drawings: Mapping[str, str]
    uris: Mapping[int, str]
    has_files: bool
    numbers: dict[type, int] = field(default_factory=dict)

    def section(self, section: Section, place: int) -> dict[str, Any]:
        return {
            "title": section.title,
            "anchor": section.anchor or f"part-{place}",
            "group": section.group,
            "number": section.number,
            "blocks": [self.block(block) for block in section.blocks],
        }

    def block(self, block: Block) -> dict[str, Any]:
        """Returns the block, its kind, which names the macro that writes it, and values derived from it."""
        kind = "Paragraph" if isinstance(block, str) else type(block).__name__
        shown: dict[str, Any] = {"kind": kind, "item": block}
        if isinstance(block, Figure | TableBlock):
            self.numbers[type(block)] = self.numbers.get(type(block), 0) + 1
            shown |= {"number": self.numbers[type(block)], "caption": capitalised(block.caption)}
        if isinstance(block, Figure):
            drawing = self.drawings[block.name]
            shown |= {"drawing": inline(drawing, alt=block.caption), "width": width(drawing)}
        if isinstance(block, TableBlock):
            shown["words"] = block.table.word_columns
        if isinstance(block, Pictures):
            shown["rows"] = [
                (
                    name,
                    [
                        self.picture(each, alt=f"{name}: {column}")
                        for each, column in zip(cells, block.columns, strict=True)
                    ],
                )
                for name, cells in block.rows
            ]
        if isinstance(block, CardGallery):
            shown["cards"] = [
                (card, [self.picture(each, alt=each.caption or card.title) for each in card.pictures])
                for card in block.cards
            ]
            shown["across"] = block.across or max((len(card.pictures) for card in block.cards), default=1)
        if isinstance(block, Details):
            shown["blocks"] = [self.block(each) for each in block.blocks]
        return shown

    def picture(self, picture: Picture, *, alt: str) -> dict[str, str]:
        uri = self.uris.get(id(picture), "")
        return {"uri": uri, "caption": picture.caption, "alt": picture.alt or alt}
