"""Quotes names and paths in overrides, because Hydra would read `category=1e3` as a number."""

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
    r"|backbone\.checkpoint|model\.(teacher|penalty_images)|run|resume|compare|errors|maps|scores|submission|output"
)
_DIVIDERS = re.compile(
    r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[\[\],])"""
)  # quote_override text, or what divides
_UNQUOTED = re.compile(r"[A-Za-z0-9_./@%+*|?-]*")  # characters that need no quotes


def quote_names(arguments: Sequence[str], *, named: Sequence[str] = ("category",)) -> list[str]:
    """Puts quotes around names that Hydra would read as numbers, truth values or null.

    Args:
        arguments: the command line as it was typed.
        named: keys that need a value, so that `null` is a name there; for all other keys it is null.

    Returns:
        The command line for Hydra.

    Example:
        >>> quote_names(["category=1e3", "seed=7"])
        ["category='1e3'", 'seed=7']
    """
    return [_quote_argument(argument, named=named) for argument in arguments]


def quote_override(text: str) -> str:
    """Quotes an override so that it can be typed in a shell.

    Args:
        text: `key=value`; the value may have special characters.

    Returns:
        The quoted text.

    Example:
        >>> print(quote_override("dataset.root=/a=b"))
        'dataset.root="/a=b"'
    """
    key, _, value = text.partition("=")
    inside = re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + found[2].replace('"', '\\"'), value)
    return shlex.quote(f'{key}="{inside}"')


def has_special_characters(text: str) -> bool:
    """Returns whether Hydra cannot read the value of an override without quotes.

    Args:
        text: `key=value`.

    Returns:
        Whether the value has characters that have a meaning for Hydra or that it does not know.
    """
    return not _UNQUOTED.fullmatch(text.partition("=")[2])


def _quote_argument(argument: str, *, named: Sequence[str]) -> str:
    key, equals, value = argument.partition("=")
    if not equals or not _KEYS.fullmatch(key.lstrip("+")):
        return argument
    if key not in named and value.strip().lower() == "null":
        return argument
    # Not valid for Hydra, such as brackets in a path: unchanged, so that the error shows it as typed.
    if _parse_override(argument.lstrip("+")) is None:
        return argument
    return f"{key}={''.join(_quote_part(part) for part in _DIVIDERS.split(value))}"


def _quote_part(part: str) -> str:
    name = part.strip()
    if not name or _DIVIDERS.fullmatch(part):
        return part
    read = _parse_override(f"key={name}")
    return f"'{name}'" if read is not None and isinstance(read.value(), int | float | None) else part


def _parse_override(argument: str) -> Override | None:
    """Parses an override as Hydra does; None where Hydra cannot."""
    try:
        return OverridesParser.create().parse_override(argument)
    except HydraException:
        return None
