"""Any user error as one line: what is wrong, where, what to do."""

from __future__ import annotations

import difflib
import errno
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from adframe.config.literal_overrides import is_special, quoted
from adframe.errors import AdframeError

CONF = Path(__file__).parents[2] / "conf"
NO_MEMORY = ("DefaultCPUAllocator", "CUDA out of memory", "Insufficient memory", "can't allocate memory")
USER_ERRORS = (AdframeError, HydraException, OmegaConfBaseException, OSError, MemoryError)


def is_user_error(error: BaseException) -> bool:
    """Whether a user can do something about it; all else is a bug and keeps its traceback."""
    return isinstance(error, USER_ERRORS) or _is_torch_memory(error) or _is_of_hydra(error)


def one_line(error: BaseException) -> str:
    """An error as one line, with the notes that were added to it on the way."""
    return "; ".join([_text(error), *getattr(error, "__notes__", [])])


def _text(error: BaseException) -> str:
    plain = " ".join(str(error).split())
    if isinstance(error, AdframeError):
        # Loading processes hand an error on with their traceback in front of its text.
        return str(error).rpartition("AdframeError: ")[2].strip().splitlines()[0]
    if isinstance(error, OverrideParseException):
        return _of_typing(str(error.override))
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return f"unknown {group} {name!r}; {_near(name, error.options or [])}"
    if isinstance(error, OSError):  # after Hydra's missing file, which is one
        return _of_system(error)
    if isinstance(error, ConfigCompositionException):
        return _of_override(plain)
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} has no value; give it one: {error.full_key}=..."
    if isinstance(error, OmegaConfBaseException):
        return str(error).splitlines()[0]
    if isinstance(error, MemoryError) or _is_torch_memory(error):
        return f"the memory is full; lower batch_size, image_size or coreset ({plain[:160]})"
    if _is_of_hydra(error):
        return plain
    return f"{type(error).__name__}: {plain}"


def _is_torch_memory(error: BaseException) -> bool:
    if type(error).__name__ == "OutOfMemoryError":  # by name: torch need not be imported to fail
        return True
    own = type(error) is RuntimeError or type(error).__name__ == "error"  # cv2.error
    return own and any(text in str(error) for text in NO_MEMORY)


def _is_of_hydra(error: BaseException) -> bool:
    """A plain ValueError or TypeError that Hydra raised itself, while it composed."""
    frames = traceback.extract_tb(error.__traceback__)
    return type(error) in (ValueError, TypeError) and bool(frames) and "/hydra/" in frames[-1].filename


def _of_system(error: OSError) -> str:
    where = error.filename or "no file named"
    if error.errno == errno.ENOSPC:
        return f"the disk is full ({where}); free some space and run again"
    return f"{error.strerror or error} ({where}); check that it is there and may be read and written"


def _of_typing(override: str) -> str:
    """What Hydra's grammar could not read, with the quotes that it needs."""
    right = "write key=value, and a list as key=[a,b]"
    if "=" in override and is_special(override):
        right += f"; a value with special characters is typed as {quoted(override)}"
    return f"cannot read the override {override!r}; {right}"


def _of_override(text: str) -> str:
    if found := re.search(r"Ambiguous value for argument '([^']+)'", text):
        key, _, values = found[1].partition("=")
        return (
            f"{found[1]}: a list is {key}=[{values}]; a run for each is python sweep.py -m {found[1]}; "
            f"a name with a comma is {quoted(found[1])}"
        )
    if found := re.search(r"override '?([\w./@]+)", text):
        script = Path(sys.argv[0]).name
        return f"unknown override {found[1]!r}; {_near(found[1], _keys())} (python {script} --help)"
    return text


def _near(name: str, known: Any) -> str:
    options = [str(option) for option in known]
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(options)}" if len(options) <= 30 else hint.strip() or "see conf/"


def _keys() -> list[str]:
    """Every key that the configuration has with the options chosen, as one would type it."""
    chosen = [text for text in sys.argv[1:] if "=" in text and (CONF / text.partition("=")[0]).is_dir()]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            return list(_walk(compose(config_name=Path(sys.argv[0]).stem, overrides=chosen), ""))
        except HydraException:  # an option is wrong, too
            return list(_walk(compose(config_name=Path(sys.argv[0]).stem), ""))


def _walk(node: DictConfig, prefix: str) -> Iterator[str]:
    for key in map(str, node):
        yield f"{prefix}{key}"
        child = node._get_node(key)
        if isinstance(child, DictConfig):
            yield from _walk(child, f"{prefix}{key}.")
