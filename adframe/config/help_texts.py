"""Resolvers for the help texts in `conf/`, which Hydra prints with `--help`."""

from __future__ import annotations

import textwrap

from omegaconf import OmegaConf

from adframe.io.program import CONF, command_of


def register_help_resolvers() -> None:
    """Registers `${command:<script>}`, what a user types, and `${options:<group>}`, its choices."""
    OmegaConf.register_new_resolver("command", command_of, replace=True)
    OmegaConf.register_new_resolver("options", options_of, replace=True)
    OmegaConf.register_new_resolver("groups", all_options, replace=True)


def all_options() -> str:
    """Lists the choices of every group but Hydra's own.

    Returns:
        One paragraph per group.
    """
    folders = sorted({str(file.parent.relative_to(CONF)) for file in CONF.glob("*/**/*.yaml")})
    return "\n".join(options_of(name) for name in folders if name != "hydra")


def options_of(group: str) -> str:
    """Lists the choices of a group.

    Args:
        group: its folder in `conf/`.

    Returns:
        One paragraph, wrapped for a terminal of 80 columns.

    Example:
        >>> options_of("store")
        'store: disk, none'
    """
    names = sorted(file.stem for file in (CONF / group).glob("*.yaml"))
    line = f"{group}: {', '.join(names)}"
    return textwrap.fill(line, 80, subsequent_indent="  ")
