"""Compares the arguments of a `_target_` with its signature, names and types, before anything is built."""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, OmegaConf

from adframe.errors import AdframeError, unknown

_HYDRA_KEYS = ("_target_", "_partial_", "_args_", "_convert_", "_recursive_")
_TYPE_WORDS = {
    int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path",
    type(None): "null",
}  # fmt: skip
_LIST_TYPES = (list, tuple, collections.abc.Sequence)


def check_arguments(cfg: DictConfig, part: str, *, given: Collection[str] = ()) -> None:
    """Checks every `_target_` at and below one key of the configuration.

    Args:
        cfg: the whole configuration.
        part: the key, such as `model` or `callbacks.gallery`.
        given: names of arguments that the code adds itself.

    Raises:
        AdframeError: an argument is unknown, missing, or of the wrong type; the message names the key to
            type.
    """
    if not isinstance(found := OmegaConf.select(cfg, part), DictConfig):
        raise AdframeError(f"{part}={as_typed(found)} is not possible; keep the keys below {part}")
    for key, node in _find_targets(found, part):
        _check_node(key, node, given=given if key == part else ())


def as_typed(value: Any) -> str:
    """Writes a value as one would type it in an override.

    Args:
        value: plain data.

    Returns:
        The text.

    Example:
        >>> as_typed([1, None]), as_typed(True)
        ('[1,None]', 'true')
    """
    words = {None: "null", True: "true", False: "false"}
    text = words[value] if value is None or isinstance(value, bool) else str(value)
    return text.replace(" ", "").replace("'", "")


def _find_targets(node: DictConfig, key: str) -> Iterator[tuple[str, DictConfig]]:
    for name in map(str, node):
        if isinstance(child := node[name], DictConfig):
            yield from _find_targets(child, _typed_key(node, name, key))
    if "_target_" in node:
        yield key, node


def _typed_key(node: DictConfig, name: str, key: str) -> str:
    """Returns the key that a user types: the target of a `${coreset}`, otherwise the path to the value."""
    raw = OmegaConf.to_container(node, resolve=False)[name]  # type: ignore[index,call-overload]
    link = re.fullmatch(r"\$\{([\w.]+)\}", raw) if isinstance(raw, str) else None
    return link[1] if link else f"{key}.{name}"


def _check_node(key: str, node: DictConfig, *, given: Collection[str]) -> None:
    target, signature = _load_target(key, node["_target_"])
    parameters = {k: v for k, v in signature.parameters.items() if k != "self"}
    hints = _type_hints(target)
    names = [str(name) for name in node if name not in _HYDRA_KEYS]
    for name in names:
        if name not in parameters:
            raise AdframeError(unknown("override", f"{key}.{name}", [f"{key}.{k}" for k in parameters]))
        value = node[name]
        if isinstance(value, DictConfig | ListConfig):
            value = OmegaConf.to_container(value)
        if not _fits(value, hints.get(name, Any)):
            typed = _typed_key(node, name, key)
            right = _describe_type(hints[name])
            raise AdframeError(f"{typed}={as_typed(value)} is not possible; {typed} must be {right}")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in (*names, *given) and "_partial_" not in node:
            raise AdframeError(f"{key}.{name} is missing; it must be {_describe_type(hints.get(name, Any))}")


def _load_target(key: str, name: str) -> tuple[Any, inspect.Signature]:
    try:
        target = get_object(name)
        return target, inspect.signature(target)
    except Exception as error:  # an import may raise anything
        reason = " ".join(str(error).split())[:200]
        raise AdframeError(f"{key}._target_={name} cannot be made: {reason}; correct the name") from error


def _type_hints(target: Any) -> dict[str, Any]:
    plain_class = isinstance(target, type) and not dataclasses.is_dataclass(target)
    try:
        return typing.get_type_hints(target.__init__ if plain_class else target)
    except (NameError, TypeError):  # annotations that are imported for type checkers only
        return {}


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, option) for option in inner)
    if origin is typing.Literal:
        return value in inner
    if (origin or hint) in _LIST_TYPES:
        kinds = [kind for kind in inner if kind is not Ellipsis]
        fixed = origin is tuple and Ellipsis not in inner and len(inner) > 0
        return (
            isinstance(value, list | tuple)
            and (not fixed or len(value) == len(inner))
            and all(_fits(item, kinds[i if fixed else 0]) for i, item in enumerate(value) if kinds)
        )
    if hint in (int, float):  # a bool is an int in Python, but not for a user
        return isinstance(value, int | hint) and not isinstance(value, bool)
    if hint is Path:
        return isinstance(value, str | Path)
    if hint in _TYPE_WORDS:
        return isinstance(value, hint)
    return isinstance(value, dict) or not isinstance(hint, type)  # an object is built by its own `_target_`


def _describe_type(hint: Any) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_describe_type(option) for option in inner))
    if origin is typing.Literal:
        return f"one of {', '.join(map(str, inner))}"
    if (origin or hint) in _LIST_TYPES:
        kind = _describe_type(inner[0]).removeprefix("a ") if inner else "value"
        if origin is tuple and Ellipsis not in inner:
            return f"a list of {len(inner)}, each a {kind}"
        return "a list of texts" if kind == "text" else f"a list of {kind}s"
    return _TYPE_WORDS.get(hint) or f"a {getattr(hint, '__name__', 'value')}"
