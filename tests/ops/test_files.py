import errno
import json
from pathlib import Path

import numpy as np
import pytest

from adframe.contracts import AdframeError
from adframe.ops.files import write_json, write_whole


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
