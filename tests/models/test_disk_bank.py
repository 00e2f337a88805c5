"""A bank on disk gives what the same bank in memory gives, and moves with its checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from adframe.errors import AdframeError
from adframe.export.network import write_onnx
from adframe.io import row_file
from adframe.models.disk_bank import DiskBank
from adframe.models.extended_patchcore import create_patchcore
from adframe.models.memory import Density, Everything, Memory, Random
from tests.fakes.backbones import tiny_backbone

OLD = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(1))
NEW = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 0.5
QUERY = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(3))


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_file, "BLOCK_BYTES", 10_000)


def build(memory: Callable[[], Memory], **changes: Any) -> Any:
    return create_patchcore(tiny_backbone(), **{"coreset": 0.3, "memory": memory, **changes})


def fitted(memory: Callable[[], Memory], *parts: torch.Tensor, **changes: Any) -> Any:
    model = build(memory, **changes)
    for part in parts:
        model.collect(part)
    model.finalise()
    model.release()
    return model


@pytest.mark.parametrize(("keep", "other"), [("all", Everything), ("random", Random), ("density", Density)])
@pytest.mark.parametrize(
    "changes", [{}, {"metric": "cosine"}, {"neighbours": 4}, {"reduce": "pca", "dimensions": 8}]
)
def test_scores_are_those_of_the_bank_in_memory(
    keep: str, other: type[Memory], changes: dict[str, Any], tmp_path: Path
) -> None:
    disk = fitted(partial(DiskBank, keep=keep), OLD, spool=tmp_path, **changes)
    memory = fitted(other, OLD, **changes)
    found, expected = disk(QUERY), memory(QUERY)
    torch.testing.assert_close(found.score, expected.score, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.heatmap, expected.heatmap, rtol=1e-6, atol=1e-6)
    assert disk.facts() == memory.facts()
    # The score of an image does not depend on its batch.
    assert torch.equal(torch.cat([disk(image[None]).score for image in QUERY]), disk(QUERY).score)


def test_float16_halves_the_file_and_hardly_changes_a_score() -> None:
    disk, memory = fitted(partial(DiskBank, dtype="float16"), OLD), fitted(Everything, OLD)
    assert 2 * disk.facts()["bytes"] == memory.facts()["bytes"]
    torch.testing.assert_close(disk(QUERY).score, memory(QUERY).score, rtol=1e-3, atol=1e-3)


def test_a_batch_is_one_pass_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    model, passes = fitted(DiskBank, OLD), []
    blocks = row_file.RowFile.blocks
    monkeypatch.setattr(row_file.RowFile, "blocks", lambda *given: passes.append(1) or blocks(*given))
    model(QUERY)
    assert len(passes) == 1


def stored(model: Any, folder: Path) -> dict[str, Any]:
    model.memory.memory.place(folder / "a.bank")
    return dict(model.state_dict())


def loaded(state: dict[str, Any], folder: Path) -> Any:
    model = build(DiskBank)
    model.load_state_dict(state, strict=True)
    model.memory.memory.open(folder)
    return model


def test_a_checkpoint_and_its_bank_move_together(tmp_path: Path) -> None:
    model = fitted(DiskBank, OLD, spool=tmp_path)
    expected = model(QUERY).score
    state = stored(model, tmp_path / "old")
    assert state["memory.memory.bank"].numel() == 0
    (tmp_path / "old").rename(tmp_path / "new")
    assert torch.equal(loaded(state, tmp_path / "new")(QUERY).score, expected)
    with pytest.raises(AdframeError, match="copy both files"):
        loaded(state, tmp_path / "old")
    with pytest.raises(AdframeError, match="fit a new model"):
        loaded(state, tmp_path / "new").collect(NEW)


def test_new_images_join_a_new_file(tmp_path: Path) -> None:
    state = stored(fitted(DiskBank, OLD), tmp_path)
    before = (tmp_path / "a.bank").read_bytes()
    model = loaded(state, tmp_path)
    assert model.reopen() == "exact: every patch of old and new images"
    model.collect(NEW)
    model.finalise()
    model.release()
    torch.testing.assert_close(model(QUERY).score, fitted(Everything, OLD, NEW)(QUERY).score)
    model.memory.memory.place(tmp_path / "b.bank")
    assert (tmp_path / "a.bank").read_bytes() == before
    assert (tmp_path / "b.bank").stat().st_size == model.facts()["bytes"]


def test_it_is_fitted_again_when_more_images_come() -> None:
    model = build(DiskBank)
    model.collect(OLD)
    model.finalise()
    first = model.memory.memory.file.path
    model.collect(NEW)
    model.finalise()
    assert not first.exists()
    torch.testing.assert_close(model(QUERY).score, fitted(Everything, OLD, NEW)(QUERY).score)


def test_what_is_not_possible_says_why(tmp_path: Path) -> None:
    with pytest.raises(AdframeError, match=r"memory\.keep.*greedy"):
        DiskBank(keep="greedy")
    with pytest.raises(AdframeError, match=r"memory\.dtype"):
        DiskBank(dtype="int8")
    with pytest.raises(AdframeError, match="memory=disk cannot be exported"):
        write_onnx(fitted(DiskBank, OLD), tmp_path / "graph.onnx", size=(64, 64))
    with pytest.raises(RuntimeError, match="bank is empty"):
        build(DiskBank)(QUERY)
