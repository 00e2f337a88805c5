"""Describes any user error in one line: what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
import errno
import re
import sys
import traceback
from collections.abc import Iterator
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

from adframe.config.literal_overrides import has_special_characters, quote_override
from adframe.errors import AdframeError
from adframe.io.program import CONF, command_of, script_name, typed_command

_MEMORY_TEXTS = ("DefaultCPUAllocator", "CUDA out of memory", "Insufficient memory", "can't allocate memory")
USER_ERRORS = (AdframeError, HydraException, OmegaConfBaseException, OSError, MemoryError)


def is_user_error(error: BaseException) -> bool:
    """Returns whether the user can correct an error; all others are bugs and keep their traceback.

    Args:
        error: any error.

    Returns:
        Whether it is an error of adframe, Hydra, the file system or the memory.
    """
    return isinstance(error, USER_ERRORS) or _is_out_of_memory(error) or _is_hydra_error(error)


def one_line(error: BaseException) -> str:
    """Describes an error in one line.

    Args:
        error: any error.

    Returns:
        The message, followed by the notes that were added to the error.

    Example:
        >>> one_line(AdframeError("unknown category 'boltt'"))
        "unknown category 'boltt'"
    """
    return "; ".join([_message(error), *getattr(error, "__notes__", [])])


def _message(error: BaseException) -> str:
    plain = " ".join(str(error).split())
    if isinstance(error, AdframeError):
        # DataLoader workers put their traceback in front of the message.
        return str(error).rpartition("AdframeError: ")[2].strip().splitlines()[0]
    if isinstance(error, OverrideParseException):
        return _syntax_message(str(error.override))
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return f"unknown {group} {name!r}; {_suggestion(name, error.options or [])}"
    if isinstance(error, OSError):  # after MissingConfigException, which is an OSError too
        return _file_message(error)
    if isinstance(error, ConfigCompositionException):
        return _override_message(plain)
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} has no value; give it one: {error.full_key}=..."
    if isinstance(error, OmegaConfBaseException):
        return str(error).splitlines()[0]
    if isinstance(error, MemoryError) or _is_out_of_memory(error):
        return f"the memory is full; lower batch_size, image_size or coreset ({plain[:160]})"
    if _is_hydra_error(error):
        return plain
    return f"{type(error).__name__}: {plain}"


def _is_out_of_memory(error: BaseException) -> bool:
    if type(error).__name__ == "OutOfMemoryError":  # by name, so that torch is not imported for this
        return True
    own = type(error) is RuntimeError or type(error).__name__ == "error"  # cv2.error
    return own and any(text in str(error) for text in _MEMORY_TEXTS)


def _is_hydra_error(error: BaseException) -> bool:
    """Returns whether Hydra itself raised a plain ValueError or TypeError while it composed."""
    frames = traceback.extract_tb(error.__traceback__)
    return type(error) in (ValueError, TypeError) and bool(frames) and "/hydra/" in frames[-1].filename


def _file_message(error: OSError) -> str:
    where = error.filename or "no file named"
    if error.errno == errno.ENOSPC:
        return f"the disk is full ({where}); free some space and run again"
    return f"{error.strerror or error} ({where}); check that it exists and may be read and written"


def _syntax_message(override: str) -> str:
    """Describes an override that Hydra cannot parse, with the quotes that it needs."""
    right = "write key=value, and a list as key=[a,b]"
    if "=" in override and has_special_characters(override):
        right += f"; a value with special characters is typed as {quote_override(override)}"
    return f"cannot read the override {override!r}; {right}"


def _override_message(text: str) -> str:
    if found := re.search(r"Ambiguous value for argument '([^']+)'", text):
        key, _, values = found[1].partition("=")
        sweep = f"{command_of('sweep')} -m {found[1]}"
        return (
            f"{found[1]}: a list is {key}=[{values}]; one run per value is {sweep}; "
            f"a name with a comma is {quote_override(found[1])}"
        )
    if found := re.search(r"override '?([\w./@]+)", text):
        helped = f"{' '.join(typed_command())} --help"
        return f"unknown override {found[1]!r}; {_suggestion(found[1], _known_keys())} ({helped})"
    return text


def _suggestion(name: str, known: Any) -> str:
    options = [str(option) for option in known]
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(options)}" if len(options) <= 30 else hint.strip() or "see conf/"


def _known_keys() -> list[str]:
    """Lists every key of the configuration with the chosen options, as one would type it."""
    chosen = [text for text in sys.argv[1:] if "=" in text and (CONF / text.partition("=")[0]).is_dir()]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            return list(_walk_keys(compose(config_name=script_name(), overrides=chosen), ""))
        except HydraException:  # one of the chosen options is wrong too
            return list(_walk_keys(compose(config_name=script_name()), ""))


def _walk_keys(node: DictConfig, prefix: str) -> Iterator[str]:
    for key in map(str, node):
        yield f"{prefix}{key}"
        child = node._get_node(key)
        if isinstance(child, DictConfig):
            yield from _walk_keys(child, f"{prefix}{key}.")
