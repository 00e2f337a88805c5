"""Refuses impossible values of the configuration before any work is done."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from adframe.config.signatures import as_typed
from adframe.data.training_set import LABELLED_VALUES, is_labelled
from adframe.errors import AdframeError, unknown


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_real(value: Any) -> bool:
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


ValueRule = tuple[Callable[[Any], bool], str]  # is a value possible?, which values are
RULES: dict[str, ValueRule] = {
    "category": (_is_names, "all, a name, or a list of different names"),
    "scope": (lambda v: v in ("per_category", "global"), "per_category or global"),
    "seed": (lambda v: _is_whole(v) and 0 <= v < 2**32, "a whole number from 0 to 4294967295"),
    "image_size": (_is_size, "null, or pixels, 16 or more: a whole number, or [height,width]"),
    "image_scale": (lambda v: _is_real(v) and 0 < v <= 8, "a number above 0, 8 at most"),
    "keep_aspect": (lambda v: isinstance(v, bool), "true or false"),
    "batch_size": (lambda v: _is_whole(v) and v > 0, "a whole number above 0"),
    "num_workers": (lambda v: _is_whole(v) and v >= 0, "a whole number, 0 or more"),
    "holdout": (lambda v: _is_real(v) and 0 < v < 1, "a share between 0 and 1"),
    "shots": (lambda v: v is None or (_is_whole(v) and v > 0), "null or a whole number above 0"),
    "contamination": (lambda v: v is None or (_is_real(v) and 0 <= v <= 0.5), "null or a share in [0, 0.5]"),
    "labelled": (lambda v: v is None or is_labelled(v), LABELLED_VALUES),
    "refit": (lambda v: isinstance(v, bool), "true or false"),
    "mask_ratio": (lambda v: _is_real(v) and 0 < v < 1, "a share between 0 and 1"),
    "coreset": (lambda v: _is_real(v) and 0 < v <= 1, "a share in (0, 1]"),
    "composition": (lambda v: isinstance(v, bool) or v == "only", "false, true or only"),
    "save_maps": (lambda v: isinstance(v, bool), "true or false"),
    "domains": (lambda v: isinstance(v, dict), "shifts by name, as +shift@domains.severe=severe adds one"),
    "transfer": (lambda v: isinstance(v, bool), "true or false"),
    "resume": (lambda v: v is None or isinstance(v, str), "the folder of a stopped run"),
    "fetch": (lambda v: isinstance(v, bool), "true or false"),
    "trusted": (_is_packages, "a list of packages, such as [mypackage]"),
}
EVALUATION_RULES: dict[str, ValueRule] = {
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
    "submission_scale": (lambda v: _is_real(v) and 0 < v <= 1, "a share in (0, 1]"),
    "trusted": RULES["trusted"],
}

# Keys that some methods read and others do not.
_CHECKPOINTING = "trainer.gradient_checkpointing"
_METHOD_KEYS = ("coreset", "mask_ratio", "composition", "memory", "fusion", "store", _CHECKPOINTING)
# Keys of Hydra that would move the files of a run, and what to type instead.
_HYDRA_HINTS = {
    "hydra.run.dir": "name the folder of a run with {folder_key}=<folder>",
    "hydra.output_subdir": "the files of a run lie in its folder; see {folder_key}=<folder>",
    "hydra.job.chdir": "a run does not change the working folder; see {folder_key}=<folder>",
    "hydra.sweep.subdir": "runs of a sweep are numbered; name its folder with hydra.sweep.dir=<folder>",
}

GROUPS = (
    "paths", "dataset", "split", "shift", "backbone", "store", "memory", "fusion", "synthesis", "learning",
    "tiling", "roi", "postprocess", "model", "calibration", "metrics", "callbacks", "trainer", "logger"
)  # fmt: skip
LATER_GROUPS = ("tiling", "roi", "postprocess")  # runs of earlier versions do not have them


def check_values(
    cfg: DictConfig,
    *,
    overrides: Sequence[str],
    hydra_overrides: Sequence[str] = (),
    rules: Mapping[str, ValueRule] = RULES,
    groups: Sequence[str] = GROUPS,
    folder_key: str = "paths.run",
) -> None:
    """Checks the top-level values of a script's configuration.

    Args:
        cfg: the whole configuration.
        overrides: the overrides that were typed.
        hydra_overrides: the typed overrides of Hydra's own keys.
        rules: the keys of the script with a value, and their rules.
        groups: the keys of the script that hold more keys.
        folder_key: the key that names the folder of the results, for hints.

    Raises:
        AdframeError: a key is unknown or missing, or a value is impossible; the message says what is
            possible.
    """
    check_hydra_overrides(hydra_overrides, folder_key=folder_key)
    for key in map(str, cfg):
        if key not in (*rules, *groups):  # added with `+`, and never read
            raise AdframeError(unknown("override", key, [*rules, *groups]))
    for key in (*rules, *groups):
        if key not in cfg:
            raise AdframeError(f"{key} is missing; it was removed with ~{key}")
    _check_additions(cfg, overrides)
    _check_missing(cfg)
    _check_finite(cfg)
    _check_rules(cfg, rules)
    _check_checkpointing(cfg)


def check_evaluation(
    cfg: DictConfig, *, overrides: Sequence[str], hydra_overrides: Sequence[str] = ()
) -> None:
    """Checks the configuration of `evaluate.py`; `compare=` and `errors=` allow almost no other key.

    Args:
        cfg: the whole configuration.
        overrides: the overrides that were typed.
        hydra_overrides: the typed overrides of Hydra's own keys.

    Raises:
        AdframeError: a key is unknown or missing, or a value is impossible; the message says what is
            possible.
    """
    check_hydra_overrides(hydra_overrides, folder_key="run")
    for key, read in (("compare", ("compare", "fuse")), ("errors", ("errors", "dataset.root"))):
        if cfg.get(key) is not None:
            _check_rules(cfg, {name: EVALUATION_RULES[name] for name in read if name in EVALUATION_RULES})
            if other := [text for text in overrides if text.lstrip("+").partition("=")[0] not in read]:
                raise AdframeError(f"{key} only reads files of the runs; remove {' '.join(other)}")
            return
    _check_evaluation_keys(cfg)
    _check_missing(cfg)
    _check_finite(cfg)
    _check_rules(cfg, EVALUATION_RULES)


def _check_finite(cfg: DictConfig) -> None:
    """Refuses NaN and infinity; NaN would pass range checks, because comparisons with it are false."""
    for key, value in _leaves(OmegaConf.to_container(cfg), ""):
        if isinstance(value, float) and not math.isfinite(value):
            raise AdframeError(f"{key}={value} is not possible; {key} must be a finite number")


def _leaves(node: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yields every value with its key."""
    if isinstance(node, dict):
        for key, child in node.items():
            yield from _leaves(child, f"{place}.{key}" if place else str(key))
    elif isinstance(node, list):
        for child in node:
            yield from _leaves(child, place)
    else:
        yield place, node


def unread_overrides(cfg: DictConfig, *, overrides: Sequence[str], model: str) -> list[str]:
    """Lists typed keys of other methods that the chosen method ignores.

    Args:
        cfg: the whole configuration, before its interpolations are resolved.
        overrides: the overrides that were typed.
        model: the name of the chosen method.

    Returns:
        One line per key.
    """
    keys = {text.lstrip("+").partition("=")[0] for text in overrides}
    return [
        f"{key} was given, but model={model} does not read it"
        for key in _METHOD_KEYS
        if key in keys and not _is_read(cfg, key)
    ]


def _is_read(cfg: DictConfig, key: str) -> bool:
    """Tells whether the method refers to a key; interpolations must not be resolved yet."""
    if key == "store" and _is_trained(cfg):  # the training itself is kept there
        return True
    node = str(OmegaConf.to_container(cfg.model, resolve=False))
    return re.search(rf"\$\{{(oc\.select:)?{re.escape(key)}\b", node) is not None


def _is_trained(cfg: DictConfig) -> bool:
    return OmegaConf.select(cfg, "learning._target_") is not None


def check_hydra_overrides(overrides: Sequence[str], *, folder_key: str = "paths.run") -> None:
    """Refuses keys of Hydra that would move the files of a run.

    Args:
        overrides: the typed overrides of Hydra's own keys.
        folder_key: the key of the script that names the folder, for the hint.

    Raises:
        AdframeError: one of them was typed; the message says what to type instead.

    Example:
        >>> check_hydra_overrides(["hydra.run.dir=/x"], folder_key="run")
        Traceback (most recent call last):
        adframe.errors.AdframeError: hydra.run.dir is not read; name the folder of a run with run=<folder>
    """
    for text in overrides:
        key = text.lstrip("+").partition("=")[0]
        if key in _HYDRA_HINTS:
            raise AdframeError(f"{key} is not read; {_HYDRA_HINTS[key].format(folder_key=folder_key)}")


def _check_evaluation_keys(cfg: DictConfig) -> None:
    """Refuses keys that were added with `+`: the configuration of the run is used, not that of the script."""
    known = [*EVALUATION_RULES, "shift", "logger", "dataset.root"]
    keys = [str(key) for key in cfg if key != "dataset"] + [f"dataset.{key!s}" for key in cfg.dataset]
    for key in keys:
        if key not in known:
            raise AdframeError(unknown("override", key, known))


def _check_additions(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Refuses added keys except below a class or the trainer, which check their arguments themselves."""
    for text in overrides:
        key = text.partition("=")[0].lstrip("+")
        place, _, name = key.rpartition(".")
        if "@" in key:
            continue  # an option of a group, as in +shift/transform@shift.transforms.jpeg=jpeg
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


def _check_rules(cfg: DictConfig, rules: Mapping[str, ValueRule]) -> None:
    for key, (right, description) in rules.items():
        value = resolved_value(cfg, key)
        if not right(value):
            raise AdframeError(f"{key}={as_typed(value)} is not possible; {key} must be {description}")


def _check_checkpointing(cfg: DictConfig) -> None:
    """Refuses to save memory by a method that is trained and cannot: it would run out of memory later."""
    if _is_trained(cfg) and OmegaConf.select(cfg, _CHECKPOINTING) and not _is_read(cfg, _CHECKPOINTING):
        name = str(OmegaConf.select(cfg, "model._target_")).rpartition(".")[2]
        raise AdframeError(
            f"{_CHECKPOINTING}=true: model={name} cannot save memory so, only sit and dinov2_lora can; set "
            "it to false, and choose a smaller batch_size if memory is short"
        )


def resolved_value(cfg: DictConfig, key: str) -> Any:
    """Returns one value as plain data, with interpolations resolved.

    Args:
        cfg: the whole configuration.
        key: a top-level key, or a key of the node.

    Returns:
        The value.

    Raises:
        AdframeError: an interpolation cannot be resolved.
    """
    try:
        value = cfg[key]
        if isinstance(value, DictConfig):  # resolved in its place, because it may refer to other keys
            return OmegaConf.to_container(value, resolve=True)
        return OmegaConf.to_container(OmegaConf.create({"v": value}), resolve=True)["v"]  # type: ignore[call-overload,index]
    except OmegaConfBaseException as error:
        raise AdframeError(f"{key}: {str(error).splitlines()[0]}") from error
