"""Samples a fitted method's patch features after a category was tested, where the recipe asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adframe.contracts import Batch, Layered
from adframe.data.base import ProgressCallback
from adframe.data.datamodule import AnomalyData
from adframe.reporting.download_progress import shown_progress
from adframe.results.patch_samples import write_patch_sample
from adframe.results.run_folder import RunFolder
from adframe.runs.recipe import Recipe
from adframe.systems.detection import DetectionSystem


def survey_patches(
    recipe: Recipe, folder: RunFolder, system: DetectionSystem, data: AnomalyData, *, category: str
) -> None:
    """Writes `features/<category>.patches.npz` and, for a vision transformer, attention roll-outs.

    Args:
        recipe: the recipe of the run; nothing is done where its survey is off.
        folder: the folder of the run; it gets a warning where the method has no layers.
        system: the fitted model.
        data: its images.
        category: the category whose test images are sampled.
    """
    survey = recipe.patches()
    if survey is None:
        return
    # Imported here because they load the libraries of every method, which takes a second.
    from adframe.diagnostics.attention import write_rollouts
    from adframe.models.attention import transformer_in

    if not isinstance(system.detector, Layered):
        folder.add_warnings(category, ["the method has no readable layers: no patches were sampled"])
        return
    device = recipe.device()
    system.to(device).eval()
    test = data.test_on(category)
    with shown_progress() as progress:
        sample = survey.survey(
            system.detector.feature_reader(),
            train=_with_progress(
                data.plain_dataloader(), progress, f"{category}: patches of training images"
            ),
            test=_with_progress(test, progress, f"{category}: patches of test images"),
            category=category,
            backbone=str(getattr(getattr(system.detector, "backbone", None), "name", "")),
            seed=recipe.seed,
            device=device,
        )
    write_patch_sample(folder.path, sample)
    network = transformer_in(system.detector)
    if network is not None and survey.rollouts:
        write_rollouts(
            folder.path, network, test.dataset, category=category, count=survey.rollouts, device=device
        )


def _with_progress(loader: Any, progress: ProgressCallback, title: str) -> Iterator[Batch]:
    """Yields the same batches and reports how many were taken."""
    for place, batch in enumerate(loader):
        yield batch
        progress(title, place + 1, len(loader))
