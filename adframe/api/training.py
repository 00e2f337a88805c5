"""`fit`, `compare` and `train`: the work of the command line from Python."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adframe.analysis.compare import Comparison, all_pairs, compare_settings
from adframe.analysis.settings import Setting, by_category, common_categories
from adframe.api.fitted import Fitted
from adframe.api.recipe import ObjectRecipe
from adframe.calibration.calibrator import Calibrator
from adframe.data.datamodule import AnomalyData
from adframe.errors import AdframeError
from adframe.reporting.notes import quieten
from adframe.results.frame import load_results
from adframe.results.names import MEAN
from adframe.results.run_folder import RunFolder
from adframe.runs import train as runs
from adframe.systems.learning import Learning


def fit(
    detector: Any,
    data: AnomalyData,
    *,
    run: str | Path | None = None,
    learning: Learning | None = None,
    calibrator: Calibrator | None = None,
    seed: int = 42,
    refit: bool = True,
    accelerator: str = "auto",
    precision: str = "32-true",
) -> Fitted:
    """Fits a method to normal images, calibrates its thresholds, and tests it.

    One model is fitted to all categories of the data; for one model per category call `fit` for each.

    Args:
        detector: the method, such as `adframe.PatchCore("resnet18", coreset=0.1)`.
        data: the images, such as `adframe.MVTecAD("data/mvtec_ad", category="screw")`.
        run: a new or empty folder for the report, the predictions and the checkpoint; None for a temporary
            folder, which is removed with the result.
        learning: the settings of the training; None for methods that do not learn by gradient.
        calibrator: fits the thresholds; None takes the defaults of the configuration.
        seed: of everything random but the split, which has the seed of `data`.
        refit: whether held-out images join a training-free model after calibration.
        accelerator: `auto`, `cpu` or `gpu`, as Lightning takes it.
        precision: as Lightning takes it.

    Returns:
        The fitted model with its metrics, intervals and threshold.

    Raises:
        AdframeError: an image cannot be read, or settings do not fit together.

    Example:
        >>> import adframe
        >>> data = adframe.MVTecAD("data/mvtec_ad", category="screw")  # doctest: +SKIP
        >>> result = adframe.fit(adframe.PatchCore("resnet18", coreset=0.1), data)  # doctest: +SKIP
        >>> result.metrics["image/auroc"], result.intervals["image/auroc"]  # doctest: +SKIP
    """
    quieten()
    # The result holds the temporary folder, which is removed together with it.
    keep = tempfile.TemporaryDirectory(prefix="adframe-") if run is None else None
    folder = Path(keep.name) / "run" if keep is not None else Path(str(run))
    recipe = ObjectRecipe(
        detector,
        data,
        learning=learning,
        calibrator=calibrator,
        seed=seed,
        refit=refit,
        accelerator=accelerator,
        precision=precision,
    )
    runs.train(recipe, folder)
    return Fitted(RunFolder.read(folder), recipe.fitted, view=data.view, keep=keep)


def compare(
    *results: Fitted | RunFolder | str | Path,
    metrics: Sequence[str] = ("image/auroc", "pixel/auroc"),
) -> list[Comparison]:
    """Compares results on the same images, pair by pair.

    Args:
        results: fitted models, or folders of finished runs; two or more.
        metrics: the names of the metrics.

    Returns:
        For every pair and metric the difference (second minus first), its interval, its p-value, the p-value
        after Holm's correction, and whether the difference is significant; averaged over the categories that
        all results have.

    Raises:
        AdframeError: fewer than two results, or no category in common.

    Example:
        >>> import adframe
        >>> for one in adframe.compare("runs/a", "runs/b"):  # doctest: +SKIP
        ...     print(one.metric, one.difference.value, one.significant)
    """
    if len(results) < 2:
        raise AdframeError(f"compare takes two results or more, not {len(results)}")
    settings = []
    for number, each in enumerate(results):
        path = (
            each.run.path
            if isinstance(each, Fitted)
            else each.path
            if isinstance(each, RunFolder)
            else Path(each)
        )
        settings.append(Setting(f"{number}: {path.name}", {}, by_category(load_results([path]).own.tests)))
    categories = common_categories(settings)
    if not categories:
        raise AdframeError("the results have no category in common")
    where = categories[0] if len(categories) == 1 else MEAN
    return compare_settings(all_pairs(settings), metrics=metrics, over={where: categories})


def train(*overrides: str) -> RunFolder:
    """Runs `python train.py <overrides>`.

    Args:
        overrides: such as `"model=patchcore"`, `"dataset=mvtec_loco"`, `"paths.run=runs/one"`.

    Returns:
        The run, read from its folder.

    Raises:
        AdframeError: something is not possible; one line says what, where, and what to do.

    Example:
        >>> import adframe
        >>> run = adframe.train("model=padim", "dataset=toy", "logger=none")  # doctest: +SKIP
        >>> run.test["mean"]["image/auroc"]  # doctest: +SKIP
    """
    from adframe.cli.compose import compose_training  # Hydra is needed only here
    from adframe.cli.train import run_training

    cfg, typed = compose_training(overrides)
    return RunFolder.read(run_training(cfg, typed))
