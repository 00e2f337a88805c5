"""What a study's page is made of: findings, sections, figures, tables and pictures, whatever the study.

Studies fill these in (`app.studies`), `reports.figures` draws, `reports.study_page` writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from adframe.reporting.tables import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One drawing, self-contained in both formats.

    Attributes:
        name: of its files, unique in a study: letters, digits and `_`.
        caption: one or two sentences: what is seen, in which units.
        svg: the drawing as an `<svg>` element.
        png: the same, for slides.
    """

    name: str
    caption: str
    svg: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Numbers:
    """One table.

    Attributes:
        name: of its files, unique in a study.
        caption: what its numbers are, in which units.
        table: for people; this is what the page and the LaTeX file show.
        raw: for programs, where other columns or more digits are wanted in the CSV file.
    """

    name: str
    caption: str
    table: Table
    raw: Table | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a row of them.

    Attributes:
        jpeg: its bytes.
        caption: what it shows, short.
    """

    jpeg: bytes
    caption: str


@dataclass(frozen=True, slots=True)
class Pictures:
    """Rows of pictures, one row an image or a case; all rows have the same columns."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Picture, ...]], ...]  # (what the row is, its pictures)


Block = Figure | Numbers | Pictures | str  # a string is a paragraph


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """A whole page.

    Attributes:
        title: one sentence, what was found or, where nothing could be shown, what was asked.
        question: what the study asks.
        findings: sentences, each of which the intervals support.
        facts: (name, value) pairs for the head: runs, images, time.
        sections: in order.
        command: that repeats the study.
        notes: what a reader must know before believing the numbers.
    """

    title: str
    question: str
    findings: Sequence[str]
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    command: str
    notes: Sequence[str] = field(default_factory=tuple)
