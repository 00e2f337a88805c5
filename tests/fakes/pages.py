"""A page as its reader sees it."""

from __future__ import annotations

import re
from pathlib import Path


def words_of(page: Path) -> str:
    """The HTML of a page without the links that explain its terms."""
    return re.sub(r'<a class="term"[^>]*>([^<]*)</a>', r"\1", page.read_text(encoding="utf-8"))
