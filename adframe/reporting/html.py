"""From what a page holds to a self-contained HTML text: style and script inside, nothing fetched."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"


def fill(context: Mapping[str, Any]) -> str:
    """The HTML of a page.

    Args:
        context: what `page.html` reads; see `page_writer`.
    """
    script, style = (Markup(_read(f"page.{kind}")) for kind in ("js", "css"))  # ours, so not escaped
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    shell = {"script": script, "script_hash": digest, "style": style}
    return _environment().get_template("page.html").render({**context, **shell})


def _read(name: str) -> str:
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
    environment.filters["heading"] = _heading
    return environment


def _breakable(text: str) -> Markup:
    """Escaped, and allowed to break after an underscore: `splicing_connectors` in a narrow column."""
    return Markup("_<wbr>").join(text.split("_"))


def _heading(text: str) -> str:
    """A column's title that breaks after a stroke, and not at a hyphen: `AU-PRO`, `macro/micro`."""
    return text.replace("-", "\u2011").replace("/", "/\u200b")
