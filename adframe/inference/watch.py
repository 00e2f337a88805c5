"""Watches a folder for new images: each file once, and only when it is whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from adframe.data.listing import walk
from adframe.errors import AdframeError
from adframe.inference.images import InputImage
from adframe.io.images import read_header

FileState = tuple[int, int]  # bytes, time of the last change in nanoseconds
_PATIENCE = 30.0  # seconds after which a file that does not change any more is taken as it is


class FolderWatch:
    """Finds image files that were added to a folder or replaced in it.

    A file is whole when its size and its time of change are the same in two looks, and all of its pixels are
    there. A file that stays damaged for 30 s is given out as well, so that its error is reported.

    Args:
        folder: the folder; folders in it are watched as well.
        done: the records of images that were inspected before, by name, with `bytes` and `modified_ns`.

    Raises:
        AdframeError: there is no such folder.

    Example:
        >>> Path("incoming").mkdir()
        >>> FolderWatch(Path("incoming"), done={}).whole_files()
        []
    """

    def __init__(self, folder: Path, *, done: Mapping[str, Mapping[str, Any]]) -> None:
        if not folder.is_dir():
            raise AdframeError(f"{folder} is no folder that can be watched")
        self._folder = folder
        self._done: dict[str, FileState] = {
            name: (int(record["bytes"]), int(record["modified_ns"]))
            for name, record in done.items()
            if "bytes" in record
        }
        self._waiting: dict[str, tuple[FileState, float]] = {}  # state, and when it was seen first

    def whole_files(self) -> list[InputImage]:
        """Looks once.

        Returns:
            The files that are whole and were not given out before, sorted.
        """
        whole, waiting = [], {}
        for path in walk(self._folder).images:
            name = path.as_posix()
            try:
                found = path.stat()
            except OSError:  # it was removed since the folder was read
                continue
            state = (found.st_size, found.st_mtime_ns)
            if self._done.get(name) == state:
                continue
            known, since = self._waiting.get(name, (None, time.monotonic()))
            if known == state and (_is_complete(path) or time.monotonic() - since > _PATIENCE):
                self._done[name] = state
                whole.append(InputImage(name, path))
            else:
                waiting[name] = (state, since if known == state else time.monotonic())
        self._waiting = waiting
        return whole

    def batches(self, *, interval: float, ended: Callable[[], bool]) -> Iterator[list[InputImage]]:
        """Looks again and again.

        Args:
            interval: seconds between two looks.
            ended: tells whether to stop.

        Yields:
            The new files of every look that found some.
        """
        while not ended():
            if found := self.whole_files():
                yield found
            else:
                time.sleep(interval)


def _is_complete(path: Path) -> bool:
    try:
        read_header(path)
    except (AdframeError, OSError):
        return False
    return True
