"""What a configuration may build: a folder from a stranger must not be able to name code that then runs."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from adframe.config.messages import CONF
from adframe.config.renamed import current_target
from adframe.errors import AdframeError

OPTIMIZERS = (
    "ASGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD"
)  # fmt: skip
SCHEDULERS = (
    "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR", "LinearLR",
    "MultiStepLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau", "StepLR"
)  # fmt: skip
OF_TORCH = {
    *(f"torch.optim.{name}" for name in OPTIMIZERS),
    *(f"torch.optim.lr_scheduler.{name}" for name in SCHEDULERS),
}
_OWN = re.compile(r"_target_:\s*[\"']?(adframe(?:\.\w+)+)")


def checked(cfg: DictConfig, part: str) -> Any:
    """One part of the configuration with its interpolations resolved, and every `_target_` allowed.

    What is checked is what is then built: a value that is resolved later could name another class.
    """
    node = OmegaConf.select(copy.deepcopy(cfg), part)
    if not OmegaConf.is_config(node):
        return node
    OmegaConf.resolve(node)
    plain = OmegaConf.to_container(node, resolve=False)
    check_targets(plain, key=part, trusted=cfg.get("trusted") or ())
    if text := next((text for text in _texts(plain) if "${" in text), None):
        raise AdframeError(f"{part}: {text} holds ${{ after it was resolved; write it without")
    return node


def check_targets(node: Any, *, key: str, trusted: Collection[str] = ()) -> None:
    """Refuses every `_target_` that is not known to be harmless; imports nothing.

    Allowed are adframe's own parts, by the names under which `conf/` has them, torch's optimisers and
    schedulers, and what lies in a package that the user names on the command line.

    Args:
        node: plain data, with interpolations resolved: dicts, lists and values, as deep as they go.
        key: where it stands in the configuration, for the error.
        trusted: packages, such as `mypackage` or `mypackage.parts`.

    Raises:
        AdframeError: names the key, the target, and what to type where it is trusted.
    """
    for place, target in _targets(node, key):
        if not isinstance(target, str) or not _is_allowed(target, trusted):
            package, today = str(target).partition(".")[0], current_target(str(target))
            if today in own_parts():
                raise AdframeError(f"{place}._target_={target} has another name now: write {today}")
            raise AdframeError(
                f"{place}._target_={target} is not a part of adframe, so its code is not run; if you trust "
                f"it, say so on the command line: 'trusted=[{package}]'"
            )


def check_resolved(config: Any, path: Path) -> None:
    """Refuses a stored configuration that leaves something to be resolved when it is read.

    adframe writes none: what such a value becomes could change between the check and the use.

    Raises:
        AdframeError: names the folder and the text.
    """
    if text := next((text for text in _texts(config) if "${" in text), None):
        raise AdframeError(f"the configuration in {path} holds {text}; write the value itself in its place")


@cache
def own_parts() -> frozenset[str]:
    """Every `_target_` of adframe that the files in `conf/` name."""
    texts = (path.read_text(encoding="utf-8") for path in CONF.rglob("*.yaml"))
    return frozenset(name for text in texts for name in _OWN.findall(text))


def _is_allowed(target: str, trusted: Collection[str]) -> bool:
    if target in OF_TORCH or any(target.startswith(f"{package}.") for package in trusted):
        return True
    return target in own_parts()


def _targets(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield key, node["_target_"]
        for name, child in node.items():
            yield from _targets(child, f"{key}.{name}")
    elif isinstance(node, list | tuple):
        for place, child in enumerate(node):
            yield from _targets(child, f"{key}[{place}]")


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict | list | tuple):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _texts(child)
    elif isinstance(node, str):
        yield node
