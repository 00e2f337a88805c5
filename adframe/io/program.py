"""How this process was started (a script of a checkout, or a command), and where its configuration is."""

from __future__ import annotations

import sys
from pathlib import Path

_PACKAGED = Path(__file__).parents[1] / "conf"  # only a wheel has it; setup.py copies the folder
INSTALLED = _PACKAGED.is_dir()
CONF = _PACKAGED if INSTALLED else Path(__file__).parents[2] / "conf"
COMMAND_PREFIX = "adframe "  # `adframe train` sets sys.argv[0] to its two words


def script_name() -> str:
    """Returns the name of the running script, without its folder and suffix.

    Returns:
        `train` for `python train.py` and for `adframe train`.
    """
    return Path(sys.argv[0].removeprefix(COMMAND_PREFIX)).stem


def command_of(script: str) -> str:
    """Returns what a user types to start a script.

    Args:
        script: `train`, `sweep`, `evaluate` or `explore`.

    Returns:
        `python train.py`, or `adframe train` where the process is a command or there is no checkout.

    Example:
        >>> command_of("train") in ("python train.py", "adframe train")
        True
    """
    if INSTALLED or sys.argv[0].startswith(COMMAND_PREFIX):
        return COMMAND_PREFIX + script
    return "python -m adframe.cli.explore" if script == "explore" else f"python {script}.py"


def typed_command() -> list[str]:
    """Returns the words with which this process was started, with a short name of the interpreter.

    Returns:
        Such as `["python", "train.py"]` or `["adframe", "train"]`.
    """
    if sys.argv[0].startswith(COMMAND_PREFIX):
        return sys.argv[0].split()
    return ["python", Path(sys.argv[0]).name]
