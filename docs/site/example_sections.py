"""Shows the `Example:` section of a docstring as code, as griffe does with `Examples:`."""

from __future__ import annotations

import re
from typing import Any

import griffe


class ExampleSections(griffe.Extension):
    """Renames the section before griffe reads it."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Changes the docstring of one object.

        Args:
            obj: a module, class, function or attribute.
            kwargs: not used.
        """
        del kwargs
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
