"""Looks at a fitted method's features after a category was tested, where the recipe asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adframe.contracts import Batch, Layered
from adframe.data.base import ProgressCallback
from adframe.data.datamodule import AnomalyData
from adframe.reporting.download_progress import shown_progress
from adframe.results.patch_samples import write_sample
from adframe.results.run_folder import RunFolder
from adframe.runs.recipe import Recipe
from adframe.systems.detection import DetectionSystem


def survey_patches(
    recipe: Recipe, folder: RunFolder, system: DetectionSystem, data: AnomalyData, *, category: str
) -> None:
    """Leaves `features/<category>.patches.npz` in the run's folder, and a vision transformer's roll-outs."""
    survey = recipe.patches()
    if survey is None:
        return
    # Only now: they load every method's libraries, which would cost each run a second.
    from adframe.diagnostics.attention import write_rollouts
    from adframe.models.attention import transformer_in

    if not isinstance(system.detector, Layered):
        folder.warn(category, ["the method has no layers to look at: no patches were sampled"])
        return
    device = recipe.device()
    system.to(device).eval()
    test = data.test_on(category)
    with shown_progress() as told:
        sample = survey.survey(
            system.detector.feature_reader(),
            train=_told(data.plain_dataloader(), told, f"{category}: patches of training images"),
            test=_told(test, told, f"{category}: patches of test images"),
            category=category,
            backbone=str(getattr(getattr(system.detector, "backbone", None), "name", "")),
            seed=recipe.seed,
            device=device,
        )
    write_sample(folder.path, sample)
    network = transformer_in(system.detector)
    if network is not None and survey.rollouts:
        write_rollouts(
            folder.path, network, test.dataset, category=category, count=survey.rollouts, device=device
        )


def _told(loader: Any, told: ProgressCallback, what: str) -> Iterator[Batch]:
    """The same batches, with a word about how far it is."""
    for place, batch in enumerate(loader):
        yield batch
        told(what, place + 1, len(loader))
