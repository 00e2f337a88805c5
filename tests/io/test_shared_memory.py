"""Where loading processes cannot hand their batches over, none are started, and the report says why."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from adframe.data.base import Source
from adframe.io import shared_memory
from adframe.io.shared_memory import shared_memory_warning
from tests.fakes.runs import toy_data


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container as Docker makes it: 64 MiB of shared memory."""
    monkeypatch.setattr(shared_memory, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(shared_memory.shutil, "disk_usage", lambda _: SimpleNamespace(free=64 << 20))


@pytest.mark.usefixtures("docker")
def test_large_images_do_not_fit_and_small_ones_do() -> None:
    line = shared_memory_warning(size=(1024, 1024), batch_size=8, num_workers=2)
    assert line is not None
    assert "has 64 MiB free and 2 loading processes need 1024 MiB" in line
    assert "as with num_workers=0; a container gets more with --shm-size=" in line
    assert shared_memory_warning(size=(1024, 1024), batch_size=8, num_workers=0) is None
    assert shared_memory_warning(size=(256, 256), batch_size=8, num_workers=2) is None


def test_a_system_without_it_has_no_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shared_memory, "SHARED_MEMORY", tmp_path / "none")
    assert shared_memory_warning(size=(9999, 9999), batch_size=99, num_workers=9) is None


@pytest.mark.usefixtures("docker")
def test_images_are_then_loaded_in_the_main_process_and_it_is_said(
    toy_ad: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_memory.shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 10))
    data = toy_data(toy_ad)
    data.num_workers = 2
    data.setup()
    assert data.num_workers == data.train_dataloader().num_workers == 0
    assert len(data.warnings) == 1
    assert "loaded in the main process" in data.warnings[0]
