"""Resolvers for the help texts in `conf/`, which Hydra prints with `--help`."""

from __future__ import annotations

from omegaconf import OmegaConf

from adframe.io.program import CONF, command_of


def register_help_resolvers() -> None:
    """Registers `${command:<script>}`, what a user types, and `${options:<group>}`, a group's choices."""
    OmegaConf.register_new_resolver("command", command_of, replace=True)
    OmegaConf.register_new_resolver("options", options_of, replace=True)


def options_of(group: str) -> str:
    """Lists the choices of a group.

    Args:
        group: its folder in `conf/`.

    Returns:
        One line.

    Example:
        >>> options_of("store")
        'store: disk, none'
    """
    names = sorted(file.stem for file in (CONF / group).glob("*.yaml"))
    return f"{group}: {', '.join(names)}"
