"""Reads the configuration of a finished or stopped run from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adframe.config.renamed import with_current_targets
from adframe.config.trust import check_resolved
from adframe.config.validate import GROUPS, LATER_GROUPS
from adframe.errors import AdframeError
from adframe.io.secrets import hidden_keys
from adframe.results.run_files import read_run_file


def read_config(path: Path, *, trusted: Sequence[str] = ()) -> dict[str, Any]:
    """Reads the configuration of a run.

    The folder may come from a stranger, so that its own values of `trusted` and `fetch` are ignored.

    Args:
        path: the run's folder.
        trusted: packages that the user named on the command line.

    Returns:
        The configuration as plain data, with the current names of classes.

    Raises:
        AdframeError: the folder is no run's folder, its configuration is damaged or not resolved, or it was
            made by `adframe.fit`, from objects.
    """
    file = path / "config.yaml"
    if not file.is_file():
        raise AdframeError(f"{path} is no run's folder: it has no config.yaml")
    config: Any = with_current_targets(read_run_file(file))
    if isinstance(config, dict) and config.get("made_by") == "adframe.fit":
        raise AdframeError(
            f"{path} was made by adframe.fit from objects, which its files do not describe completely: use "
            "the result of adframe.fit itself, or adframe.train(...), whose runs can be loaded"
        )
    required = [key for key in GROUPS if key not in LATER_GROUPS]
    if not isinstance(config, dict) or (missing := [key for key in required if key not in config]):
        what = ", ".join(missing) if isinstance(config, dict) else "everything"
        raise AdframeError(f"{file} is no run's configuration: it lacks {what}")
    check_resolved(config, path)
    return config | {"trusted": list(trusted), "fetch": False}


def check_complete(config: Mapping[str, Any], path: Path) -> None:
    """Checks that a stored configuration lacks no secret, which no file contains.

    Args:
        config: the configuration.
        path: the run's folder, for the error.

    Raises:
        AdframeError: a secret was typed for the run and would be needed again.
    """
    if keys := hidden_keys(config):
        raise AdframeError(f"{path} does not hold the secret {', '.join(keys)}; start a new run with it")
