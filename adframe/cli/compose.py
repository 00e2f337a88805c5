"""Composes a configuration in Python, as Hydra composes it on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, open_dict

from adframe.cli.typed import TypedOverrides
from adframe.errors import AdframeError
from adframe.io.program import CONF


def compose_training(overrides: Sequence[str]) -> tuple[DictConfig, TypedOverrides]:
    """Composes the configuration of `train.py`.

    Args:
        overrides: `key=value` texts.

    Returns:
        The configuration without Hydra's own node, and the typed overrides.

    Raises:
        AdframeError: Hydra refuses an override.
    """
    if GlobalHydra.instance().is_initialized():
        GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3", job_name="train"):
            cfg = compose("train", overrides=list(overrides), return_hydra_config=True)
    except Exception as error:
        raise AdframeError(" ".join(str(error).split())) from error
    choices = {str(key): str(value) for key, value in cfg.hydra.runtime.choices.items()}
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg, TypedOverrides(tuple(overrides), (), choices)
