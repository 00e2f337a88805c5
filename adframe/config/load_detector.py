"""Loads the trained model of a run from its folder, without the dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import OmegaConf

from adframe.config.build import build, view_of
from adframe.config.recipe import ConfigRecipe
from adframe.config.saved_config import check_complete, read_config
from adframe.errors import AdframeError
from adframe.export.bundle import load_bundle
from adframe.export.hub import local_copy
from adframe.export.manifest import is_bundle
from adframe.inference.detector import TrainedDetector, stored_facts
from adframe.inference.recalibration import calibrated, read_calibration
from adframe.inference.results import TRAINED
from adframe.results.run_folder import RunFolder
from adframe.runs.reevaluate import finished_categories
from adframe.runs.test import load_system


def load_detector(
    path: Path,
    *,
    category: str | None = None,
    calibration: str = TRAINED,
    device: str = "auto",
    trusted: Sequence[str] = (),
) -> TrainedDetector:
    """Loads the model of a finished run or of a bundle, ready to inspect images.

    Neither the dataset nor its folder is needed; the frozen backbone is loaded from where the run took it.

    Args:
        path: the folder of the run, or one of its checkpoints, or a bundle, or its address on the Hub.
        category: which model; None for the only one.
        calibration: name of thresholds that `adframe calibrate` fitted; `trained` for those of the run.
        device: where the model works, as torch names it (`cpu`, `cuda`, `cuda:1`, `mps`); `auto` takes CUDA
            where there is one, else the processor.
        trusted: packages other than adframe that the run's configuration may name; their code runs.

    Returns:
        The model.

    Raises:
        AdframeError: the folder holds no finished run, there are several models and `category` is None, or a
            checkpoint or the backbone's weights are missing, damaged, or of another model.
    """
    path = local_copy(path)
    if is_bundle(path):
        return load_bundle(path, category=category, calibration=calibration, device=device)
    if path.is_file() and path.parent.name == "checkpoints":  # as Lightning's load_from_checkpoint takes it
        path, category = path.parents[1], None if path.stem == "global" else path.stem
    place = device_of(device)
    config = read_config(path, trusted=trusted)
    check_complete(config, path)
    run = RunFolder(path)
    run.reopen()
    cfg = OmegaConf.create(config)
    if cfg.trainer.get("compile"):  # which takes longer than a few images; the scores differ by rounding
        cfg.trainer.compile = False
    recipe = ConfigRecipe(cfg, config=config)
    unit = chosen_unit(run, category)
    # Only facts about the layout are read from it, such as how images are preprocessed.
    source = build(recipe.cfg, "dataset", {"root": Path(str(recipe.cfg.dataset.root))})
    with isolate_rng():
        system = load_system(recipe, source, run.checkpoint(unit))
    view = view_of(recipe.cfg, preprocess=source.preprocess)
    inspected = category or (run.done[0] if len(run.done) == 1 else unit)
    if inspected == "global" and view.roi is not None and view.roi.named:
        raise AdframeError(
            f"{path}: the region of interest depends on the category; choose one with category=: "
            f"{', '.join(run.done)}"
        )
    detector = TrainedDetector(
        system.to(place), view=view, category=unit, facts=stored_facts(run, unit), inspected=inspected
    )
    if calibration == TRAINED:
        return detector
    return calibrated(detector, read_calibration(path, calibration, unit), name=calibration)


def device_of(name: str) -> torch.device:
    """Returns the device of a name.

    Args:
        name: as torch names it (`cpu`, `cuda`, `cuda:1`, `mps`); `auto` takes CUDA where it is available.

    Raises:
        AdframeError: if the machine does not have it.
    """
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    try:
        return torch.empty(1, device=chosen).device
    except (RuntimeError, AssertionError) as error:  # torch does not know it, or the machine has none
        reason = str(error).splitlines()[0]
        raise AdframeError(f"device={name} is not possible here: {reason}; choose cpu") from error


def chosen_unit(run: RunFolder, category: str | None) -> str:
    """Returns the name of a model of a run.

    Args:
        run: the run, reopened.
        category: a category, or None for the only model.

    Returns:
        The category, or `global` where one model serves all categories.

    Raises:
        AdframeError: nothing is finished, the category is unknown, or None does not say which of several.
    """
    names = finished_categories(run, category)
    if run.checkpoint("global").exists():
        return "global"
    if len(names) > 1:
        raise AdframeError(
            f"{run.path} has {len(names)} models; choose one with category=: {', '.join(names)}"
        )
    return names[0]
