"""More normal images for a finished run whose dataset is not there any more."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from adframe.callbacks.profile import peak_memory
from adframe.contracts import Gradient, Reopenable
from adframe.data.image_facts import IMAGE_FACTS
from adframe.errors import AdframeError
from adframe.inference.detector import TrainedDetector
from adframe.inference.images import InputImage
from adframe.reporting.format import counted
from adframe.reporting.notes import warn
from adframe.reporting.run_page import write_page
from adframe.results.names import UPDATE
from adframe.results.run_folder import RunFolder
from adframe.results.validation_scores import copy_scores
from adframe.runs.provenance import environment
from adframe.runs.recipe import Recipe
from adframe.systems.checkpoint import save_checkpoint


def join_images(
    recipe: Recipe,
    run: RunFolder,
    detector: TrainedDetector,
    images: Sequence[InputImage],
    *,
    path: Path,
    category: str,
) -> RunFolder:
    """Adds normal images to the model of a run, without the images to which it was fitted.

    Thresholds stay those of the run: they would need its validation images. Nothing is tested.

    Args:
        recipe: built from the configuration of the new run.
        run: the run, reopened.
        detector: its model; it is changed.
        images: the images that join.
        path: the folder of the new run, new or empty.
        category: the category of the images.

    Returns:
        The new run, with its report written.

    Raises:
        AdframeError: the method cannot be extended, or an image cannot be read.
    """
    start = time.perf_counter()
    method, unit = detector.detector, detector.category
    if not isinstance(method, Reopenable) or isinstance(method, Gradient):
        raise AdframeError(
            f"{type(method).__name__} cannot take more images without the dataset, and "
            f"{recipe.config['dataset']['root']} is not there"
        )
    how, doubts = method.reopen(), []
    for image in images:
        prepared = detector.prepare(image)
        if prepared.tensor is None:
            raise AdframeError(str(prepared.error))
        doubts += [f"{image.name}: {line}" for line in prepared.warnings]
        method.collect(prepared.tensor[None].to(detector.system.device))
    method.finalise()
    method.release()
    count = counted(len(images), "normal image")
    line = (
        f"{count} joined the model without the dataset ({how}); thresholds are those of {run.path.name}, and "
        "nothing was tested; adframe calibrate --normals fits thresholds to other normal images"
    )
    facts = environment(seed=recipe.seed, fingerprints={}, command=recipe.command) | recipe.choices
    facts |= {
        UPDATE: how,
        IMAGE_FACTS: run.environment.get(IMAGE_FACTS, {}),
        "weights": run.environment.get("weights", {}),
        "warnings": [f"{category}: {text}" for text in (line, *doubts)],
    }
    if unit in facts[IMAGE_FACTS]:
        known = facts[IMAGE_FACTS][unit]
        facts[IMAGE_FACTS] = {unit: known | {"count": known["count"] + len(images)}}
    for text in facts["warnings"]:
        warn(text)
    folder = RunFolder(path)
    folder.open(config=recipe.config, environment=facts)
    try:
        save_checkpoint(detector.system, folder.checkpoint(unit), of=recipe.identity(unit))
        copy_scores(run.path, to=folder.path)
        sizes = {f"model/{name}": float(value) for name, value in method.facts().items()}
        folder.metrics["val"][unit] = run.metrics["val"][unit] | sizes
        for name in run.done if unit == "global" else [category]:
            folder.add(name, results={}, rows=[], pictures=[], defects={}, drawn={})
        folder.add_facts({"wall_seconds": time.perf_counter() - start} | peak_memory())
        write_page(path)
    except BaseException:
        folder.discard()
        raise
    return folder
