"""Loggers that need no account: TensorBoard, and MLflow with a store of files in the run's folder."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger
from PIL import Image

from adframe.errors import AdframeError
from adframe.reporting.run_facts import run_verdict
from adframe.reporting.run_page import PAGE
from adframe.reporting.run_pictures import run_pictures
from adframe.reporting.wandb_upload import flat_metrics
from adframe.results.run_folder import RunFolder
from adframe.runs.run_labels import flat_settings

_RUN_ID = "run_id.txt"


def check_installed(kinds: tuple[str, ...]) -> None:
    """Checks that the packages of loggers are there.

    Args:
        kinds: the loggers.

    Raises:
        AdframeError: a package is missing; the line has the command that installs it.
    """
    for kind in ("tensorboard", "mlflow"):
        if kind in kinds and importlib.util.find_spec(kind) is None:
            raise AdframeError(f"logger={kind}: {kind} is missing; pip install 'adframe[{kind}]'")


def open_tensorboard(run: Path) -> TensorBoardLogger:
    """Opens a logger that writes to `<run>/tensorboard/`.

    Args:
        run: the folder of the run.

    Returns:
        The logger.
    """
    return TensorBoardLogger(save_dir=run / "tensorboard", name="", version="", default_hp_metric=False)


def open_mlflow(
    options: Mapping[str, Any], *, run: Path, name: str, tags: list[str], settings: Mapping[str, Any]
) -> MLFlowLogger:
    """Opens a logger that writes to `<run>/mlruns/`, or to the store that the options name.

    Args:
        options: `tracking_uri` (None for the run's folder) and `experiment`.
        run: the folder of the run; a resumed run continues the run of MLflow that is noted in it.
        name: the name of the run.
        tags: each is set to `true`.
        settings: the configuration, logged as parameters.

    Returns:
        The logger.

    Raises:
        AdframeError: the store cannot be opened.
    """
    # MLflow 3 refuses a store of files unless this is set; its databases need further packages.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    noted = run / "mlruns" / _RUN_ID
    logger = MLFlowLogger(
        experiment_name=str(options.get("experiment") or "adframe"),
        tracking_uri=str(options.get("tracking_uri") or (run / "mlruns").absolute().as_uri()),
        run_name=name,
        run_id=noted.read_text().strip() if noted.is_file() else None,
        tags=dict.fromkeys(tags, "true"),
    )
    from mlflow.exceptions import MlflowException  # takes a second, and is an extra

    try:
        if not noted.is_file():
            logger.log_hyperparams(flat_settings(settings))
            noted.parent.mkdir(parents=True, exist_ok=True)
            noted.write_text(f"{logger.run_id}\n")
        else:
            logger.experiment.set_terminated(logger.run_id, "RUNNING")
    except MlflowException as error:
        raise AdframeError(f"logger=mlflow: {' '.join(str(error).split())}") from error
    return logger


def show_in_tensorboard(logger: TensorBoardLogger, run: Path, settings: Mapping[str, Any]) -> None:
    """Writes the numbers of a finished run as one row of the table of settings, and its pictures.

    Args:
        logger: the logger of the run.
        run: the folder of the run.
        settings: the configuration.
    """
    logger.log_hyperparams(flat_settings(settings), flat_metrics(run))
    logger.experiment.add_text("headline", run_verdict(RunFolder.read(run)))
    for name, files in run_pictures(run).items():
        for file, caption in files:
            with Image.open(file) as picture:
                pixels = np.asarray(picture.convert("RGB"))  # (H, W, 3)
            logger.experiment.add_image(f"{name}/{file.stem}", pixels, dataformats="HWC")
            logger.experiment.add_text(f"{name}/{file.stem}", caption)


def show_in_mlflow(logger: MLFlowLogger, run: Path) -> None:
    """Writes the numbers of a finished run, and its page and pictures as artifacts.

    Args:
        logger: the logger of the run.
        run: the folder of the run.
    """
    logger.log_metrics(flat_metrics(run))
    logger.experiment.log_artifact(logger.run_id, run / PAGE)
    for name, files in run_pictures(run).items():
        for file, _ in files:
            logger.experiment.log_artifact(logger.run_id, file, artifact_path=name)
