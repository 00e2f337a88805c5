from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.hydra import Hydra
from matplotlib.figure import Figure as Canvas

from adframe.metrics import resampled
from adframe.reporting import figure_render
from tests.e2e.scripts import SMALL, train_here


@pytest.fixture(scope="session", autouse=True)
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Runs write `runs/`, `splits/` and `data/` below the folder one stands in: not the checkout."""
    with contextlib.chdir(tmp_path_factory.mktemp("standing")):
        yield


@pytest.fixture(scope="session", autouse=True)
def few_resamples() -> Iterator[None]:
    """A run of this process draws 200 resamples, not 1000, which were a third of the time that it takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampled, "RESAMPLES", 200)
        yield


@pytest.fixture(scope="session", autouse=True)
def compose_once() -> Iterator[None]:
    """Hydra composes a configuration once more only to read `hydra.mode`, a sixth of the time of a run
    here. `train` and `evaluate` without an experiment do not set it, and are spared that."""
    original = Hydra.get_mode

    def get_mode(self: Hydra, config_name: str | None, overrides: list[str]) -> Any:
        plain = config_name in ("train", "evaluate") and not any("experiment" in each for each in overrides)
        return None if plain else original(self, config_name, overrides)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hydra, "get_mode", get_mode)
        yield


@pytest.fixture(scope="module")
def blank_figures() -> Iterator[None]:
    """Figures of pages are empty: a quarter of the time of a sweep here. For modules that compare numbers,
    tables and sentences; test_golden.py draws the figures of every study from runs on disk."""

    @contextlib.contextmanager
    def blank(figure: figure_render.Figure) -> Iterator[Canvas]:
        yield Canvas(figsize=figure.size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure_render, "_drawn_canvas", blank)
        yield


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test stands in a folder of its own, so that no split of another is read back."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the small toy set lies; drawn by the first run that needs it."""
    return tmp_path_factory.mktemp("toy") / "set"


@pytest.fixture(scope="session")
def base(toy: Path) -> list[str]:
    """Overrides of a run that takes half a second a category."""
    return [*SMALL, f"dataset.root={toy}"]


@pytest.fixture(scope="session")
def finished(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two categories; nobody may change it."""
    return train_here(*base, "category=[weave,tray]", f"paths.run={tmp_path_factory.mktemp('runs') / 'one'}")
