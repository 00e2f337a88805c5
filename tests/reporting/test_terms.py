"""Terms: marked where a page uses them first, explained at its end, by the glossary of the documentation."""

from __future__ import annotations

import re

from adframe.reporting import terms
from adframe.reporting.document import TableBlock
from adframe.reporting.page_writer import render_page
from adframe.reporting.tables import table_of
from adframe.reporting.terms import PageTerms, glossary
from adframe.results.names import TITLES
from tests.reporting.test_page_writer import figure, page_of


def marked(text: str) -> list[str]:
    return re.findall(r">([^<]+)</a>", PageTerms().text(text))


def test_every_entry_of_the_glossary_is_read_and_none_explains_a_name_twice() -> None:
    text = terms._GLOSSARY.read_text()
    assert len(glossary()) == text.count("\n**") > 80
    names = [name.lower() for term in glossary() for name in (*term.names, *term.forms)]
    assert len(names) == len(set(names))
    assert len({term.anchor for term in glossary()}) == len(glossary())
    assert [term.title.lower() for term in glossary()] == sorted(term.title.lower() for term in glossary())
    assert not any("docs/" in term.text or "\n" in term.text or "`" in term.text for term in glossary())


def test_the_longest_name_counts_in_the_singular_and_in_the_plural() -> None:
    text = "F1-max is above F1; coresets, Coreset; the frozen threshold and other thresholds; anomaly maps"
    assert marked(text) == ["F1-max", "F1", "coresets", "frozen threshold", "thresholds", "anomaly maps"]


def test_code_names_and_other_words_are_not_marked() -> None:
    text = (
        "split=none coreset=0.1 a_threshold runs/threshold <run> ap Auroc roctor drifting p50 threshold.csv"
    )
    assert marked(text) == []


def test_only_the_first_use_in_texts_is_marked_but_every_heading() -> None:
    page = PageTerms()
    assert page.text("AUROC and AUROC").count("#term-auroc") == 1
    assert "<a" not in page.text("AUROC again")
    assert "#term-auroc" in page.heading("image AUROC")
    assert str(page.text("a < b")) == "a &lt; b"


def test_a_page_explains_what_it_uses_and_nothing_else() -> None:
    table = table_of([{"setting": "a", "pixel/aupro_0.3": 0.9}])
    drawn = figure("curve")
    page = page_of("The threshold & the <ROC curve>.", TableBlock("t", "In per cent.", table), drawn)
    html = render_page(page)
    listed = set(re.findall(r'<div id="(term-[a-z0-9-]+)">', html))
    assert listed >= {"term-threshold", "term-au-pro", "term-run"}
    assert listed == set(re.findall(r'href="#(term-[a-z0-9-]+)"', html))
    assert '<a href="#terms">' in html
    assert "AU‑PRO</a> 0.3" in html  # noqa: RUF001  (the hyphen at which no line breaks)


def test_the_letters_of_a_drawing_are_explained_without_a_link() -> None:
    page = PageTerms()
    page.drawing('<svg><g><text x="0">AUROC, %</text></g><path d="AP"/></svg>')
    assert [term.title for term in page.listed()] == ["AUROC"]


def test_every_metric_on_a_page_is_explained() -> None:
    assert [title for title in TITLES.values() if "<a" not in PageTerms().heading(title)] == []
