"""The same sweep for Weights & Biases' own agents: `wandb sweep <folder>/wandb_sweep.yaml`."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import IntervalSweep, Override

from adframe.io.files import write_whole
from adframe.io.secrets import hide_in_text, hide_secrets
from adframe.sweeps.state import own_overrides

FILE = "wandb_sweep.yaml"
START = ("${env}", "${interpreter}", "${program}", "store=disk")
HEAD = """# wandb sweep {file}     makes a sweep of it on the server; then, on each machine:
# wandb agent <what it answered>
"""


def write_agent_file(folder: Path, overrides: Sequence[Override], *, project: str | None) -> None:
    """Writes it beside the runs.

    Args:
        folder: the sweep's.
        overrides: what is swept and what is not.
        project: of Weights & Biases.
    """
    swept = {one.get_key_element(): one for one in overrides if one.is_sweep_override()}
    fixed = own_overrides([_text(one) for one in overrides if not one.is_sweep_override()])
    fixed = [text for text in fixed if not text.startswith("logger=")]  # an agent hears by W&B alone
    file: dict[str, Any] = {
        "program": str(Path(sys.argv[0]).with_name("train.py")),
        "method": "random" if any(_is_interval(one) for one in swept.values()) else "grid",
        **({"project": project} if project else {}),
        "command": [*START, *map(hide_in_text, map(_of_train, fixed)), "${args_no_hyphens}"],
        "parameters": hide_secrets({key: _parameter(one) for key, one in swept.items()}),
    }
    text = yaml.safe_dump(file, sort_keys=False, allow_unicode=True)
    write_whole(folder / FILE, HEAD.format(file=folder / FILE) + text)


def _text(override: Override) -> str:
    return f"{override.get_key_element()}={override.get_value_element_as_str()}"


def _of_train(text: str) -> str:
    """An experiment is in the defaults of sweep.py alone."""
    return f"+{text}" if text.startswith("experiment=") else text


def _is_interval(override: Override) -> bool:
    return isinstance(override.value(), IntervalSweep)


def _parameter(override: Override) -> dict[str, Any]:
    found = override.value()
    if isinstance(found, IntervalSweep):
        assert found.start is not None
        assert found.end is not None
        whole = isinstance(found.start, int) and isinstance(found.end, int)
        kind = "log_uniform_values" if "log" in found.tags else "int_uniform" if whole else "uniform"
        return {"distribution": kind, "min": found.start, "max": found.end}
    values = itertools.islice(override.sweep_string_iterator(), 10_000)
    return {"values": [_number(str(value)) for value in values]}


def _number(text: str) -> str | int | float:
    """Numbers as such, so that charts have axes; anything else as Hydra reads it."""
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if str(value) == text:
            return value
    return text
