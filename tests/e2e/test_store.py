"""Runs that share a store have the numbers of runs that compute everything themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adframe.models.backbones import TimmBackbone
from adframe.ops.coreset_search import Search
from tests.e2e.scripts import call, composed, numbers_of, train_here

pytestmark = pytest.mark.usefixtures("blank_figures")
SHARES = ("0.1", "0.5")


@pytest.fixture(scope="module")
def single(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    places = {share: tmp_path_factory.mktemp("alone") / share for share in SHARES}
    for share, place in places.items():
        train_here(*base, "category=[weave,tray]", f"coreset={share}", f"paths.run={place}")
    return places


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images went through the network, batch by batch."""
    counted: list[int] = []
    work = TimmBackbone.forward
    monkeypatch.setattr(
        TimmBackbone, "forward", lambda self, image: (counted.append(len(image)), work(self, image))[1]
    )
    return counted


def sweep_of(base: list[str], *overrides: str) -> dict[str, Path]:
    outcome = call("sweep", "-m", *base, "category=[weave,tray]", *overrides)
    assert (outcome.code, outcome.err) == (0, "")
    (folder,) = Path("runs/sweeps").iterdir()
    return {run.name: run for run in folder.iterdir() if run.is_dir()}


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["ascending", "descending"])
def test_a_sweep_over_the_coreset_has_the_numbers_of_single_runs(
    base: list[str], single: dict[str, Path], computed: list[int], order: tuple[int, int]
) -> None:
    shares = [SHARES[i] for i in order]
    runs = sweep_of(base, f"coreset={','.join(shares)}")
    for job, share in enumerate(shares):
        assert numbers_of(runs[str(job)]) == numbers_of(single[share])
        states = [torch.load(p / "checkpoints/tray.ckpt")["state"] for p in (runs[str(job)], single[share])]
        assert all(torch.equal(states[0][n], v) for n, v in states[1].items() if isinstance(v, torch.Tensor))
    assert sum(computed) == 2 * (6 + 3 + 4)  # categories; all of train, and the test images


@pytest.mark.slow
def test_a_sweep_selects_once(base: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    picked: list[int] = []
    monkeypatch.setattr(
        Search,
        "add_first",
        lambda self, row, block, work=Search.add_first: (picked.append(row), work(self, row, block)),
    )
    sweep_of(base, "coreset=0.05,0.1,0.3,0.2")
    assert len(picked) == 2 * 2  # categories; before calibration and after


@pytest.mark.slow
def test_padim_shares_features_too(base: list[str], tmp_path: Path, computed: list[int]) -> None:
    common = (*base, "category=tray", "model=padim", "model.channels=8")
    run = train_here(*common, f"paths.run={tmp_path / 'alone'}")
    own = sum(computed)
    kept = ("store=disk", f"paths.store={tmp_path / 'store'}")
    for name in ("first", "second"):
        assert numbers_of(train_here(*common, *kept, f"paths.run={tmp_path / name}")) == numbers_of(run)
    assert sum(computed) == own + 6 + 7  # a run alone computes its validation image twice


def test_only_sweeps_keep_features_unless_told(base: list[str]) -> None:
    assert composed("train").store is None
    assert composed("sweep").model.store.folder == "store"


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("store.limit_gb=0", "store.limit_gb=0"),
        ("store.dtype=int8", "store.dtype=int8 is not possible; store.dtype must be one of float32, float16"),
        ("store.folder_=x", "store.folder_"),
    ],
)
def test_an_impossible_setting_is_one_line(base: list[str], wrong: str, text: str) -> None:
    outcome = call("train", *base, "store=disk", wrong)
    assert outcome.code != 0
    assert text in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_a_run_evaluates_the_same_after_its_store_is_gone(base: list[str], tmp_path: Path) -> None:
    run = train_here(
        *base, "category=tray", "store=disk", "paths.store=kept", f"paths.run={tmp_path / 'run'}"
    )
    (tmp_path / "kept").rename(tmp_path / "gone")
    outcome = call("evaluate", f"run={run}")
    assert (outcome.code, outcome.err) == (0, "")
    assert "numbers equal the run's to the last digit" in outcome.out
