import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from adframe.errors import AdframeError
from adframe.io.files import check_writable, remove_left_over, write_json, write_whole


def test_parents_are_made_and_an_older_file_is_replaced(tmp_path):
    path = tmp_path / "a/b/x.txt"
    write_whole(path, "old")
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["write_bytes", "replace"])
def test_a_full_disk_leaves_the_older_file_and_nothing_half(tmp_path, monkeypatch, step):
    path = tmp_path / "x.txt"
    write_whole(path, "old")
    real = Path.write_bytes

    def full(self, content):
        if step == "write_bytes":
            real(self, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, step, full)
    with pytest.raises(AdframeError, match=r"x\.txt.*No space left.*free some disk space") as caught:
        write_whole(path, "a longer new text")
    assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_stop_by_the_user_leaves_nothing_half(tmp_path, monkeypatch):
    def stopped(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "x.txt", "text")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_folders_place_is_named(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(AdframeError, match="run"):
        write_whole(tmp_path / "run" / "x.txt", "text")


def test_json_writes_what_is_not_finite_as_null(tmp_path):
    path = tmp_path / "x.json"
    write_json(
        path, {"nan": float("nan"), "inf": np.float32("inf"), "list": np.array([1.5, np.nan]), "p": Path("a")}
    )
    assert json.loads(path.read_text()) == {"nan": None, "inf": None, "list": [1.5, None], "p": "a"}


def test_json_keeps_a_file_name_that_is_not_utf8(tmp_path):
    write_json(tmp_path / "x.json", {"path": "bad\udcff.png", "good": "größe"})
    assert json.loads((tmp_path / "x.json").read_text())["path"] == "bad\udcff.png"


KILLED = """
import os, pathlib, signal, sys
from adframe.io.files import write_whole
pathlib.Path.replace = lambda self, target: os.kill(os.getpid(), signal.SIGKILL)
write_whole(pathlib.Path(sys.argv[1]) / "inner" / "x.json", "half")
"""


def test_what_a_killed_process_was_writing_is_cleared_and_what_a_living_one_writes_is_not(
    tmp_path, monkeypatch
):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    (dead,) = (tmp_path / "inner").iterdir()
    mine = dead.with_name(".y.json.00000000-1-01234567.tmp")
    mine.touch()  # of another machine
    beside = []
    monkeypatch.setattr(Path, "replace", lambda self, target: beside.append(self.name))
    write_whole(tmp_path / "z.json", "whole")
    monkeypatch.undo()
    (tmp_path / beside[0]).touch()  # as this process, which lives, would have it
    remove_left_over(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*.tmp")) == sorted([mine.name, beside[0]])


@pytest.mark.parametrize("place", ["/proc/nobody/writes", "file/below"])
def test_a_folder_that_cannot_be_written_is_named_with_its_key(place, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(AdframeError, match=r"cannot write to .*; choose another folder with paths\.splits="):
        check_writable(tmp_path / place, key="paths.splits")
    check_writable(tmp_path / "new" / "folder", key="paths.splits")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
