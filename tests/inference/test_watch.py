"""A watched folder: each file once, whole files only, also after a restart."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adframe.errors import AdframeError
from adframe.inference import watch
from adframe.inference.watch import FolderWatch


def encoded() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def names(watched: FolderWatch) -> list[str]:
    return [Path(image.name).name for image in watched.whole_files()]


def test_a_file_is_given_once_when_it_stays_as_it_is(tmp_path: Path) -> None:
    watched = FolderWatch(tmp_path, done={})
    assert names(watched) == []
    (tmp_path / "b.png").write_bytes(encoded())
    (tmp_path / "notes.txt").write_text("no image")
    assert [names(watched) for _ in range(3)] == [[], ["b.png"], []]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.png").write_bytes(encoded())
    assert [names(watched) for _ in range(3)] == [[], ["a.png"], []]


def test_a_file_that_grows_is_given_when_it_is_whole(tmp_path: Path) -> None:
    watched, path, content = FolderWatch(tmp_path, done={}), tmp_path / "a.png", encoded()
    found = []
    for part in range(0, len(content), 500):
        with path.open("ab") as file:
            file.write(content[part : part + 500])
        found += names(watched)
        found += names(watched)  # its size is the same twice, but its pixels are not all there
        assert found == [] or part + 500 >= len(content)
    assert found + names(watched) == ["a.png"]


def test_a_file_that_stays_damaged_is_given_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])
    (tmp_path / "a.png").write_bytes(encoded()[:200])
    watched = FolderWatch(tmp_path, done={})
    assert [names(watched), names(watched)] == [[], []]
    now[0] = 29.0
    assert names(watched) == []
    now[0] = 31.0
    assert [names(watched), names(watched)] == [["a.png"], []]


def test_what_was_done_before_a_restart_is_not_given_again_unless_it_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded())
    state = path.stat()
    done = {path.as_posix(): {"bytes": state.st_size, "modified_ns": state.st_mtime_ns}}
    watched = FolderWatch(tmp_path, done=done)
    assert [names(watched), names(watched)] == [[], []]
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 10**9))
    assert [names(watched) for _ in range(3)] == [[], ["a.png"], []]


def test_batches_end_when_they_are_told_to(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded())
    looks = iter([False, False, False, True])
    watched = FolderWatch(tmp_path, done={})
    found = list(watched.batches(interval=0.001, ended=lambda: next(looks)))
    assert [[Path(image.name).name for image in batch] for batch in found] == [["a.png"]]


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AdframeError, match="no folder that can be watched"):
        FolderWatch(tmp_path / "none", done={})
