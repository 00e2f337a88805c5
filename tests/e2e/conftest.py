from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.scripts import SMALL, train_here


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
