"""Limits what a configuration may build: a folder from a stranger must not name code that is then run."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from adframe.config.renamed import current_target
from adframe.errors import AdframeError
from adframe.io.program import CONF

_OPTIMIZERS = (
    "ASGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD"
)  # fmt: skip
_SCHEDULERS = (
    "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR", "LinearLR",
    "MultiStepLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau", "StepLR"
)  # fmt: skip
TORCH_TARGETS = {
    *(f"torch.optim.{name}" for name in _OPTIMIZERS),
    *(f"torch.optim.lr_scheduler.{name}" for name in _SCHEDULERS),
}
_OWN_TARGET = re.compile(r"_target_:\s*[\"']?(adframe(?:\.\w+)+)")


def resolve_trusted(cfg: DictConfig, part: str) -> Any:
    """Resolves one part of the configuration and checks that every `_target_` in it is allowed.

    The checked node itself is returned: a value that is resolved later could name another class.

    Args:
        cfg: the whole configuration.
        part: the key of the part.

    Returns:
        The resolved node, or a plain value.

    Raises:
        AdframeError: a `_target_` is not allowed, or a text cannot be resolved.
    """
    node = OmegaConf.select(copy.deepcopy(cfg), part)
    if not OmegaConf.is_config(node):
        return node
    OmegaConf.resolve(node)
    plain = OmegaConf.to_container(node, resolve=False)
    check_targets(plain, key=part, trusted=cfg.get("trusted") or ())
    if text := next((text for text in _all_texts(plain) if "${" in text), None):
        raise AdframeError(f"{part}: {text} holds ${{ after it was resolved; write it without")
    return node


def check_targets(node: Any, *, key: str, trusted: Collection[str] = ()) -> None:
    """Checks that every `_target_` is known to be harmless, without importing anything.

    Allowed are adframe's own parts, by their names in `conf/`, torch's optimisers and schedulers, and the
    packages that the user names on the command line.

    Args:
        node: plain data, with interpolations resolved: nested dicts, lists and values.
        key: its place in the configuration, for the error.
        trusted: packages, such as `mypackage` or `mypackage.parts`.

    Raises:
        AdframeError: a `_target_` is not allowed; the message says what to type to trust it.
    """
    for place, target in _all_targets(node, key):
        if isinstance(target, str) and (
            target in TORCH_TARGETS
            or any(target.startswith(f"{package}.") for package in trusted)
            or target in own_parts()
        ):
            continue
        package, today = str(target).partition(".")[0], current_target(str(target))
        if today in own_parts():
            raise AdframeError(f"{place}._target_={target} has another name now: write {today}")
        raise AdframeError(
            f"{place}._target_={target} is not a part of adframe, so its code is not run; if you trust "
            f"it, say so on the command line: 'trusted=[{package}]'"
        )


def check_resolved(config: Any, path: Path) -> None:
    """Checks that a stored configuration has no interpolations.

    adframe writes none; an interpolation could get another value between the check and the use.

    Args:
        config: plain data.
        path: the run's folder, for the error.

    Raises:
        AdframeError: a text has an interpolation.
    """
    if text := next((text for text in _all_texts(config) if "${" in text), None):
        raise AdframeError(f"the configuration in {path} holds {text}; write the value itself in its place")


@cache
def own_parts() -> frozenset[str]:
    """Returns every `_target_` of adframe in the files of `conf/`."""
    texts = (path.read_text(encoding="utf-8") for path in CONF.rglob("*.yaml"))
    return frozenset(name for text in texts for name in _OWN_TARGET.findall(text))


def _all_targets(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield key, node["_target_"]
        for name, child in node.items():
            yield from _all_targets(child, f"{key}.{name}")
    elif isinstance(node, list | tuple):
        for place, child in enumerate(node):
            yield from _all_targets(child, f"{key}[{place}]")


def _all_texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict | list | tuple):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _all_texts(child)
    elif isinstance(node, str):
        yield node
