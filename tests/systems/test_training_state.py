"""A training's own files: the last good epoch is found, whatever happened to the others."""

from pathlib import Path

import pytest
import torch

from adframe.errors import AdframeError
from adframe.systems.training_state import BEST, LAST, PREVIOUS, LearningFiles

OF = {"unit": "tray", "format": "2"}


def epoch(number: int) -> dict[str, object]:
    return {
        "epoch": number,
        "state_dict": {"w": torch.full((9,), float(number))},
        "optimizer_states": [[0.5]],
    }


@pytest.fixture
def files(tmp_path: Path) -> LearningFiles:
    """Three epochs, of which the second was the best."""
    made = LearningFiles(tmp_path, identity=OF)
    for number in (1, 2, 3):
        if number < 3:
            made.save_checkpoint(epoch(number), tmp_path / BEST)
        made.save_checkpoint(epoch(number), tmp_path / LAST)
    return made


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[
        data.index(torch.full((9,), 3.0).numpy().tobytes()[:8]) if path.name == LAST else len(data) // 2
    ] ^= 1
    path.write_bytes(data)


def test_the_last_epoch_is_gone_on_from_and_the_one_before_is_kept(
    files: LearningFiles, tmp_path: Path
) -> None:
    assert files.begun() == (tmp_path / LAST, [])
    numbers = [files.load_checkpoint(tmp_path / name)["epoch"] for name in (LAST, PREVIOUS, BEST)]
    assert numbers == [3, 2, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([LAST, PREVIOUS, BEST])


def test_a_flipped_bit_costs_an_epoch_and_is_said(files: LearningFiles, tmp_path: Path) -> None:
    flip(tmp_path / LAST)
    found, lost = files.begun()
    assert found == tmp_path / PREVIOUS
    assert lost[0].endswith("last.ckpt is damaged: its checksum is wrong")
    assert lost[-1] == "training continues with the epoch before"
    with pytest.raises(AdframeError, match=r"last\.ckpt is damaged: its checksum is wrong"):
        files.load_checkpoint(tmp_path / LAST)


def test_a_kill_between_two_files_loses_nothing(files: LearningFiles, tmp_path: Path) -> None:
    (tmp_path / LAST).unlink()
    assert files.begun() == (tmp_path / PREVIOUS, [])


def test_another_categorys_files_count_as_missing(files: LearningFiles, tmp_path: Path) -> None:
    found, lost = LearningFiles(tmp_path, identity=OF | {"unit": "weave"}).begun()
    assert found is None
    assert "is of unit tray, and unit weave is needed" in lost[0]
    assert lost[-1] == "training starts again"


def test_without_the_best_epoch_learning_begins_anew(files: LearningFiles, tmp_path: Path) -> None:
    (tmp_path / BEST).write_bytes(b"PK")
    found, lost = files.begun()
    assert found is None
    assert lost[-1] == "the best epoch is lost, so training starts again"


def test_a_disk_that_is_full_leaves_the_epoch_before(
    files: LearningFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(AdframeError, match="No space left"):
        files.save_checkpoint(epoch(4), tmp_path / LAST)
    monkeypatch.undo()
    found, _ = files.begun()
    assert found is not None
    assert files.load_checkpoint(found)["epoch"] == 3
