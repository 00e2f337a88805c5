"""A `_target_`'s arguments compared with its signature: names and types, before anything is built."""

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

SPECIAL = ("_target_", "_partial_", "_args_", "_convert_", "_recursive_")
WORDS = {
    int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path",
    type(None): "null",
}  # fmt: skip
LISTS = (list, tuple, collections.abc.Sequence)


def check_arguments(cfg: DictConfig, part: str, *, given: Collection[str] = ()) -> None:
    """Checks every `_target_` at and below one key of the configuration.

    Args:
        cfg: the whole configuration.
        part: the key, such as `model` or `callbacks.gallery`.
        given: arguments that the code adds itself.

    Raises:
        AdframeError: an argument is unknown, missing, or of the wrong type; names the key to type.
    """
    for key, node in _targets(OmegaConf.select(cfg, part), part):
        _check_node(key, node, given=given if key == part else ())


def shown(value: Any) -> str:
    """A value as one would type it."""
    words = {None: "null", True: "true", False: "false"}
    text = words[value] if value is None or isinstance(value, bool) else str(value)
    return text.replace(" ", "").replace("'", "")


def _targets(node: DictConfig, key: str) -> Iterator[tuple[str, DictConfig]]:
    for name in map(str, node):
        if isinstance(child := node[name], DictConfig):
            yield from _targets(child, _typed(node, name, key))
    if "_target_" in node:
        yield key, node


def _typed(node: DictConfig, name: str, key: str) -> str:
    """The key that a person types: what `${coreset}` points at, else the path to the value itself."""
    raw = OmegaConf.to_container(node, resolve=False)[name]  # type: ignore[index,call-overload]
    link = re.fullmatch(r"\$\{([\w.]+)\}", raw) if isinstance(raw, str) else None
    return link[1] if link else f"{key}.{name}"


def _check_node(key: str, node: DictConfig, *, given: Collection[str]) -> None:
    target, signature = _found(key, node["_target_"])
    parameters = {k: v for k, v in signature.parameters.items() if k != "self"}
    hints = _hints(target)
    names = [str(name) for name in node if name not in SPECIAL]
    for name in names:
        if name not in parameters:
            raise AdframeError(unknown("override", f"{key}.{name}", [f"{key}.{k}" for k in parameters]))
        value = _plain(node[name])
        if not _fits(value, hints.get(name, Any)):
            typed = _typed(node, name, key)
            right = _words(hints[name])
            raise AdframeError(f"{typed}={shown(value)} is not possible; {typed} must be {right}")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in (*names, *given) and "_partial_" not in node:
            raise AdframeError(f"{key}.{name} is missing; it must be {_words(hints.get(name, Any))}")


def _found(key: str, name: str) -> tuple[Any, inspect.Signature]:
    try:
        target = get_object(name)
        return target, inspect.signature(target)
    except Exception as error:  # importing it may fail in any way
        reason = " ".join(str(error).split())[:200]
        raise AdframeError(f"{key}._target_={name} cannot be made: {reason}; correct the name") from error


def _hints(target: Any) -> dict[str, Any]:
    plain_class = isinstance(target, type) and not dataclasses.is_dataclass(target)
    try:
        return typing.get_type_hints(target.__init__ if plain_class else target)
    except (NameError, TypeError):  # annotations that exist for type checkers only
        return {}


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if isinstance(value, DictConfig | ListConfig) else value


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, option) for option in inner)
    if origin is typing.Literal:
        return value in inner
    if (origin or hint) in LISTS:
        kinds = [kind for kind in inner if kind is not Ellipsis]
        fixed = origin is tuple and Ellipsis not in inner and len(inner) > 0
        return (
            isinstance(value, list | tuple)
            and (not fixed or len(value) == len(inner))
            and all(_fits(item, kinds[i if fixed else 0]) for i, item in enumerate(value) if kinds)
        )
    if hint in (int, float):  # a bool is an int to Python, not to a person
        return isinstance(value, int | hint) and not isinstance(value, bool)
    if hint is Path:
        return isinstance(value, str | Path)
    if hint in WORDS:
        return isinstance(value, hint)
    return isinstance(value, dict) or not isinstance(hint, type)  # a class comes from its own `_target_`


def _words(hint: Any) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_words(option) for option in inner))
    if origin is typing.Literal:
        return f"one of {', '.join(map(str, inner))}"
    if (origin or hint) in LISTS:
        kind = _words(inner[0]).removeprefix("a ") if inner else "value"
        if origin is tuple and Ellipsis not in inner:
            return f"a list of {len(inner)}, each a {kind}"
        return "a list of texts" if kind == "text" else f"a list of {kind}s"
    return WORDS.get(hint) or f"a {getattr(hint, '__name__', 'value')}"
