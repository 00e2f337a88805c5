"""Packages that only some options need."""

from __future__ import annotations

import importlib.util

from adframe.errors import AdframeError


def require_package(module: str, *, group: str, option: str, extra: str) -> None:
    """Checks that a package is installed.

    Args:
        module: its module.
        group: the group of the option that needs it.
        option: the option.
        extra: the extra of adframe that installs it.

    Raises:
        AdframeError: it is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise AdframeError(
            f"{group}={option} needs {module}, which is not installed: pip install 'adframe[{extra}]'"
        )
