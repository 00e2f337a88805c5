import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from adframe.errors import AdframeError
from adframe.io import disk_matrix as module
from adframe.io.disk_matrix import Spool


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel refuses to let a file grow beyond `size` bytes: like a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.randn(1000, 7, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def spool(rows: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spool]:
    monkeypatch.setattr(module, "READ_ROWS", 64)
    spool = Spool()
    for part in torch.split(rows, 33):
        spool.append(part)
    yield spool
    spool.close()


def test_what_went_in_comes_out(spool: Spool, rows: torch.Tensor) -> None:
    assert len(spool) == 1000
    assert torch.equal(torch.cat([block for _, block in spool.blocks()]), rows)
    assert [start for start, _ in spool.blocks()] == list(range(0, 1000, 64))
    assert torch.equal(spool.read(990, 5000), rows[990:])


def test_gathers_in_the_order_asked_for_with_repeats(spool: Spool, rows: torch.Tensor) -> None:
    index = torch.randint(1000, (500,), generator=torch.Generator().manual_seed(1))
    assert torch.equal(spool.gather(index), rows[index])
    assert torch.equal(spool.gather(torch.tensor([999, 0, 999])), rows[[999, 0, 999]])
    assert spool.gather(torch.tensor([], dtype=torch.int64)).shape == (0, 7)


def test_reading_between_appends_does_not_move_them(rows: torch.Tensor) -> None:
    spool = Spool()
    for part in torch.split(rows, 100):
        spool.append(part)
        spool.read(0, 1)
    assert torch.equal(spool.read(0, 1000), rows)


def test_takes_strided_and_half_precision_rows(rows: torch.Tensor) -> None:
    spool = Spool()
    spool.append(rows.T.contiguous().T[::2])
    spool.append(rows[:3].half())
    assert torch.equal(spool.read(0, 500), rows[::2])
    assert torch.equal(spool.read(500, 503), rows[:3].half().float())


def test_another_width_is_refused(spool: Spool, rows: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="8 wide, the spool holds 7"):
        spool.append(torch.zeros(2, 8))
    assert torch.equal(spool.read(0, 1000), rows)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
@pytest.mark.parametrize("count", [1, 100_000])
def test_a_full_disk_is_an_error_at_once(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115 (the spool closes it)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full)
    with pytest.raises(AdframeError, match=r"No space left on device; free some space.*model\.spool"):
        Spool().append(torch.zeros(count, 4))


def test_an_append_that_failed_half_way_leaves_the_rest_as_it_was(rows: torch.Tensor) -> None:
    spool = Spool()
    spool.append(rows)
    with largest_file(rows.nbytes + 1000), pytest.raises(AdframeError, match="cannot store"):
        spool.append(rows + 1)
    assert len(spool) == 1000
    spool.append(rows + 2)
    assert torch.equal(spool.read(0, 2000), torch.cat([rows, rows + 2]))


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(AdframeError, match=r"cannot store features in .*nowhere.*model\.spool") as error:
        Spool(folder=tmp_path / "nowhere")
    assert "\n" not in str(error.value)


def test_leaves_no_name_behind_and_gives_the_disk_back(tmp_path: Path, rows: torch.Tensor) -> None:
    spool = Spool(folder=tmp_path)
    spool.append(rows)
    assert list(tmp_path.iterdir()) == []
    spool.close()
    with pytest.raises(ValueError, match="closed"):
        spool.read(0, 1)
