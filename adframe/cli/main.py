"""Runs the main function of a script: a user error becomes one line on standard error and exit code 2."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, NoReturn

from adframe.config.help_texts import register_help_resolvers
from adframe.config.literal_overrides import quote_names
from adframe.config.messages import is_user_error, one_line
from adframe.errors import AdframeError
from adframe.io.program import command_of, script_name, typed_command
from adframe.reporting.notes import say

_HYDRA_OPTIONS = (
    "help", "hydra-help", "version", "cfg", "resolve", "package", "run", "multirun", "shell-completion",
    "config-path", "config-name", "config-dir", "experimental-rerun", "info"
)  # fmt: skip


class Terminated(KeyboardInterrupt):
    """Raised on SIGTERM, which stops a run as Ctrl-C does.

    Example:
        >>> issubclass(Terminated, KeyboardInterrupt)
        True
    """


def guard(main: Callable[[], Any]) -> None:
    """Runs the main function of a script, and exits with the code of its error.

    Args:
        main: the main function.

    Raises:
        SystemExit: after a user error (2), a signal (128 and its number) or a closed pipe (141).
        Exception: any other error is a bug and keeps its traceback.
    """
    exit_with_errors(functools.partial(run_script, main))


def run_script(main: Callable[[], Any]) -> None:
    """Runs the main function of a script with the overrides in `sys.argv`.

    Args:
        main: the main function, which Hydra has wrapped.

    Raises:
        AdframeError: an option is unknown.
        Exception: the error that has stopped the command.
    """
    # Lightning's training in several processes warns about the speed of a setting that it needs.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises errors instead of printing them itself

    register_help_resolvers()
    _check_options(sys.argv[1:])
    # `category=null` is the default of evaluate.py; for other scripts it can only be a name.
    named = () if script_name() == "evaluate" else ("category",)
    sys.argv[1:] = quote_names(sys.argv[1:], named=named)
    main()
    from adframe.cli import attempts  # the commands of `adframe` need none of what it imports

    if attempts.stopping_errors:
        raise attempts.stopping_errors[0]


def exit_with_errors(main: Callable[[], Any]) -> None:
    """Runs a function, and exits with the code of its error.

    Args:
        main: the function.

    Raises:
        SystemExit: as `guard`.
        Exception: as `guard`.
    """
    try:
        with _interrupted_by_sigterm():
            main()
    except KeyboardInterrupt as error:
        _exit_with_error(_stop_message(error), _exit_code(error))
    except SystemExit as error:  # Lightning and Typer exit like this after Ctrl-C
        if (interrupt := _interrupt_behind(error)) is None:
            raise
        notes = interrupt if hasattr(interrupt, "__notes__") else error
        _exit_with_error(_stop_message(notes), _exit_code(interrupt))
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if not is_user_error(error):
            raise
        _exit_with_error(one_line(error), 2)


def _check_options(arguments: Sequence[str]) -> None:
    script = script_name()
    for text in arguments:
        name = text.lstrip("-").partition("=")[0]
        if text.startswith("--") and not any(option.startswith(name) for option in _HYDRA_OPTIONS):
            raise AdframeError(f"unknown option {text!r}; overrides have no dashes: {name}=<value>")
        if script != "sweep" and text in ("-m", "--multirun"):
            one, several = typed_command()[-1], command_of("sweep")
            raise AdframeError(f"{one} runs one configuration; {several} -m runs several")


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Raises an exception on SIGTERM, so that unfinished files are removed and finished ones are kept.

    Without a handler, a test of Lightning would not stop at all, because Lightning has a handler of its own
    while it works. Where SIGINT is ignored, as in scripts that are started with `&`, SIGTERM is the only way
    to stop a run.
    """
    hook = sys.unraisablehook
    before = signal.signal(signal.SIGTERM, _raise_terminated)
    sys.unraisablehook = functools.partial(_send_swallowed_signal_again, hook)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, before)


def _send_swallowed_signal_again(
    other_errors: Callable[[sys.UnraisableHookArgs], Any], unraisable: sys.UnraisableHookArgs
) -> None:
    """Sends a signal again whose exception was raised where Python drops exceptions.

    Python drops what is raised inside of `__del__` and of callbacks of the garbage collector. A run that gets
    its signal there would go on to its end.
    """
    error = unraisable.exc_value
    if isinstance(error, KeyboardInterrupt):
        # A short delay, because the handler would otherwise raise inside of the same `__del__`.
        again = threading.Timer(0.05, os.kill, (os.getpid(), _signal_of(error)))
        again.daemon = True
        again.start()
    else:
        other_errors(unraisable)


def _raise_terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def _exit_code(error: KeyboardInterrupt) -> int:
    """Returns the exit code that a shell reports for the signal: 128 and its number."""
    return 128 + _signal_of(error)


def _signal_of(error: KeyboardInterrupt) -> signal.Signals:
    return signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT


def _interrupt_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """Returns the Ctrl-C or the SIGTERM of which an error is the consequence; None without one."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


def _stop_message(error: BaseException) -> str:
    return "; ".join(["stopped", *getattr(error, "__notes__", [])])


def _exit_with_error(text: str, code: int) -> NoReturn:
    say(f"error: {text}", stderr=True)
    sys.exit(code)
