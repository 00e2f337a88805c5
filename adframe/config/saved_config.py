"""The configuration of a finished or stopped run, read back from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adframe.config.renamed import with_current_targets
from adframe.config.trust import check_resolved
from adframe.config.validate import GROUPS
from adframe.errors import AdframeError
from adframe.io.secrets import hidden_keys
from adframe.results.run_files import read_run_file


def read_config(path: Path, *, trusted: Sequence[str] = ()) -> dict[str, Any]:
    """A run's configuration, or an error where the folder holds no run.

    The folder may come from a stranger: its own word on what is trusted and fetched does not count.

    Args:
        path: the run's folder.
        trusted: packages that the user named on the command line.
    """
    file = path / "config.yaml"
    if not file.is_file():
        raise AdframeError(f"{path} is no run's folder: it has no config.yaml")
    config: Any = with_current_targets(read_run_file(file))
    if not isinstance(config, dict) or (missing := [key for key in GROUPS if key not in config]):
        what = ", ".join(missing) if isinstance(config, dict) else "everything"
        raise AdframeError(f"{file} is no run's configuration: it lacks {what}")
    check_resolved(config, path)
    return config | {"trusted": list(trusted), "fetch": False}


def check_complete(config: Mapping[str, Any], path: Path) -> None:
    """Raises AdframeError where a secret that was typed is needed again, because no file holds it."""
    if keys := hidden_keys(config):
        raise AdframeError(f"{path} does not hold the secret {', '.join(keys)}; start a new run with it")
