"""From configuration to objects: the one place where a `_target_` becomes a thing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from adframe.config.signatures import check_arguments
from adframe.config.trainer_options import check_whole
from adframe.config.trust import checked
from adframe.contracts import Gradient, TrainingFree
from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.data.dataset import View
from adframe.data.split_file import SplitFile
from adframe.errors import AdframeError
from adframe.reporting.download_progress import shown_progress
from adframe.runs.trainer import make_trainer
from adframe.systems.detection import DetectionSystem
from adframe.systems.gradient import GradientSystem
from adframe.systems.learning import Learning
from adframe.systems.training_free import TrainingFreeSystem
from adframe.transforms.synthesis.synthesis import Synthesis


def build(cfg: DictConfig, part: str, given: Mapping[str, Any] | None = None) -> Any:
    """Instantiates one part of the configuration; what does not fit is one line with the key.

    Args:
        cfg: the whole configuration.
        part: the key, such as `model` or `callbacks.gallery`.
        given: arguments that are not in the configuration, or that replace what it says.

    Raises:
        AdframeError: a `_target_` that is neither adframe's own nor trusted by `cfg.trusted`; arguments
            that do not fit.
    """
    given = given or {}
    try:
        node = checked(cfg, part)
        check_arguments(cfg, part, given=given)
        # Plain lists and dicts: OmegaConf would take a list of dataclass objects for configuration.
        return instantiate(node, _convert_="all", **given)
    except InstantiationException as error:
        cause = error.__cause__
        while isinstance(cause, InstantiationException):
            cause = cause.__cause__
        if isinstance(cause, AdframeError | OSError | MemoryError):
            raise cause from error
        text = " ".join(str(cause or error).split())
        raise AdframeError(f"{part}: {text}; see conf/{part}/ for what can be set") from error
    except OmegaConfBaseException as error:
        raise AdframeError(f"{part}: {str(error).splitlines()[0]}") from error


def build_source(cfg: DictConfig, *, root_given: bool = False) -> Source:
    """The dataset, fetched or written where it can be and is not there yet.

    With `fetch=false`, which is how folders of runs are read, nothing is downloaded, and pictures are
    drawn only below the folder in which the command was typed.

    Args:
        cfg: the configuration.
        root_given: whether `dataset.root` was typed, so that pictures may be drawn there as well.
    """
    may_draw = True
    if not cfg.get("fetch", True):
        cfg = cfg.copy()
        may_draw = _keep_here(cfg.dataset, root_given=root_given)
    source: Source = build(cfg, "dataset", {"root": Path(str(cfg.dataset.root))})
    if may_draw:
        try:
            with shown_progress() as progress:
                source.prepare(wanted(cfg), progress=progress)
        except AdframeError as error:
            if str(error).startswith("cannot write"):
                error.add_note("dataset.root= or paths.data= names another place")
            raise
    elif not source.found():
        raise AdframeError(
            f"dataset={source.name}: {source.root} holds no category, and a folder of runs neither downloads "
            "nor draws data elsewhere than below the working folder; put the data there first"
        )
    return source


def _keep_here(node: Any, *, root_given: bool = False) -> bool:
    """Switches downloads off, at any depth, and says whether all roots are in the folder of the command."""
    here = root_given or "root" not in node or _is_below(Path(str(node.root)), Path.cwd())
    if "download" in node:
        node.download = False
    inner = [child for child in map(node._get_node, list(node)) if isinstance(child, DictConfig)]
    return all([here, *map(_keep_here, inner)])  # a list: each is to be switched off


def _is_below(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def wanted(cfg: DictConfig) -> str | list[str]:
    """`category=` as plain data."""
    return OmegaConf.to_container(cfg)["category"]  # type: ignore[index,call-overload]


def build_data(cfg: DictConfig, source: Source, categories: list[str]) -> AnomalyData:
    """The datamodule of one model."""
    learning = build_learning(cfg)
    size: Any = OmegaConf.to_container(cfg)["image_size"]  # type: ignore[index,call-overload]
    view = View(
        size=(size, size) if isinstance(size, int) else None if size is None else (size[0], size[1]),
        keep_aspect=cfg.keep_aspect,
        preprocess=source.preprocess,
    )
    return AnomalyData(
        source,
        categories=categories,
        view=view,
        batch_size=cfg.batch_size,
        num_workers=cfg.num_workers,
        protocol=build(cfg, "split"),
        seed=cfg.seed,
        split_file=SplitFile(
            Path(str(cfg.paths.splits)),
            dataset=source.split_file_prefix,
            root=Path(source.root),
            seed=cfg.seed,
        ),
        shift=build(cfg, "shift"),
        synthesis=_build_synthesis(cfg),
        synthetic_train=learning is not None and learning.synthetic,
        shuffle=learning is not None,
        cache_mb=0 if learning is None else learning.cache_mb,
    )


def _build_synthesis(cfg: DictConfig) -> Synthesis | None:
    """Anomalies to learn from; None with `synthesis=none`."""
    return build(cfg, "synthesis") if cfg.synthesis.families else None


def build_system(cfg: DictConfig, source: Source, *, held_out: bool) -> DetectionSystem:
    """Detector, calibrator and metrics, conducted by the system of the detector's family.

    Args:
        cfg: the run's configuration.
        source: the dataset; it says how ground truth saturates.
        held_out: validation images were taken from train, so a refit may give them back.
    """
    detector = build(cfg, "model")
    calibrator = build(cfg, "calibration")
    pixel = build(cfg, "metrics", {"saturated": source.saturated})
    if not isinstance(detector, Gradient):
        if not isinstance(detector, TrainingFree):
            raise AdframeError(f"model={type(detector).__name__} is of no family that can be run")
        refit = cfg.refit and held_out
        return TrainingFreeSystem(detector=detector, calibrator=calibrator, pixel=pixel, refit=refit)  # type: ignore[arg-type]
    name = type(detector).__name__
    if (learning := build_learning(cfg)) is None:
        raise AdframeError(f"model={name} learns by gradient; learning=none is not possible")
    if detector.synthetic != learning.synthetic:
        raise AdframeError(
            f"model={name}: learning.synthetic={str(learning.synthetic).lower()} is not possible; "
            f"choose the method's own learning="
        )
    if detector.synthetic and not cfg.synthesis.families:
        raise AdframeError(f"model={name} learns from synthetic anomalies; synthesis=none is not possible")
    return GradientSystem(detector=detector, calibrator=calibrator, pixel=pixel, learning=learning)  # type: ignore[arg-type]


def build_learning(cfg: DictConfig) -> Learning | None:
    """How to learn; None for methods that do not learn by gradient."""
    return build(cfg, "learning") if "_target_" in cfg.learning else None


def build_trainer(
    cfg: DictConfig,
    callbacks: list[L.Callback],
    logger: Any,
    *,
    learning: Learning | None = None,
    files: CheckpointIO | None = None,
) -> L.Trainer:
    """Lightning's trainer with what a detector needs: no sanity steps, our own progress.

    Args:
        cfg: the run's configuration.
        callbacks: observers; one of them may keep checkpoints.
        logger: where losses go, if anywhere.
        learning: says how many epochs; without it one pass is all.
        files: writes and reads the checkpoints of learning.
    """
    options = {key: value for key, value in cfg.trainer.items() if key != "gradient_checkpointing"}
    check_whole(options)
    return make_trainer(options, callbacks, logger, learning=learning, files=files)
