"""`adframe push`: shares the model of a run, or a bundle, on the Hugging Face Hub."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from adframe.cli.export import run_export
from adframe.export.hub import HubAddress, upload
from adframe.export.manifest import is_bundle
from adframe.export.model_card import model_card
from adframe.inference.results import TRAINED


def run_push(
    source: Path,
    repository: str,
    *,
    revision: str | None = None,
    private: bool = False,
    message: str = "",
    category: str | None = None,
    calibration: str = TRAINED,
    trusted: Sequence[str] = (),
) -> HubAddress:
    """Uploads a bundle with a model card; a run is packed before, for ONNX Runtime in float32.

    Args:
        source: the folder of a bundle or a finished run.
        repository: `owner/name`; it is created where it does not exist.
        revision: a branch; None for `main`.
        private: whether a new repository is private.
        message: of the commit; "" for one that names the category.
        category: which model of the run; None for the only one.
        calibration: name of the thresholds.
        trusted: packages that the run's configuration may name.

    Returns:
        The address with the new commit.

    Raises:
        AdframeError: the model cannot be packed, or the Hub cannot be reached or refuses.
    """
    HubAddress.of(repository)  # before the work of packing
    with tempfile.TemporaryDirectory(prefix="adframe-push-") as temporary:
        bundle = source
        if not is_bundle(source):
            bundle = run_export(
                source,
                Path(temporary) / "bundle",
                category=category,
                calibration=calibration,
                trusted=trusted,
            )
        card = model_card(bundle, repository)
        address = upload(bundle, repository, card=card, revision=revision, private=private, message=message)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f'pushed; adframe.load("{address}") loads it')
    return address
