"""A sweep's finished runs, grouped by what makes the method and not the condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adframe.analysis.studies.sweep_runs import finished
from adframe.config.saved_config import read_config
from adframe.results.sweep_folder import Sweep


@dataclass(frozen=True, slots=True)
class Done:
    """A finished run.

    Attributes:
        path: its folder.
        config: its configuration.
    """

    path: Path
    config: Mapping[str, Any]


def grouped(sweep: Sweep, *, aside: Sequence[str] = ()) -> dict[str, list[Done]]:
    """Runs by what was varied besides some keys, in the order of the jobs.

    Args:
        sweep: its runs.
        aside: keys, and all below them, that make no other method: what a study compares.

    Returns:
        Label -> runs: the swept value where one key is left, `top_share 0.1, seed 1` where several
        are, the method's name where none is.

    Raises:
        AdframeError: a run's configuration cannot be read.
    """
    keys = [key for key in sweep.varied if key.partition(".")[0] not in aside]
    found: dict[str, list[Done]] = {}
    for entry in finished(sweep):
        run = Path(str(entry.folder))
        done = Done(run, read_config(run))
        found.setdefault(_label(entry.told, keys) or _method(done), []).append(done)
    return found


def _label(told: Mapping[str, str], keys: Sequence[str]) -> str:
    if len(keys) == 1:
        return told.get(keys[0], "default")
    return ", ".join(f"{key.rpartition('.')[2]} {told[key]}" for key in keys if key in told)


def _method(done: Done) -> str:
    return str(done.config["model"]["_target_"]).rpartition(".")[2]
