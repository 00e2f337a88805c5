"""The model of a page: sections of text, figures, tables and pictures, whatever the page is about.

Pages of runs, datasets, sweeps, studies, comparisons and error analyses fill these in; `page_writer` writes
them as HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from adframe.reporting.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

Cell = tuple[int, int]  # row and column of a table's body


@dataclass(frozen=True, slots=True)
class Figure:
    """One drawing that is not drawn yet: `figure_render` makes SVG or PNG of it where one is wanted.

    Attributes:
        name: of its files, unique on a page: letters, digits and `_`.
        caption: one or two sentences: what is seen, in which units.
        size: (width, height) in inches.
        draw: fills an empty canvas of matplotlib.
        margins: (left, bottom, right, top) of the axes in shares of the canvas; None: found by
            matplotlib's constrained layout, which takes as long as the drawing itself.
    """

    name: str
    caption: str
    size: tuple[float, float]
    draw: Callable[[Canvas], None]
    margins: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class TableBlock:
    """One table.

    Attributes:
        name: of its files, unique on a page.
        caption: what its numbers are, in which units.
        table: for people; this is what the page and the LaTeX file show.
        raw: for programs, where other columns or more digits are wanted in the CSV file.
        marks: cells that are `best` or `worst`.
        notes: a second, smaller line of a cell, such as its interval.
        links: where the text of a cell leads.
        total: the first cell of rows that sum up the others.
    """

    name: str
    caption: str
    table: Table
    raw: Table | None = None
    marks: Mapping[Cell, str] = field(default_factory=dict)
    notes: Mapping[Cell, str] = field(default_factory=dict)
    links: Mapping[Cell, str] = field(default_factory=dict)
    total: str = "mean"


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture.

    Attributes:
        content: the bytes of a JPEG or PNG file; empty where there is none.
        caption: what it shows, short.
        alt: the same in words for people who do not see it; by default the caption.
    """

    content: bytes
    caption: str = ""
    alt: str = ""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Rows of pictures, one row per image or case; all rows have the same columns."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Picture, ...]], ...]  # (what the row is, its pictures)


@dataclass(frozen=True, slots=True)
class Card:
    """Pictures of one image side by side, with what is known of it.

    Attributes:
        pictures: from left to right.
        title: its name.
        note: a line below the title.
        path: of the file, shown small and shortened at its left end.
        verdict: `right` or `wrong` where a decision can be judged.
    """

    pictures: tuple[Picture, ...]
    title: str
    note: str = ""
    path: str = ""
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Gallery:
    """Cards in as many columns as fit.

    Attributes:
        cards: in order.
        title: what the cards are, beside them; "" where a heading says it.
        note: a small line below the title.
        size: of the cards; `small` suits single pictures, `large` several side by side.
    """

    cards: tuple[Card, ...]
    title: str = ""
    note: str = ""
    size: Literal["small", "medium", "large"] = "large"


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph of another kind than plain text, which is a string.

    Attributes:
        content: the text.
        kind: `remark` is smaller; `absent` says why something is missing; `note` warns.
    """

    content: str
    kind: Literal["remark", "absent", "note"] = "remark"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading within a section."""

    title: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values in one line; as `tiles` they are large, the value first."""

    pairs: tuple[tuple[str, str], ...]
    tiles: bool = False


@dataclass(frozen=True, slots=True)
class Code:
    """The content of a file, word by word."""

    content: str


@dataclass(frozen=True, slots=True)
class Details:
    """Blocks that are folded away below a line that says what they are."""

    summary: str
    blocks: tuple[Block, ...]
    is_open: bool = False


Block: TypeAlias = "str | Text | Heading | Facts | Code | Figure | TableBlock | Pictures | Gallery | Details"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it.

    Attributes:
        title: the heading.
        blocks: in order.
        anchor: to link to; by default `part-` and the section's number.
        group: the heading in the navigation under which it is listed.
        number: beside its name in the navigation.
    """

    title: str
    blocks: tuple[Block, ...]
    anchor: str = ""
    group: str = ""
    number: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page.

    Attributes:
        title: one sentence: what was found or, where nothing could be shown, what was asked.
        facts: (name, value) pairs for the head: runs, images, time.
        sections: in order.
        question: what the page asks.
        findings: sentences, each of which the intervals support.
        notes: what a reader must know before believing the numbers.
        command: that makes the page again; "" where nobody knows it.
        again: the heading above the command.
        links: (file, name) of pages beside this one; those that are not there are left out.
        source: what the page was made of, in the footer.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    question: str = ""
    findings: Sequence[str] = ()
    notes: Sequence[str] = ()
    command: str = ""
    again: str = "Run it again"
    links: Sequence[tuple[str, str]] = ()
    source: str = "the files of the runs"


def blocks_of(page: Page) -> list[Block]:
    """All blocks of a page in order, also those that are folded away."""
    return [each for section in page.sections for block in section.blocks for each in _flat(block)]


def _flat(block: Block) -> list[Block]:
    return (
        [each for inner in block.blocks for each in _flat(inner)] if isinstance(block, Details) else [block]
    )
