"""Keeps passwords, tokens and keys out of everything that is written, by one rule for all writers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

PLACEHOLDER = "(hidden)"
_SECRET_NAME = (
    r"(?:api_?key|access_?key|private_?key|auth_?token|token|password|passwd|passphrase|secret|credentials?)"
)
_KEY = re.compile(rf"(?:^|[_.@/]){_SECRET_NAME}$", re.IGNORECASE)
_ARGUMENT = re.compile(rf"([+~]*(?:[\w@/.:-]*[._@/])?{_SECRET_NAME}=)(.+)", re.IGNORECASE | re.DOTALL)
# api_key=..., {password: ...}, ?token=... anywhere in a text.
_INSIDE = re.compile(
    rf"((?:^|[^A-Za-z0-9])(?:\w+_)?{_SECRET_NAME}['\"]?\s*\\?[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&}})\]'\"]+)",
    re.IGNORECASE,
)
# https://name:password@host; Hydra may escape the colon.
_USER = re.compile(r"(\w\\?://)[^/\s@]+@")


def hide_in_text(text: str) -> str:
    """Replaces secrets in a text.

    Args:
        text: any text, such as an override.

    Returns:
        The text with `PLACEHOLDER` in place of secrets.
    """
    if found := _ARGUMENT.fullmatch(text):
        return f"{found[1]}{PLACEHOLDER}"
    return _USER.sub(rf"\1{PLACEHOLDER}@", _INSIDE.sub(rf"\1{PLACEHOLDER}", text))


def hide_secrets(node: Any) -> Any:
    """Replaces secrets in plain data of any depth, by their keys or inside texts.

    Args:
        node: mappings, lists and plain values.

    Returns:
        A copy with `PLACEHOLDER` in place of secrets.
    """
    if isinstance(node, Mapping):
        return {key: _hidden_value(str(key), value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [hide_secrets(item) for item in node]
    return hide_in_text(node) if isinstance(node, str) else node


def hidden_keys(node: Any, place: str = "") -> list[str]:
    """Lists the keys whose values were replaced.

    Args:
        node: result of `hide_secrets`.
        place: key of `node` itself; "" for the whole configuration.

    Returns:
        Keys as a user types them, such as `logger.api_key`.
    """
    if isinstance(node, Mapping):
        found = [hidden_keys(value, f"{place}.{key}" if place else str(key)) for key, value in node.items()]
        return [key for keys in found for key in keys]
    if isinstance(node, list | tuple):
        return [key for number, item in enumerate(node) for key in hidden_keys(item, f"{place}[{number}]")]
    return [place] if isinstance(node, str) and PLACEHOLDER in node else []


def _hidden_value(key: str, value: Any) -> Any:
    harmless = isinstance(value, bool) or value is None or value in ("", [], {})
    return PLACEHOLDER if _KEY.search(key) and not harmless else hide_secrets(value)
