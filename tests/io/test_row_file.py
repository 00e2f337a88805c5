"""Rows in a file: what is read is what was written, and another file is refused with the reason."""

import copy
from pathlib import Path

import pytest
import torch

from adframe.errors import AdframeError
from adframe.io import row_file
from adframe.io.row_file import FOLDER, RowFile, write_rows

ROWS = torch.randn(1000, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_file, "BLOCK_BYTES", 24 * 64)  # 64 rows of float32


def written(folder: Path, *, dtype: str = "float32", parts: int = 37) -> RowFile:
    return write_rows(torch.split(ROWS, parts), dtype=dtype, folder=folder)


@pytest.mark.parametrize("parts", [1, 64, 100, 1000])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_blocks_are_the_rows_in_their_order(tmp_path: Path, dtype: str, parts: int) -> None:
    made = written(tmp_path, dtype=dtype, parts=parts)
    made.place(tmp_path / "a.bank")
    file = RowFile(tmp_path / "a.bank", made.reference)
    starts, blocks = zip(*file.blocks(), strict=True)
    assert list(starts) == list(range(0, 1000, file.block))
    expected = ROWS.to(getattr(torch, dtype)).float()
    assert torch.equal(torch.cat(blocks), expected)
    index = torch.tensor([[999, 0], [5, 5]])
    assert torch.equal(file.gather(index), expected[index])
    assert file.path.stat().st_size == file.bytes == 1000 * 6 * (4 if dtype == "float32" else 2)


def test_a_file_without_a_checkpoint_is_removed_and_a_placed_one_stays(tmp_path: Path) -> None:
    first, second = written(tmp_path), written(tmp_path)
    copied = copy.deepcopy(first)
    second.place(tmp_path / "b.bank")
    del second
    place = first.path
    del first
    assert place.exists()  # the copy uses it
    del copied
    assert not place.exists()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["b.bank"]
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_a_placed_file_is_copied_to_another_place(tmp_path: Path) -> None:
    file = written(tmp_path)
    file.place(tmp_path / "a.bank")
    file.place(tmp_path / "other" / "b.bank")
    assert (tmp_path / "a.bank").read_bytes() == (tmp_path / "other" / "b.bank").read_bytes()


def test_a_missing_a_short_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    made = written(tmp_path)
    path = tmp_path / "a.bank"
    made.place(path)
    data = bytearray(path.read_bytes())
    for change, words in (
        (None, "No such file"),
        (data[:-1], "23999 bytes instead of 24000"),
        (data[:70] + b"x" + data[71:], "checksum from row 0 on"),
        (data[:-1] + bytes([data[-1] ^ 1]), "checksum from row 960 on"),
    ):
        path.unlink(missing_ok=True)
        if change is not None:
            path.write_bytes(change)
        with pytest.raises(AdframeError, match=words):
            list(RowFile(path, made.reference).blocks())


def test_features_beyond_float16_and_a_full_disk_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(AdframeError, match=r"set memory\.dtype=float32"):
        write_rows([torch.full((3, 2), 1e6)], dtype="float16", folder=tmp_path)
    assert list((tmp_path / FOLDER).iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(AdframeError, match="cannot write"):
        write_rows([ROWS], dtype="float32", folder=tmp_path / "file")
