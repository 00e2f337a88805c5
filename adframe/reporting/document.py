"""The model of a page: sections of text, figures, tables and pictures, whatever the page is about.

Pages of runs, datasets, sweeps, studies, comparisons and error analyses are built of these records;
`page_writer` writes them as HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from adframe.reporting.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

CellPosition = tuple[int, int]  # row and column of a table's body


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that is not drawn yet; `figure_render` makes SVG or PNG of it where it is needed.

    Attributes:
        name: of its files, unique on a page: letters, digits and `_`.
        caption: one or two sentences: what the figure shows, in which units.
        size: (width, height) in inches.
        draw: fills an empty canvas of matplotlib.
        margins: (left, bottom, right, top) of the axes in shares of the canvas. None: matplotlib's
            constrained layout finds them, which takes as long as the drawing itself.

    Example:
        >>> figure = Figure("line", "A line.", (3.0, 2.0), lambda canvas: canvas.subplots().plot([0, 1]))
        >>> figure.size
        (3.0, 2.0)
    """

    name: str
    caption: str
    size: tuple[float, float]
    draw: Callable[[Canvas], None]
    margins: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class TableBlock:
    """A table with its caption, marks and links.

    Attributes:
        name: of its files, unique on a page.
        caption: the meaning of its numbers and their units.
        table: the rounded table, which the page and the LaTeX file show.
        raw: the table of the CSV file, where it has other columns or more digits; None takes `table`.
        marks: cells that are `best` or `worst`.
        notes: a second, smaller line of a cell, such as its interval.
        links: the address to which the text of a cell leads.
        total: the first cell of rows that summarise the others.
        latex: the LaTeX file, where it is another one than that of `table`.

    Example:
        >>> from adframe.reporting.tables import table_of
        >>> table = table_of([{"category": "bottle", "image/auroc": 0.99}])
        >>> TableBlock("results", "Image AUROC in %.", table, marks={(0, 1): "best"}).table.shown
        (('bottle', '99.0'),)
    """

    name: str
    caption: str
    table: Table
    raw: Table | None = None
    marks: Mapping[CellPosition, str] = field(default_factory=dict)
    notes: Mapping[CellPosition, str] = field(default_factory=dict)
    links: Mapping[CellPosition, str] = field(default_factory=dict)
    total: str = "mean"
    latex: str | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture.

    Attributes:
        content: the bytes of a JPEG or PNG file; empty where there is none.
        caption: a few words on what it shows.
        alt: a description for people who cannot see it; by default its place: row and column, or the card.

    Example:
        >>> Picture(b"", caption="the image").caption
        'the image'
    """

    content: bytes
    caption: str = ""
    alt: str = ""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Rows of pictures, one row per image or case; all rows have the same columns.

    Attributes:
        caption: what is shown.
        columns: the titles of the columns.
        rows: the title of each row, and its pictures in the order of the columns.

    Example:
        >>> pictures = (Picture(b""), Picture(b""))
        >>> block = Pictures("Two views.", ("image", "heatmap"), (("bottle 000", pictures),))
        >>> [title for title, _ in block.rows]
        ['bottle 000']
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Picture, ...]], ...]


@dataclass(frozen=True, slots=True)
class Card:
    """Pictures of one image side by side, with a title and a note.

    Attributes:
        pictures: from left to right.
        title: its name.
        note: a line below the title.
        path: of the file, shown small and shortened at its left end.
        verdict: `right` or `wrong` where the decision can be compared with a label.

    Example:
        >>> Card((Picture(b""),), "000.png", note="score 1.2", verdict="right").verdict
        'right'
    """

    pictures: tuple[Picture, ...]
    title: str
    note: str = ""
    path: str = ""
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class CardGallery:
    """Cards in as many columns as fit.

    Attributes:
        cards: in order.
        title: a title to the left of the cards; "" where a heading says it.
        note: a small line below the title.
        size: of the cards; `small` suits single pictures, `large` several side by side.
        across: pictures of a card for which there is room; 0 for as many as the fullest card has.

    Example:
        >>> gallery = CardGallery((Card((Picture(b""),), "000.png"),), title="bottle", size="small")
        >>> len(gallery.cards)
        1
    """

    cards: tuple[Card, ...]
    title: str = ""
    note: str = ""
    size: Literal["small", "medium", "large"] = "large"
    across: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph in a special style; a plain paragraph is a string.

    Attributes:
        content: the text.
        kind: `remark` is smaller; `absent` says why something is missing; `note` warns.

    Example:
        >>> Text("There are no pictures.", "absent").kind
        'absent'
    """

    content: str
    kind: Literal["remark", "absent", "note"] = "remark"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading within a section.

    Attributes:
        title: its text.

    Example:
        >>> Heading("Types of defect").title
        'Types of defect'
    """

    title: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values.

    Attributes:
        pairs: (name, value) in order.
        tiles: whether they are shown as large tiles, the value first; otherwise they share one line.

    Example:
        >>> Facts((("images", "83"), ("image AUROC", "98.7")), tiles=True).pairs[1]
        ('image AUROC', '98.7')
    """

    pairs: tuple[tuple[str, str], ...]
    tiles: bool = False


@dataclass(frozen=True, slots=True)
class Code:
    """The content of a file, shown unchanged in a fixed-width font.

    Attributes:
        content: the text.

    Example:
        >>> Code("seed: 0").content
        'seed: 0'
    """

    content: str


@dataclass(frozen=True, slots=True)
class Details:
    """Blocks that are folded below a summary line until the reader opens them.

    Attributes:
        summary: the line that is always visible.
        blocks: in order.
        is_open: whether they are unfolded at first.

    Example:
        >>> Details("The configuration", (Code("seed: 0"),)).is_open
        False
    """

    summary: str
    blocks: tuple[Block, ...]
    is_open: bool = False


Block: TypeAlias = (
    "str | Text | Heading | Facts | Code | Figure | TableBlock | Pictures | CardGallery | Details"
)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with the blocks below it.

    Attributes:
        title: the heading.
        blocks: in order.
        anchor: to link to; by default `part-` and the number of the section.
        group: the heading in the navigation under which it is listed.
        number: a number next to its name in the navigation.

    Example:
        >>> Section("Results", ("A paragraph.", Text("Five seeds.", "note"))).title
        'Results'
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
        title: one sentence: the result or, where there is none, the question.
        facts: (name, value) pairs for the head: runs, images, time.
        sections: in order.
        question: the question that the page answers.
        findings: sentences, each of which the intervals support.
        notes: what a reader must know before relying on the numbers.
        command: the command that makes the page again; "" where it is unknown.
        again: the heading above the command.
        links: (file, name) of pages next to this one; links to missing files are left out.
        source: the files from which the page was made, named in the footer.

    Example:
        >>> page = Page("PatchCore on bottle", [("images", "83")], [Section("Results", ("Text.",))])
        >>> blocks_of(page)
        ['Text.']
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
    """Lists all blocks of a page in order, also the folded ones.

    Args:
        page: the page.

    Returns:
        The blocks; a `Details` is replaced by the blocks inside it.
    """
    return [each for section in page.sections for block in section.blocks for each in _flatten_block(block)]


def _flatten_block(block: Block) -> list[Block]:
    return (
        [each for inner in block.blocks for each in _flatten_block(inner)]
        if isinstance(block, Details)
        else [block]
    )
