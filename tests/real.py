"""Real data and weights, for tests that skip where they are missing. Only this file knows the places."""

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[2] / "shared"
DATA = Path(os.environ.get("ADFRAME_REAL_DATA", BESIDE / "data"))
WEIGHTS = Path(os.environ.get("ADFRAME_REAL_WEIGHTS", BESIDE / "weights"))


def needs(path: Path) -> pytest.MarkDecorator:
    """Skips a test where a real file or folder is not there, and says which."""
    variable = "ADFRAME_REAL_DATA" if path.is_relative_to(DATA) else "ADFRAME_REAL_WEIGHTS"
    return pytest.mark.skipif(not path.exists(), reason=f"needs {path} (set {variable} to where it lies)")
