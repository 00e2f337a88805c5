"""One line for a name that does not exist, with what it may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown(kind: str, name: str, known: Iterable[str], *, where: str = "", limit: int = 20) -> str:
    """The text of an error for an unknown name.

    Args:
        kind: what was being named: `category`, `backbone layer`, ...
        name: what was given.
        known: the names that exist.
        where: where they were looked for, if that helps.
        limit: how many known names to list; the nearest ones where there are more.
    """
    options = list(known)
    close = difflib.get_close_matches(name, options, n=limit, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    listed = options if len(options) <= limit else close
    names = ", ".join(listed) or "nothing"
    tail = f"known: {names}" if listed == options else f"near it: {names}"
    place = f" {where}" if where else ""
    return f"unknown {kind} {name!r}{place}; {hint}{tail}"
