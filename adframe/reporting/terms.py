"""Explains the terms of a page: links in its text, and the list at its end, both from `glossary.md`.

The glossary is a page of the documentation as well, so that a term has one explanation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from markupsafe import Markup, escape

_GLOSSARY = Path(__file__).with_name("glossary.md")
# Names, other forms of them in a comment, and the explanation.
_ENTRY = re.compile(r"^\*\*(.+?)\*\*(?: <!-- (.+?) -->)?\n:   (.+?)(?=\n\n|\n*\Z)", re.MULTILINE | re.DOTALL)
_LINK = Markup('<a class="term" href="#{}" title="{}">{}</a>')
_LETTERS = re.compile(r">([^<>]+)</text>")
_DOCS = re.compile(r" \(docs/\w+\.md\)")  # where the documentation says more, which no page can link to


@dataclass(frozen=True, slots=True)
class Term:
    """An entry of the glossary.

    Attributes:
        names: of the term, the first one first; each of them is explained where a page uses it.
        text: the explanation, one to three sentences.
        forms: other forms of the names, which are explained as well but not listed.

    Example:
        >>> Term(("AU-PRO", "region overlap"), "How much of each defect is found.").anchor
        'term-au-pro'
    """

    names: tuple[str, ...]
    text: str
    forms: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """The id of its explanation on a page."""
        return "term-" + re.sub(r"[^a-z0-9]+", "-", self.names[0].lower()).strip("-")

    @property
    def title(self) -> str:
        """Its names, as the list shows them."""
        return ", ".join(self.names)


@cache
def glossary() -> tuple[Term, ...]:
    """Reads the glossary.

    Returns:
        All terms, in its order.
    """
    text = _GLOSSARY.read_text(encoding="utf-8")
    return tuple(
        Term(
            tuple(names.split(", ")),
            _DOCS.sub("", " ".join(meaning.split())).replace("`", ""),
            tuple(forms.split(", ")) if forms else (),
        )
        for names, forms, meaning in _ENTRY.findall(text)
    )


@dataclass
class PageTerms:
    """The terms of one page: it marks them in texts, and knows which ones were used.

    Attributes:
        used: the terms that its texts have used so far.
        drawn: the terms of its drawings, in which nothing can be marked.

    Example:
        >>> terms = PageTerms()
        >>> "term-auroc" in terms.text("Image AUROC."), "term-auroc" in terms.text("AUROC again.")
        (True, False)
        >>> [term.title for term in terms.listed()]
        ['AUROC']
    """

    used: set[Term] = field(default_factory=set)
    drawn: set[Term] = field(default_factory=set)

    def text(self, text: str) -> Markup:
        """Marks the first use of each term on the page, as the reader meets it.

        Args:
            text: of a sentence or a caption.

        Returns:
            HTML, in which a term is a link to its explanation, which is also shown when it is pointed at.
        """
        return self._marked(text, known=self.used, write=escape)

    def heading(self, text: str, *, write: Callable[[str], Markup] = escape) -> Markup:
        """Marks each term of a heading, such as the title of a column, whether or not it was used before.

        Args:
            text: of the heading.
            write: turns its text into HTML.
        """
        return self._marked(text, known=set(), write=write)

    def drawing(self, svg: str) -> None:
        """Lists the terms of a drawing.

        Args:
            svg: its `<svg>` element, whose letters are text.
        """
        for text in _LETTERS.findall(svg):
            self.drawn |= {_terms_by_form()[found[0]] for found in _pattern().finditer(text)}

    def listed(self) -> list[Term]:
        """Returns the terms that the page uses, in the order of the glossary."""
        return [term for term in glossary() if term in self.used | self.drawn]

    def _marked(self, text: str, *, known: set[Term], write: Callable[[str], Markup]) -> Markup:
        parts, end, own = list[Markup](), 0, set(known)
        for found in _pattern().finditer(text):
            term = _terms_by_form()[found[0]]
            if term not in own:
                shown = write(found[0])
                parts += [write(text[end : found.start()]), _LINK.format(term.anchor, term.text, shown)]
                end = found.end()
            own.add(term)
        self.used |= own
        return Markup("").join([*parts, write(text[end:])])


@cache
def _terms_by_form() -> dict[str, Term]:
    """Returns the term of each form of its names: singular and plural, small and capital first letter."""
    found: dict[str, Term] = {}
    for term in glossary():
        for name in (*term.names, *term.forms):
            many = f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
            for form in (name, many) if len(name) > 1 else (name,):
                found |= {form: term, form[:1].upper() + form[1:]: term}
                # A capital that is no more than the beginning of a sentence: `Class F1`, unlike `AUROC`.
                if name[1:2].islower():
                    found[form[:1].lower() + form[1:]] = term
    return found


@cache
def _pattern() -> re.Pattern[str]:
    """Finds every form, the longest one first, but not in code and names: `split=`, `<run>`, `runs/a`."""
    forms = "|".join(map(re.escape, sorted(_terms_by_form(), key=len, reverse=True)))
    return re.compile(rf"(?<![\w/=.@<-])(?:{forms})(?![\w=@>]|[-/.]\w)")
