"""A study's page: self-contained, its figures and tables beside it, nothing written where names are wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adframe.reporting.document import Block, Figure, Numbers, Picture, Pictures, Section, Study
from adframe.reporting.study_page import write_study
from adframe.reporting.tables import Column, Table, table_of

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="72pt" height="36pt"><g id="x"/></svg>'
TABLE = Table((Column("setting", "setting"), Column("image/auroc", "image AUROC", True)), (("a_b", 0.987),))


def study(*blocks: Block) -> Study:
    section = Section("Results", blocks)
    return Study("Title", "Why?", ["A < B & C."], [("runs", "2")], [section], "python sweep.py", ["A note."])


def whole() -> Study:
    raw = table_of([{"setting": "a_b", "image/auroc": 0.98765, "more": 1}])
    pictures = Pictures("Rows.", ("image",), (("case", (Picture(b"jpeg", "0.3"),)),))
    figure = Figure("drawing", "A drawing.", SVG, b"png")
    return study("A paragraph.", figure, Numbers("results", "100 % of it.", TABLE, raw), pictures)


def test_the_page_holds_everything_and_fetches_nothing(tmp_path: Path) -> None:
    page = write_study(tmp_path, whole()).read_text()
    assert "A &lt; B &amp; C." in page
    assert "98.7" in page
    sources = re.findall(r'src="([^"]{0,30})', page)
    assert len(sources) == 2
    assert all(source.startswith("data:image/") for source in sources)
    assert not re.search(r'(href|src)="(https?:)?//', page)
    assert "<g id=" not in page


def test_figures_and_tables_lie_beside_it(tmp_path: Path) -> None:
    write_study(tmp_path, whole())
    assert (tmp_path / "figures/drawing.svg").read_text() == SVG
    assert (tmp_path / "figures/drawing.png").read_bytes() == b"png"
    assert (tmp_path / "tables/results.csv").read_text() == "setting,image/auroc,more\na_b,0.98765,1\n"
    latex = (tmp_path / "tables/results.tex").read_text()
    assert "\\caption{100 \\% of it.}\n\\label{tab:results}\n\\begin{tabular}" in latex


@pytest.mark.parametrize("name", ["a/b", "../a", "", "a b"])
def test_a_name_that_is_no_files_name_writes_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        write_study(tmp_path / "new", study(Figure("good", "", SVG, b""), Figure(name, "", SVG, b"")))
    assert not (tmp_path / "new").exists()


def test_two_figures_of_one_name_are_an_error_but_a_table_may_share_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two have that name"):
        write_study(tmp_path, study(Figure("a", "", SVG, b""), Figure("A", "", SVG, b"")))
    write_study(tmp_path, study(Figure("a", "", SVG, b""), Numbers("a", "", TABLE)))


def test_it_links_to_the_leaderboard_where_there_is_one(tmp_path: Path) -> None:
    assert "leaderboard.html" not in write_study(tmp_path, whole()).read_text()
    (tmp_path / "leaderboard.html").touch()
    assert 'href="leaderboard.html"' in write_study(tmp_path, whole()).read_text()


def test_columns_of_words_begin_at_the_left_and_numbers_do_not(tmp_path: Path) -> None:
    columns = tuple(Column(key, key) for key in ("of", "question", "points", "p", "unknown"))
    rows = (
        ("a", "lost to the shift", "+12.5 [1.0, 2.0]", "<0.001", None),
        ("b", None, "-3.1", "0.042", None),
    )
    page = write_study(tmp_path, study(Numbers("n", "c", Table(columns, rows)))).read_text()
    left = re.findall(r'<th scope="col" class="text">(.*?)</th>', page)
    assert left == ["of", "question"]
    assert re.findall(r'<td class="text">(.*?)</td>', page) == ["lost to the shift", "–"]  # noqa: RUF001
