"""Pages: self-contained, figures and tables beside them, nothing written where names are wrong."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from adframe.reporting.document import (
    Block,
    Card,
    CardGallery,
    Details,
    Figure,
    Page,
    Picture,
    Pictures,
    Section,
    TableBlock,
)
from adframe.reporting.outlines import encoded
from adframe.reporting.page_writer import render_page, write_document
from adframe.reporting.tables import Column, Table, table_of
from adframe.results.gallery import PICTURE_BUDGET

JPEG = b"\xff\xd8\xff"
TABLE = Table((Column("setting", "setting"), Column("image/auroc", "image AUROC", True)), (("a_b", 0.987),))


def page_of(*blocks: Block) -> Page:
    section = Section("Results", blocks)
    return Page(
        title="Title",
        question="Why?",
        findings=["A < B & C."],
        facts=[("runs", "2")],
        sections=[section],
        command="python sweep.py",
        notes=["A note."],
        links=[("leaderboard.html", "All runs")],
    )


def figure(name: str, caption: str = "") -> Figure:
    return Figure(name, caption, (2, 1), lambda canvas: canvas.text(0, 0, "drawn"))


def whole() -> Page:
    raw = table_of([{"setting": "a_b", "image/auroc": 0.98765, "more": 1}])
    pictures = Pictures("Rows.", ("image",), (("case", (Picture(JPEG, "0.3"),)),))
    return page_of(
        "A paragraph.",
        figure("drawing", "a drawing."),
        TableBlock("results", "100 % of it.", TABLE, raw),
        pictures,
    )


def test_the_page_holds_everything_and_fetches_nothing(tmp_path: Path) -> None:
    page = write_document(tmp_path, whole()).read_text()
    assert "A &lt; B &amp; C." in page
    assert "98.7" in page
    sources = re.findall(r'src="([^"]{0,30})', page)
    assert len(sources) == 1
    assert all(source.startswith("data:image/") for source in sources)
    assert not re.search(r'(href|src)="(https?:)?//', page)
    assert "<g id=" not in page
    assert "drawn</text>" in page
    assert "<b>Figure 1.</b> A drawing." in page


def test_figures_and_tables_lie_beside_it(tmp_path: Path) -> None:
    write_document(tmp_path, whole())
    assert (tmp_path / "figures/drawing.svg").read_text().startswith("<svg")
    assert (tmp_path / "figures/drawing.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "tables/results.csv").read_text() == "setting,image/auroc,more\na_b,0.98765,1\n"
    latex = (tmp_path / "tables/results.tex").read_text()
    assert "\\caption{100 \\% of it.}\n\\label{tab:study:results}\n\\begin{tabular}" in latex


@pytest.mark.parametrize("name", ["a/b", "../a", "", "a b"])
def test_a_name_that_is_no_files_name_writes_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        write_document(tmp_path / "new", page_of(figure("good"), figure(name)))
    assert not (tmp_path / "new").exists()


def test_two_figures_of_one_name_are_an_error_but_a_table_may_share_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two of the page have this name"):
        write_document(tmp_path, page_of(figure("a"), figure("A")))
    write_document(tmp_path, page_of(figure("a"), TableBlock("a", "", TABLE)))


def test_it_links_to_the_leaderboard_where_there_is_one(tmp_path: Path) -> None:
    assert "leaderboard.html" not in write_document(tmp_path, whole()).read_text()
    (tmp_path / "leaderboard.html").touch()
    assert 'href="leaderboard.html"' in write_document(tmp_path, whole()).read_text()


def test_columns_of_words_begin_at_the_left_and_numbers_do_not(tmp_path: Path) -> None:
    columns = tuple(Column(key, key) for key in ("of", "question", "points", "p", "unknown"))
    rows = (
        ("a", "lost to the shift", "+12.5 (1.0 to 2.0)", "<0.001", None),
        ("b", None, "-3.1", "0.042", None),
    )
    page = write_document(tmp_path, page_of(TableBlock("n", "c", Table(columns, rows)))).read_text()
    left = re.findall(r'<th scope="col" class="text">(.*?)</th>', page)
    assert left == ["of", "question"]
    assert re.findall(r'<td class="text">(.*?)</td>', page) == ["lost to the shift", "–"]  # noqa: RUF001


def test_blocks_that_are_folded_away_are_written_too(tmp_path: Path) -> None:
    inner = TableBlock("inner", "", TABLE)
    page = write_document(tmp_path, page_of(Details("More", (figure("folded"), inner)))).read_text()
    assert re.search(r"<details><summary>More</summary>.*<svg.*<table>.*</details>", page, flags=re.S)
    assert (tmp_path / "figures/folded.svg").is_file()
    assert (tmp_path / "tables/inner.csv").is_file()


def test_cells_have_marks_notes_and_links(tmp_path: Path) -> None:
    at = {(0, 1): "best"}
    block = TableBlock("t", "", TABLE, marks=at, notes={(0, 1): "(98.0 to 99.0)"}, links={(0, 0): "a/b.html"})
    page = render_page(page_of(block))
    assert '<a href="a/b.html">a_<wbr>b</a>' in page
    mark, note = '<span class="hidden"> (best)</span>', '<br><small class="ends">(98.0 to 99.0)</small>'
    assert f'<td class="best">98.7{mark}{note}' in page
    assert "LaTeX" not in page  # no files lie beside it


def test_a_picture_that_is_none_is_named_in_its_place() -> None:
    gallery = CardGallery(
        (Card((Picture(b"", alt="a bolt"), Picture(JPEG, alt="a nut")), "two", verdict="wrong"),)
    )
    page = render_page(page_of(gallery))
    assert "No picture: a bolt" in page
    assert 'alt="a nut"' in page
    assert "✕ wrong" in page


def test_too_many_pictures_are_shrunk_alike() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (900, 900, 3)).astype(np.uint8)
    large = encoded(noise, kind="JPEG", quality=95)
    cards = tuple(
        Card((Picture(large + bytes(place)),), f"{place}")
        for place in range(1 + PICTURE_BUDGET // len(large))
    )
    page = render_page(page_of(CardGallery(cards)))
    assert page.count("<img") == len(cards)
    assert len(page) < 1.34 * PICTURE_BUDGET + 200_000


def test_an_interval_stands_below_its_number() -> None:
    rows = (("a", "+1.2 (-0.3 to +2.1)"), ("b", "3 (of 4)"))
    html = render_page(page_of(TableBlock("t", "", Table((Column("k", "k"), Column("v", "v")), rows))))
    assert '<td>+1.2<br><small class="ends">(-0.3 to +2.1)</small></td>' in html
    assert "<td>3 (of 4)</td>" in html
