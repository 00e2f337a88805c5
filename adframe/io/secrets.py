"""Passwords, tokens and keys stay out of everything that is written: one rule for all writers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "(hidden)"
_NAME = (
    r"(?:api_?key|access_?key|private_?key|auth_?token|token|password|passwd|passphrase|secret|credentials?)"
)
_KEY = re.compile(rf"(?:^|[_.@/]){_NAME}$", re.IGNORECASE)
_ARGUMENT = re.compile(rf"([+~]*(?:[\w@/.:-]*[._@/])?{_NAME}=)(.+)", re.IGNORECASE | re.DOTALL)
_INSIDE = re.compile(  # api_key=..., {password: ...}, ?token=... somewhere in a text
    rf"((?:^|[^A-Za-z0-9])(?:\w+_)?{_NAME}['\"]?\s*\\?[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&}})\]'\"]+)",
    re.IGNORECASE,
)
_USER = re.compile(r"(\w\\?://)[^/\s@]+@")  # https://name:password@host; Hydra may escape the colon


def hidden_text(text: str) -> str:
    """A text, such as an override, with what is secret in it replaced."""
    if found := _ARGUMENT.fullmatch(text):
        return f"{found[1]}{HIDDEN}"
    return _USER.sub(rf"\1{HIDDEN}@", _INSIDE.sub(rf"\1{HIDDEN}", text))


def hidden(node: Any) -> Any:
    """Plain data as deep as it goes, with every secret value replaced, by its key or by what a text holds."""
    if isinstance(node, Mapping):
        return {key: _value(str(key), value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [hidden(item) for item in node]
    return hidden_text(node) if isinstance(node, str) else node


def hidden_keys(node: Any, place: str = "") -> list[str]:
    """The keys, as one would type them, whose values were replaced."""
    if isinstance(node, Mapping):
        found = [hidden_keys(value, f"{place}.{key}" if place else str(key)) for key, value in node.items()]
        return [key for keys in found for key in keys]
    if isinstance(node, list | tuple):
        return [key for number, item in enumerate(node) for key in hidden_keys(item, f"{place}[{number}]")]
    return [place] if isinstance(node, str) and HIDDEN in node else []


def _value(key: str, value: Any) -> Any:
    told = isinstance(value, bool) or value is None or value in ("", [], {})
    return HIDDEN if _KEY.search(key) and not told else hidden(value)
