"""Names and paths are taken as they are typed; Hydra alone reads `category=1e3` as a number."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

# Keys whose values are names of categories, folders or files.
_DATASET = "root|product|normal|normal_test|abnormal|masks|unlabelled"
_KEYS = re.compile(
    rf"category|dataset\.({_DATASET})|dataset\.members\.[^.]+\.({_DATASET})|dataset\.origin\.root|paths\.\w+"
    r"|backbone\.checkpoint|run|resume|compare|errors|maps|scores|submission|output"
)
_PARTS = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[\[\],])""")  # quoted text, or what divides
_PLAIN = re.compile(r"[A-Za-z0-9_./@%+*|?-]*")  # what Hydra reads in a value without quotes


def as_text(arguments: Sequence[str], *, named: Sequence[str] = ("category",)) -> list[str]:
    """A command line with quotes around names that Hydra would read as numbers, truth values or null.

    Args:
        arguments: as they were typed.
        named: the keys that need a value, so that `null` is a name there; for all others it is null.
    """
    return [_as_text(argument, named=named) for argument in arguments]


def quoted(text: str) -> str:
    """An override `key=value` as one types it in a shell where the value has special characters."""
    key, _, value = text.partition("=")
    inside = re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + found[2].replace('"', '\\"'), value)
    return shlex.quote(f'{key}="{inside}"')


def is_special(text: str) -> bool:
    """Whether an override's value has characters that Hydra gives a meaning, or does not know."""
    return not _PLAIN.fullmatch(text.partition("=")[2])


def _as_text(argument: str, *, named: Sequence[str]) -> str:
    key, equals, value = argument.partition("=")
    if not equals or not _KEYS.fullmatch(key.lstrip("+")):
        return argument
    if key not in named and value.strip().lower() == "null":
        return argument
    if _read(argument.lstrip("+")) is None:  # brackets within a path, say: the message shows it as typed
        return argument
    return f"{key}={''.join(_quoted_part(part) for part in _PARTS.split(value))}"


def _quoted_part(part: str) -> str:
    name = part.strip()
    if not name or _PARTS.fullmatch(part):
        return part
    read = _read(f"key={name}")
    return f"'{name}'" if read is not None and isinstance(read.value(), int | float | None) else part


def _read(argument: str) -> Override | None:
    """An override as Hydra reads it; None where it cannot."""
    try:
        return OverridesParser.create().parse_override(argument)
    except HydraException:
        return None
