"""The config wins or the run stops: impossible values are refused before any work."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from adframe.config.signatures import shown
from adframe.errors import AdframeError, unknown


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_size(value: Any) -> bool:
    if value is None:
        return True
    sides = value if isinstance(value, list) else [value]
    fits = len(sides) == 2 if isinstance(value, list) else True
    return fits and all(_is_whole(side) and side >= 16 for side in sides)


def _is_names(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return (
        bool(names)
        and all(isinstance(name, str) and name for name in names)
        and len(set(names)) == len(names)
    )


def _is_packages(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(name, str) and all(part.isidentifier() for part in name.split(".")) for name in value
    )


Rule = tuple[Callable[[Any], bool], str]
RULES: dict[str, Rule] = {
    "category": (_is_names, "all, a name, or a list of different names"),
    "scope": (lambda v: v in ("per_category", "global"), "per_category or global"),
    "seed": (lambda v: _is_whole(v) and 0 <= v < 2**32, "a whole number from 0 to 4294967295"),
    "image_size": (_is_size, "null, or pixels, 16 or more: a whole number, or [height,width]"),
    "keep_aspect": (lambda v: isinstance(v, bool), "true or false"),
    "batch_size": (lambda v: _is_whole(v) and v > 0, "a whole number above 0"),
    "num_workers": (lambda v: _is_whole(v) and v >= 0, "a whole number, 0 or more"),
    "holdout": (lambda v: _is_number(v) and 0 < v < 1, "a share between 0 and 1"),
    "refit": (lambda v: isinstance(v, bool), "true or false"),
    "mask_ratio": (lambda v: _is_number(v) and 0 < v < 1, "a share between 0 and 1"),
    "coreset": (lambda v: _is_number(v) and 0 < v <= 1, "a share in (0, 1]"),
    "composition": (lambda v: isinstance(v, bool) or v == "only", "false, true or only"),
    "save_maps": (lambda v: isinstance(v, bool), "true or false"),
    "domains": (lambda v: isinstance(v, dict), "shifts by name, as +shift@domains.severe=severe adds one"),
    "transfer": (lambda v: isinstance(v, bool), "true or false"),
    "resume": (lambda v: v is None or isinstance(v, str), "the folder of a stopped run"),
    "fetch": (lambda v: isinstance(v, bool), "true or false"),
    "trusted": (_is_packages, "a list of packages, such as [mypackage]"),
}
EVALUATION_RULES: dict[str, Rule] = {
    "run": (lambda v: v not in (None, ""), "a run's folder"),
    "compare": (
        lambda v: v is None or (isinstance(v, list) and len(v) > 1 and _is_names(v)),
        "null, or a list of two or more different runs' folders",
    ),
    "errors": (
        lambda v: v is None or _is_names(v),
        "null, a run's folder, or a list of different runs' folders",
    ),
    "fuse": (lambda v: isinstance(v, bool), "true or false"),
    "category": (lambda v: v is None or _is_names(v), "null, all, a name, or a list of different names"),
    "num_workers": (lambda v: v is None or (_is_whole(v) and v >= 0), "null or a whole number, 0 or more"),
    "submission": (lambda v: v is None or (isinstance(v, str) and v != ""), "null or a new folder"),
    "submission_scale": (lambda v: _is_number(v) and 0 < v <= 1, "a share in (0, 1]"),
    "trusted": RULES["trusted"],
}

# Keys that some methods read and others do not.
METHOD_KEYS = ("coreset", "mask_ratio", "composition", "memory", "fusion", "store")
PLACES = {
    "hydra.run.dir": "name a run's folder with paths.run=<folder>",
    "hydra.output_subdir": "a run's books lie in its folder, see paths.run=<folder>",
    "hydra.job.chdir": "a run stays in the folder where it was started; see paths.run=<folder>",
    "hydra.sweep.subdir": "a sweep's runs are numbered; name its folder with hydra.sweep.dir=<folder>",
}

GROUPS = (
    "paths", "dataset", "split", "shift", "backbone", "store", "memory", "fusion", "synthesis", "learning",
    "model",
    "calibration", "metrics", "callbacks", "trainer", "logger"
)  # fmt: skip


def check_values(
    cfg: DictConfig,
    *,
    typed: Sequence[str],
    hydra: Sequence[str] = (),
    rules: Mapping[str, Rule] = RULES,
    groups: Sequence[str] = GROUPS,
) -> None:
    """Every shared top-level value: known, and of a kind that can work.

    Args:
        cfg: a script's whole configuration.
        typed: the overrides that were typed.
        hydra: the overrides of Hydra's own keys that were typed.
        rules: its own keys, and what is right for them.
        groups: its keys that hold more keys.

    Raises:
        AdframeError: the key, the value, and what would be right.
    """
    check_places(hydra)
    for key in map(str, cfg):
        if key not in (*rules, *groups):  # added with `+`: nobody would read it
            raise AdframeError(unknown("override", key, [*rules, *groups]))
    for key in (*rules, *groups):
        if key not in cfg:
            raise AdframeError(f"{key} is missing; it was taken out with ~{key}")
    _check_additions(cfg, typed)
    _check_missing(cfg)
    _check_finite(cfg)
    _check_rules(cfg, rules)


def check_evaluation(cfg: DictConfig, *, typed: Sequence[str], hydra: Sequence[str] = ()) -> None:
    """The same for `evaluate.py`, which has few keys; `compare` and `errors` allow no other."""
    check_places(hydra)
    for key, read in (("compare", ("compare", "fuse")), ("errors", ("errors", "dataset.root"))):
        if cfg.get(key) is not None:
            _check_rules(cfg, {name: EVALUATION_RULES[name] for name in read if name in EVALUATION_RULES})
            if other := [text for text in typed if text.lstrip("+").partition("=")[0] not in read]:
                raise AdframeError(f"{key} reads what the runs left behind; remove {' '.join(other)}")
            return
    _check_known(cfg)
    _check_missing(cfg)
    _check_finite(cfg)
    _check_rules(cfg, EVALUATION_RULES)


def _check_finite(cfg: DictConfig) -> None:
    """NaN and infinity are no settings: comparisons with NaN are false, so range checks let it through."""
    for key, value in _leaves(OmegaConf.to_container(cfg), ""):
        if isinstance(value, float) and not math.isfinite(value):
            raise AdframeError(f"{key}={value} is not possible; {key} must be a finite number")


def _leaves(node: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every value with its key."""
    if isinstance(node, dict):
        for key, child in node.items():
            yield from _leaves(child, f"{place}.{key}" if place else str(key))
    elif isinstance(node, list):
        for child in node:
            yield from _leaves(child, place)
    else:
        yield place, node


def unread(cfg: DictConfig, *, typed: Sequence[str], model: str) -> list[str]:
    """What was typed of a method's own keys that the chosen method does not read, one line each.

    Args:
        cfg: the whole configuration, its interpolations not yet followed.
        typed: the overrides that were typed.
        model: the name of the chosen method.
    """
    node = str(OmegaConf.to_container(cfg.model, resolve=False))
    keys = {text.lstrip("+").partition("=")[0] for text in typed}
    return [
        f"{key} was given, but model={model} does not read it"
        for key in METHOD_KEYS
        if key in keys and not re.search(rf"\$\{{(oc\.select:)?{key}\b", node)
    ]


def check_places(hydra: Sequence[str]) -> None:
    """Refuses keys of Hydra that would place a run's files, because a run has a folder of its own."""
    for text in hydra:
        key = text.lstrip("+").partition("=")[0]
        if key in PLACES:
            raise AdframeError(f"{key} is not read; {PLACES[key]}")


def _check_known(cfg: DictConfig) -> None:
    """What `+` adds to `evaluate.py` would be read by nobody: a run's own configuration holds."""
    known = [*EVALUATION_RULES, "shift", "dataset.root"]
    keys = [str(key) for key in cfg if key != "dataset"] + [f"dataset.{key!s}" for key in cfg.dataset]
    for key in keys:
        if key not in known:
            raise AdframeError(unknown("override", key, known))


def _check_additions(cfg: DictConfig, typed: Sequence[str]) -> None:
    """What `+` adds is read only where a class or the trainer takes it, and those check it themselves."""
    for text in typed:
        key = text.partition("=")[0].lstrip("+")
        place, _, name = key.rpartition(".")
        if "@" in key:
            continue  # a group's option, as in +shift/transform@shift.transforms.jpeg=jpeg
        if text.startswith("+") and place and place != "trainer":
            parent = OmegaConf.select(cfg, place)
            if not isinstance(parent, DictConfig) or "_target_" not in parent:
                known = [f"{place}.{key!s}" for key in parent or () if key != name]
                raise AdframeError(unknown("override", f"{place}.{name}", known))


def _check_missing(cfg: DictConfig) -> None:
    if missing := [key for key, value in _leaves(OmegaConf.to_container(cfg), "") if value == "???"]:
        example = " ".join(f"{key}=..." for key in missing)
        verb = "has" if len(missing) == 1 else "have"
        raise AdframeError(f"{', '.join(missing)} {verb} no value; give it on the command line: {example}")


def _check_rules(cfg: DictConfig, rules: Mapping[str, Rule]) -> None:
    for key, (right, description) in rules.items():
        value = resolved(cfg, key)
        if not right(value):
            raise AdframeError(f"{key}={shown(value)} is not possible; {key} must be {description}")


def resolved(cfg: DictConfig, key: str) -> Any:
    """One value as plain data, interpolations followed."""
    try:
        value = cfg[key]
        if isinstance(value, DictConfig):  # in its place, because it may name other keys
            return OmegaConf.to_container(value, resolve=True)
        return OmegaConf.to_container(OmegaConf.create({"v": value}), resolve=True)["v"]  # type: ignore[call-overload,index]
    except OmegaConfBaseException as error:
        raise AdframeError(f"{key}: {str(error).splitlines()[0]}") from error
