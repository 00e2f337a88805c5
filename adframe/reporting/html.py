"""From a template to a self-contained page: style and script inside, nothing fetched from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from adframe.reporting import run_facts
from adframe.reporting.tables import shown

_TEMPLATES = Path(__file__).parent / "templates"


def fill(name: str, context: Mapping[str, Any], *, styles: Sequence[str] = ("page.css",)) -> str:
    """The HTML of a page.

    Args:
        name: the template, which extends `shell.html`.
        context: what the template reads.
        styles: the style sheets that the page takes in, in order.
    """
    script = Markup(_TEMPLATES.joinpath("page.js").read_text(encoding="utf-8"))  # ours, so not escaped
    sheets = [_TEMPLATES.joinpath(sheet).read_text(encoding="utf-8") for sheet in styles]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    shell = {"script": script, "script_hash": digest, "style": Markup("".join(sheets))}
    return _environment().get_template(name).render({**context, **shell})


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    environment.filters["percent"] = _percent
    environment.filters["breakable"] = _breakable
    environment.filters["grouped"] = _grouped
    environment.filters["size"] = run_facts.size
    return environment


def _percent(value: Any) -> str:
    return shown(value, percent=True)


def _grouped(value: int | None) -> str:
    """Thousands apart: 12,500,000."""
    return shown(None) if value is None else f"{value:,}"


def _breakable(text: str) -> Markup:
    """Escaped, and allowed to break after an underscore: `splicing_connectors` in a narrow column."""
    return Markup("_<wbr>").join(text.split("_"))
