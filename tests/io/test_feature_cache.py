import errno
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from adframe.errors import AdframeError
from adframe.io import feature_cache as module
from adframe.io.feature_cache import Store

KEPT = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(7, dtype=torch.int32), "c": torch.ones(3).half()}


@pytest.fixture(autouse=True)
def nothing_said() -> None:
    module._warn_once.cache_clear()


def test_what_was_written_is_read_by_another(tmp_path: Path) -> None:
    Store(tmp_path / "new").write("folder/key", KEPT)
    found = Store(tmp_path / "new").read("folder/key")
    assert found.keys() == KEPT.keys()
    assert all(torch.equal(found[n], KEPT[n]) and found[n].dtype == KEPT[n].dtype for n in KEPT)
    assert Store(tmp_path / "new").read("folder/other") is None


def test_a_later_value_takes_the_place_of_the_earlier_one_and_its_readers_keep_theirs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write("key", KEPT)
    before = store.read("key")
    store.write("key", {"a": torch.zeros(2)})
    assert torch.equal(before["a"], KEPT["a"])
    assert store.read("key").keys() == {"a"}
    assert [path.name for path in tmp_path.iterdir()] == ["key.safetensors"]


@pytest.mark.parametrize("place", [0, 20, -1, -9])
def test_a_flipped_byte_counts_as_missing(tmp_path: Path, place: int) -> None:
    store, path = Store(tmp_path), tmp_path / "key.safetensors"
    store.write("key", KEPT)
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)
    assert store.read("key") is None


def test_a_file_under_another_key_counts_as_missing_and_is_named_once(tmp_path: Path, caplog) -> None:
    store = Store(tmp_path)
    for key in ("one", "two", "three"):
        store.write(key, KEPT)
    for key in ("two", "three"):
        (tmp_path / f"{key}.safetensors").write_bytes((tmp_path / "one.safetensors").read_bytes())
        assert store.read(key) is None
    assert store.read("one") is not None
    (line,) = caplog.messages
    assert "two.safetensors of the feature store holds another key's, one" in line
    store.write("two", KEPT)
    assert store.read("two") is not None


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_file_cut_short_counts_as_missing_and_is_replaced(tmp_path: Path, length: int) -> None:
    store, path = Store(tmp_path), tmp_path / "key.safetensors"
    store.write("key", KEPT)
    path.write_bytes(path.read_bytes()[:length])
    assert store.read("key") is None
    store.write("key", KEPT)
    assert store.read("key") is not None


def test_a_full_store_keeps_what_it_has_and_says_so_once(tmp_path: Path, caplog) -> None:
    for _ in range(2):  # a second one counts what lies there
        store = Store(tmp_path, limit_gb=1e-5)  # 10 kB
        for key in range(8):
            store.write(f"{len(list(tmp_path.iterdir()))}-{key}", {"a": torch.zeros(500)})  # 2 kB and a head
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000
    assert len(list(tmp_path.iterdir())) == 4
    assert [r.message.count("is full") for r in caplog.records] == [1]
    assert "raise store.limit_gb" in caplog.text


def test_what_others_write_counts_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECOUNT_BYTES", 3000)
    one, other = Store(tmp_path, limit_gb=1e-5), Store(tmp_path, limit_gb=1e-5)
    for key in range(20):
        one.write(f"one{key}", {"a": torch.zeros(250)})
        other.write(f"other{key}", {"a": torch.zeros(250)})
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000 + 2 * 3000


def test_a_full_disk_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    def full(self: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = Store(tmp_path)
    store.write("before", KEPT)
    monkeypatch.setattr(Path, "write_bytes", full)
    store.write("key", KEPT)
    store.write("other", KEPT)
    assert len(caplog.records) == 1
    assert "No space left on device" in caplog.text
    assert store.read("key") is None
    assert store.read("before") is not None


def test_the_last_gigabyte_of_a_disk_is_left_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DISK_RESERVE", 1 << 60)
    Store(tmp_path / "new").write("key", KEPT)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_deleted_meanwhile_is_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "a")
    store.write("key", KEPT)
    (tmp_path / "a/key.safetensors").unlink()
    (tmp_path / "a").rmdir()
    assert store.read("key") is None
    store.write("key", KEPT)
    assert store.read("key") is not None


@pytest.mark.parametrize("limit", [0, -1.0, float("nan")])
def test_an_impossible_limit_is_refused(tmp_path: Path, limit: float) -> None:
    with pytest.raises(AdframeError, match=r"store\.limit_gb=.* must be above 0; store=none"):
        Store(tmp_path, limit_gb=limit)


SCRIPT = """
import sys, torch
from adframe.io.feature_cache import Store

store, own = Store(sys.argv[1]), float(sys.argv[2])
for turn in range(300):
    for key, value in (("same", 0.0), ("other", own)):
        store.write(f"features/{key}", {"a": torch.full((20_000,), value)})
        found = store.read(f"features/{key}")
        if found is None:  # replaced while it was being opened
            assert key == "other", turn
        else:
            assert found["a"].unique().numel() == 1, turn
print("done")
"""


@pytest.mark.slow
def test_two_processes_writing_the_same_keys_only_see_whole_files(tmp_path: Path) -> None:
    several = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path), str(own)], stdout=subprocess.PIPE, text=True
        )
        for own in (1, 2)
    ]
    assert [process.communicate(timeout=100)[0] for process in several] == ["done\n", "done\n"]
    assert len(list(tmp_path.rglob("*.*"))) == 2  # and nothing half is left behind
