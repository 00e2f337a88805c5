"""The config wins or the run stops: impossible values are refused before any work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from adframe.contracts import AdframeError
from adframe.ops.names import unknown


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_size(value: Any) -> bool:
    sides = value if isinstance(value, list) else [value]
    return len(sides) in (1, 2) and all(_is_whole(side) and side >= 16 for side in sides)


def _is_names(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name for name in names)


Rule = tuple[Callable[[Any], bool], str]
RULES: dict[str, Rule] = {
    "category": (_is_names, "all, a name, or a list of names"),
    "scope": (lambda v: v in ("per_category", "global"), "per_category or global"),
    "seed": (lambda v: _is_whole(v) and 0 <= v < 2**32, "a whole number from 0 to 4294967295"),
    "image_size": (_is_size, "pixels, 16 or more: a whole number, or [height,width]"),
    "batch_size": (lambda v: _is_whole(v) and v > 0, "a whole number above 0"),
    "num_workers": (lambda v: _is_whole(v) and v >= 0, "a whole number, 0 or more"),
    "holdout": (lambda v: _is_number(v) and 0 < v < 1, "a share between 0 and 1"),
    "refit": (lambda v: isinstance(v, bool), "true or false"),
    "coreset": (lambda v: _is_number(v) and 0 < v <= 1, "a share in (0, 1]"),
    "resume": (lambda v: v is None or isinstance(v, str), "the folder of a stopped run"),
}

GROUPS = (
    "paths", "dataset", "backbone", "model", "calibration", "metrics", "callbacks", "trainer", "logger"
)  # fmt: skip


def check_values(cfg: DictConfig) -> None:
    """Every shared top-level value: known, and of a kind that can work.

    Raises:
        AdframeError: the key, the value, and what would be right.
    """
    for key in map(str, cfg):
        if key not in (*RULES, *GROUPS):  # added with `+`: nobody would read it
            raise AdframeError(unknown("override", key, [*RULES, *GROUPS]))
    for key, (right, description) in RULES.items():
        value = resolved(cfg, key)
        if not right(value):
            raise AdframeError(f"{key}={shown(value)} is not possible; {key} must be {description}")


def resolved(cfg: DictConfig, key: str) -> Any:
    """One value as plain data, interpolations followed."""
    try:
        return OmegaConf.to_container(OmegaConf.create({"v": cfg[key]}), resolve=True)["v"]  # type: ignore[call-overload,index]
    except OmegaConfBaseException as error:
        raise AdframeError(f"{key}: {str(error).splitlines()[0]}") from error


def shown(value: Any) -> str:
    """A value as one would type it."""
    return "null" if value is None else str(value).replace(" ", "").replace("'", "")
