"""Files that are whole or not there: write beside, then rename."""

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

_HOST = f"{zlib.crc32(platform.node().encode()):08x}"  # a process's number says nothing on another machine
_BESIDE = re.compile(r"\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.tmp$")
_ADVICE = {
    errno.ENOSPC: "free some disk space, then run again",
    errno.EDQUOT: "your disk quota is used up: free some of it, then run again",
    errno.EACCES: "give yourself the right to write there, or choose another folder",
    errno.EPERM: "give yourself the right to write there, or choose another folder",
    errno.EROFS: "the disk is mounted read-only: choose another folder",
    errno.ENOTDIR: "a file stands where a folder should be: move it away",
    errno.EISDIR: "a folder stands where the file should be: move it away",
}


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all; an older file stays until the new one is complete.

    Args:
        path: where it goes; missing parent folders are made.
        content: bytes as they are, or text, written as UTF-8.

    Raises:
        AdframeError: the disk is full, the folder is not writable, ...; nothing half-written stays.
    """
    # A file name that is not UTF-8 reaches us as lone surrogates, which strict encoding would refuse.
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    # The name differs per writer: two processes may write the same file at once.
    beside = path.with_name(f".{path.name[:80]}.{_HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(data)
        beside.replace(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        advice = _ADVICE.get(error.errno or 0, "check the disk and the folder")
        raise AdframeError(f"cannot write {path}: {reason}; {advice}") from error
    finally:
        # After success the file beside is gone; after anything else (Ctrl-C too) it must not stay.
        _remove(beside)


def check_writable(folder: Path, *, key: str) -> None:
    """Tries to write where a folder is or will be made; nothing stays behind.

    Args:
        folder: may be missing.
        key: of the configuration, which names another place.

    Raises:
        AdframeError: names the folder, the reason and the key.
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


def clear_left_over(folder: Path) -> None:
    """Removes what processes of this machine were writing, at any depth, when they were killed."""
    for path in folder.rglob(".*.tmp") if os.name == "posix" else ():  # elsewhere signal 0 ends a process
        found = _BESIDE.search(path.name)
        if found and found[1] == _HOST and not _is_alive(int(found[2])):
            _remove(path)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON, indented by 2; numbers that are not finite become null.

    Args:
        path: where it goes.
        value: dicts, lists, tuples, strings, numbers (numpy's too), booleans, paths and None.

    Raises:
        AdframeError: the file cannot be written.
        TypeError: `value` holds something JSON has no word for.
    """
    write_whole(path, json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the reason the caller hears is the one that mattered


def fresh_folder(parent: Path) -> Path:
    """A folder below that is called by the time, and numbered where another of the same second is there."""
    path = parent / time.strftime("%Y-%m-%d_%H-%M-%S")
    number = len(list(parent.glob(f"{path.name}*")))
    return path.with_name(f"{path.name}_{number}") if number else path
