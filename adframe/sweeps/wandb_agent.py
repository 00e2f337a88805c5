"""Writes the same sweep for the agents of wandb: `wandb sweep <folder>/wandb_sweep.yaml`."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import IntervalSweep, Override

from adframe.io.files import write_whole
from adframe.io.program import COMMAND_PREFIX, command_of
from adframe.io.secrets import hide_in_text, hide_secrets
from adframe.sweeps.state import override_text, overrides_of_job

AGENT_FILE = "wandb_sweep.yaml"
_FILE_HEAD = """# wandb sweep {file}     creates the sweep on the server; then, on each machine:
# wandb agent <the name that it printed>
"""


def write_agent_file(folder: Path, overrides: Sequence[Override], *, project: str | None) -> None:
    """Writes `wandb_sweep.yaml` into the folder of the sweep.

    Args:
        folder: the folder of the sweep.
        overrides: the typed overrides, swept and fixed ones.
        project: of wandb; None for its default.
    """
    swept = {one.get_key_element(): one for one in overrides if one.is_sweep_override()}
    fixed = overrides_of_job([override_text(one) for one in overrides if not one.is_sweep_override()])
    fixed = [text for text in fixed if not text.startswith("logger=")]  # agents always log to wandb
    train = command_of("train")
    is_command = train.startswith(COMMAND_PREFIX)  # otherwise it is a script next to this one
    start = train.split() if is_command else ["${interpreter}", "${program}"]
    file: dict[str, Any] = {
        **({} if is_command else {"program": str(Path(sys.argv[0]).with_name("train.py"))}),
        "method": "random"
        if any(isinstance(one.value(), IntervalSweep) for one in swept.values())
        else "grid",
        **({"project": project} if project else {}),
        "command": [
            "${env}",
            *start,
            "store=disk",
            *map(hide_in_text, map(_train_override, fixed)),
            "${args_no_hyphens}",
        ],
        "parameters": hide_secrets({key: _parameter(one) for key, one in swept.items()}),
    }
    text = yaml.safe_dump(file, sort_keys=False, allow_unicode=True)
    write_whole(folder / AGENT_FILE, _FILE_HEAD.format(file=folder / AGENT_FILE) + text)


def _train_override(text: str) -> str:
    """Adds `+` to an experiment, which the defaults of sweep.py have and those of train.py lack."""
    return f"+{text}" if text.startswith("experiment=") else text


def _parameter(override: Override) -> dict[str, Any]:
    found = override.value()
    if isinstance(found, IntervalSweep):
        assert found.start is not None
        assert found.end is not None
        whole = isinstance(found.start, int) and isinstance(found.end, int)
        kind = "log_uniform_values" if "log" in found.tags else "int_uniform" if whole else "uniform"
        return {"distribution": kind, "min": found.start, "max": found.end}
    values = itertools.islice(override.sweep_string_iterator(), 10_000)
    return {"values": [_as_number(str(value)) for value in values]}


def _as_number(text: str) -> str | int | float:
    """Returns a number as such, so that charts have axes, and other text as it is."""
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if str(value) == text:
            return value
    return text
