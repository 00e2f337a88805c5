"""Fills the templates of a page: self-contained HTML with style and script inside, nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from adframe.reporting.terms import PageTerms

_ENDS = re.compile(r"([^(]+?) (\([-+]?[\d.]+ to [-+]?[\d.]+\))")
_TEMPLATES = Path(__file__).parent / "templates"


def fill(context: Mapping[str, Any]) -> str:
    """Renders the HTML of a page.

    Args:
        context: the variables of `page.html`; see `page_writer`. Its `terms` explain the page's terms.

    Returns:
        The text of the HTML file.
    """
    script, style = (
        Markup(_read_template(f"page.{kind}")) for kind in ("js", "css")
    )  # our own, so not escaped
    # The page's Content-Security-Policy allows this script by its hash, and no other.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    shell = {"script": script, "script_hash": digest, "style": style}
    return _environment().get_template("page.html").render({**context, **shell})


def _read_template(name: str) -> str:
    return _TEMPLATES.joinpath(name).read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    environment.filters["with_ends"] = _with_ends
    environment.filters["heading"] = _heading
    environment.filters["explained"] = _explained
    return environment


def _with_ends(text: str) -> tuple[str, str]:
    """Splits `93.2 (87.9 to 96.3)` into the number and its interval, which stands on a line of its own."""
    found = _ENDS.fullmatch(text)
    return (found[1], found[2]) if found else (text, "")


def _breakable(text: str) -> Markup:
    """Escapes a text and allows line breaks after underscores: `splicing_connectors` in a narrow column."""
    return Markup("_<wbr>").join(text.split("_"))


@jinja2.pass_context
def _explained(context: jinja2.runtime.Context, text: str) -> Markup:
    """Marks the terms that the page uses for the first time."""
    terms: PageTerms = context["terms"]
    return terms.text(text)


@jinja2.pass_context
def _heading(context: jinja2.runtime.Context, text: str) -> Markup:
    """Marks every term of a column's title or of a number's name."""
    terms: PageTerms = context["terms"]
    return terms.heading(text, write=_unbroken)


def _unbroken(text: str) -> Markup:
    """Lets a title break after a slash but not at a hyphen: `AU-PRO`, `macro/micro`."""
    return escape(text.replace("-", "\u2011").replace("/", "/\u200b"))
