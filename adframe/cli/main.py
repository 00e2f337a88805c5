"""The main function of a script: a user error is one line on standard error and exit code 2."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console

from adframe.cli import attempts
from adframe.config.literal_overrides import quote_names
from adframe.config.messages import is_user_error, one_line
from adframe.errors import AdframeError

OPTIONS = (
    "help", "hydra-help", "version", "cfg", "resolve", "package", "run", "multirun", "shell-completion",
    "config-path", "config-name", "config-dir", "experimental-rerun", "info"
)  # fmt: skip


class Terminated(KeyboardInterrupt):
    """SIGTERM, which stops a run as Ctrl-C does."""


def guard(main: Callable[[], Any]) -> None:
    """Runs a script's main function; a bug keeps its traceback."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands errors on instead of printing them itself
    try:
        _check_options(sys.argv[1:])
        named = () if Path(sys.argv[0]).stem == "evaluate" else ("category",)
        sys.argv[1:] = quote_names(sys.argv[1:], named=named)
        with _stopped_by_sigterm():
            main()
        if attempts.kept:
            raise attempts.kept[0]
    except KeyboardInterrupt as error:
        _stop(_stopped(error), _code(error))
    except SystemExit as error:  # Lightning leaves so where Ctrl-C stopped it
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        _stop(_stopped(error), _code(error.__context__))
    except BrokenPipeError:  # whoever was reading, `head` say, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if not is_user_error(error):
            raise
        _stop(one_line(error), 2)


def _check_options(arguments: Sequence[str]) -> None:
    script = Path(sys.argv[0]).stem
    for text in arguments:
        name = text.lstrip("-").partition("=")[0]
        if text.startswith("--") and not any(option.startswith(name) for option in OPTIONS):
            raise AdframeError(f"unknown option {text!r}; overrides have no dashes: {name}=<value>")
        if script != "sweep" and text in ("-m", "--multirun"):
            raise AdframeError(f"{script}.py runs one configuration; python sweep.py -m runs several")


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Raises an exception on SIGTERM, so that what is unfinished is removed and what is finished is kept.

    Without a handler Lightning, which has one of its own while it works, does not stop a test at all. Where
    SIGINT is ignored, as it is for what a script starts with `&`, SIGTERM is the only way to stop a run.
    """
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def _code(error: KeyboardInterrupt) -> int:
    """What a shell would report: 128 and the signal's number."""
    return 128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT)


def _stopped(error: BaseException) -> str:
    return "; ".join(["stopped", *getattr(error, "__notes__", [])])


def _stop(text: str, code: int) -> NoReturn:
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"error: {text}")
    sys.exit(code)
