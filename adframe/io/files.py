"""Writes files completely or not at all: to a temporary name first, which is then renamed."""

from __future__ import annotations

import errno
import json
import math
import os
import platform
import re
import tempfile
import time
import uuid
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from adframe.errors import AdframeError

# A process number is meaningless on another machine.
_HOST = f"{zlib.crc32(platform.node().encode()):08x}"
_TEMPORARY_NAME = re.compile(r"\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.tmp$")
_ADVICE = {
    errno.ENOSPC: "free some disk space, then run again",
    errno.EDQUOT: "your disk quota is used up: free some of it, then run again",
    errno.EACCES: "change its permissions, or choose another folder",
    errno.EPERM: "change its permissions, or choose another folder",
    errno.EROFS: "the disk is mounted read-only: choose another folder",
    errno.ENOTDIR: "a file is in the place of a folder: move it away",
    errno.EISDIR: "a folder is in the place of the file: move it away",
}


def write_whole(path: Path, content: bytes | str) -> None:
    """Writes a file completely or not at all; an older file remains until the new one is complete.

    Args:
        path: the file; missing parent folders are created.
        content: bytes, or text, which is written as UTF-8.

    Raises:
        AdframeError: if the disk is full, the folder is not writable, ...; no partial file remains.
    """
    # A file name that is not UTF-8 arrives as lone surrogates, which strict encoding would refuse.
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        # After success the temporary file is gone; after any error (Ctrl-C too) it must not remain.
        _remove(temporary)


def append_text(path: Path, text: str) -> None:
    """Adds text at the end of a file with one write.

    Args:
        path: the file; it is created if it is missing.
        text: written as UTF-8.

    Raises:
        AdframeError: as `write_whole`; a part of the text may have been written.
    """
    try:
        with path.open("ab") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise write_error(path, error) from error


def temporary_name(path: Path) -> Path:
    """Returns a name next to a file for its unfinished content; `remove_left_over` knows it.

    Args:
        path: the file.

    Returns:
        A name that is unique per call, because two processes may write the same file at once.
    """
    return path.with_name(f".{path.name[:80]}.{_HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


def write_error(path: Path, error: OSError) -> AdframeError:
    """Returns the error for a file that could not be written, with what to do about it.

    Args:
        path: the file.
        error: what the system says.
    """
    reason = error.strerror or type(error).__name__
    advice = _ADVICE.get(error.errno or 0, "check the disk and the folder")
    return AdframeError(f"cannot write {path}: {reason}; {advice}")


def check_writable(folder: Path, *, key: str) -> None:
    """Checks that a folder, which may not exist yet, can be written to; leaves nothing behind.

    Args:
        folder: may be missing.
        key: configuration key that sets another folder, for the message.

    Raises:
        AdframeError: if it is not writable; the message has the folder, the reason and the key.
    """
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            return
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise AdframeError(
            f"cannot write to {folder}: {reason}; choose another folder with {key}="
        ) from error


def remove_left_over(folder: Path) -> None:
    """Removes temporary files of killed processes of this machine, at any depth.

    Args:
        folder: may be missing.
    """
    # on other systems signal 0 ends a process
    for path in folder.rglob(".*.tmp") if os.name == "posix" else ():
        found = _TEMPORARY_NAME.search(path.name)
        if found and found[1] == _HOST and not _is_alive(int(found[2])):
            _remove(path)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True


def write_json(path: Path, value: object) -> None:
    """Writes a value as JSON with an indentation of 2; numbers that are not finite become null.

    Args:
        path: the file.
        value: dicts, lists, tuples, strings, numbers (also of numpy), booleans, paths and None.

    Raises:
        AdframeError: if the file cannot be written.
        TypeError: if JSON cannot represent the value.
    """
    write_whole(path, json.dumps(_json_value(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _json_value(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _json_value(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        # The caller's own error matters more.
        return


def timestamped_folder(parent: Path) -> Path:
    """Returns a folder name with the current time, numbered where another of the same second exists.

    Args:
        parent: the folder it will be in.

    Returns:
        The path; nothing is created.
    """
    path = parent / time.strftime("%Y-%m-%d_%H-%M-%S")
    number = len(list(parent.glob(f"{path.name}*")))
    return path.with_name(f"{path.name}_{number}") if number else path
