"""What several rooms' tests share. Nothing here, and no test, touches a network."""

import contextlib
import os
import tempfile
from pathlib import Path

# torchmetrics imports matplotlib, which lists the machine's fonts once a home: here, for all tests' homes.
os.environ.setdefault("MPLCONFIGDIR", str(Path(tempfile.gettempdir()) / "adframe-tests-matplotlib"))

import matplotlib.font_manager  # noqa: F401  (lists them)

# It closes the handlers of all libraries when it is first imported. absl's (of TensorBoard) would then close
# the stream in which pytest captures what is printed, unless that is what sys.stderr is, as it is here.
with contextlib.suppress(ImportError):
    import submitit  # noqa: F401

import pytest
import torch

from adframe.data.base import Source
from adframe.models.backbones import TimmBackbone
from tests.fakes.backbones import tiny_backbone
from tests.fakes.sources import toy_source

torch.set_num_threads(1)  # small tensors: threads only wait for each other


@pytest.fixture
def backbone() -> TimmBackbone:
    return tiny_backbone()


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("toy")


@pytest.fixture(scope="session")
def toy_ad(toy_folder: Path) -> Source:
    return toy_source(toy_folder / "ad", "mvtec_ad")


@pytest.fixture(scope="session")
def toy_loco(toy_folder: Path) -> Source:
    return toy_source(toy_folder / "loco", "mvtec_loco")


@pytest.fixture(scope="session")
def toy_ad2(toy_folder: Path) -> Source:
    return toy_source(toy_folder / "ad2", "mvtec_ad2")
