"""Builds objects from the configuration; only here a `_target_` becomes an object."""

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
from adframe.config.trainer_options import check_uncut
from adframe.config.trust import resolve_trusted
from adframe.contracts import Gradient, Supervised, TrainingFree
from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.data.dataset import View
from adframe.data.split_file import SplitFile
from adframe.data.training_set import TrainingSet
from adframe.errors import AdframeError
from adframe.models.compiled import compile_networks
from adframe.models.tiled import tiled
from adframe.reporting.download_progress import shown_progress
from adframe.reporting.notes import warn
from adframe.runs.trainer import make_trainer
from adframe.systems.detection import DetectionSystem
from adframe.systems.gradient import GradientSystem
from adframe.systems.learning import Learning
from adframe.systems.training_free import TrainingFreeSystem


def build(cfg: DictConfig, part: str, given: Mapping[str, Any] | None = None) -> Any:
    """Builds one part of the configuration.

    Args:
        cfg: the whole configuration.
        part: the key of the part, such as `model` or `callbacks.gallery`.
        given: arguments that are not in the configuration, or that replace its values; None for none.

    Returns:
        The object.

    Raises:
        AdframeError: a `_target_` is neither adframe's own nor trusted by `cfg.trusted`, or an argument does
            not fit; the message is one line with the key.
    """
    given = given or {}
    try:
        node = resolve_trusted(cfg, part)
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
    """Builds the dataset; downloads or draws it where it is missing and that is possible.

    With `fetch=false`, which is set for folders of runs, nothing is downloaded, and pictures are drawn only
    below the working folder.

    Args:
        cfg: the configuration.
        root_given: whether `dataset.root` was typed, so that pictures may be drawn there as well.

    Returns:
        The dataset.

    Raises:
        AdframeError: it cannot be built, downloaded or drawn.
    """
    may_draw = True
    if not cfg.get("fetch", True):
        cfg = cfg.copy()
        may_draw = _disable_downloads(cfg.dataset, root_given=root_given)
    source: Source = build(cfg, "dataset", {"root": Path(str(cfg.dataset.root))})
    if may_draw:
        try:
            with shown_progress() as progress:
                source.prepare(requested_category(cfg), progress=progress)
        except AdframeError as error:
            if str(error).startswith("cannot write"):
                error.add_note("choose another place with dataset.root= or paths.data=")
            raise
    elif not source.found():
        raise AdframeError(
            f"dataset={source.name}: {source.root} has no category, and reading a run neither downloads "
            "nor draws data outside of the working folder; put the data there first"
        )
    return source


def _disable_downloads(node: Any, *, root_given: bool = False) -> bool:
    """Switches downloads off in all members; returns whether all roots lie below the working folder."""
    here = Path.cwd().resolve()
    inside = root_given or "root" not in node or Path(str(node.root)).resolve().is_relative_to(here)
    if "download" in node:
        node.download = False
    inner = [child for child in map(node._get_node, list(node)) if isinstance(child, DictConfig)]
    return all([inside, *map(_disable_downloads, inner)])  # a list, so that every member is switched off


def requested_category(cfg: DictConfig) -> str | list[str]:
    """Returns the value of `category=`.

    Args:
        cfg: the configuration.

    Returns:
        A name, `all`, or a list of names.
    """
    return OmegaConf.to_container(cfg)["category"]  # type: ignore[index,call-overload]


def view_of(cfg: DictConfig, *, preprocess: str) -> View:
    """Returns how images are brought to the size of the network.

    Args:
        cfg: the configuration of the run.
        preprocess: name of the dataset's preprocessing.
    """
    size: Any = OmegaConf.to_container(cfg)["image_size"]  # type: ignore[index,call-overload]
    return View(
        size=(size, size) if isinstance(size, int) else None if size is None else (size[0], size[1]),
        keep_aspect=cfg.keep_aspect,
        preprocess=preprocess,
        # Runs of earlier versions have neither.
        scale=cfg.get("image_scale", 1.0),
        roi=build(cfg, "roi") if cfg.get("roi") else None,
    )


def build_data(cfg: DictConfig, source: Source, categories: list[str]) -> AnomalyData:
    """Builds the images of one model.

    Args:
        cfg: the configuration of the run.
        source: the dataset.
        categories: the categories to which the model is fitted.

    Returns:
        A data module, before `setup()`.

    Raises:
        AdframeError: the split, the shift or the synthesis cannot be built.
    """
    learning = build_learning(cfg)
    return AnomalyData(
        source,
        categories=categories,
        view=view_of(cfg, preprocess=source.preprocess),
        batch_size=cfg.batch_size,
        num_workers=cfg.num_workers,
        protocol=build(cfg, "split"),
        seed=cfg.seed,
        # Runs of earlier versions do not have them.
        training=TrainingSet(
            shots=cfg.get("shots"), contamination=cfg.get("contamination"), labelled=cfg.get("labelled")
        ),
        split_file=SplitFile(
            Path(str(cfg.paths.splits)),
            dataset=source.split_file_prefix,
            root=Path(source.root),
            seed=cfg.seed,
        ),
        shift=build(cfg, "shift"),
        synthesis=build(cfg, "synthesis") if cfg.synthesis.families else None,
        synthetic_train=learning is not None and learning.synthetic,
        shuffle=learning is not None,
        cache_mb=0 if learning is None else learning.cache_mb,
    )


def build_system(cfg: DictConfig, source: Source, *, held_out: bool) -> DetectionSystem:
    """Builds a model: the detector with its calibrator and metrics, in the system of the detector's family.

    Args:
        cfg: the configuration of the run.
        source: the dataset, which defines how ground-truth regions saturate.
        held_out: whether validation images were taken from the training images, so that a refit may use them.

    Returns:
        The system, not fitted.

    Raises:
        AdframeError: a part cannot be built, or the learning does not suit the method.
    """
    # Runs of earlier versions have no tiling.
    detector = tiled(build(cfg, "model"), build(cfg, "tiling") if cfg.get("tiling") else None)
    if cfg.trainer.get("compile") and not compile_networks(detector):
        warn(f"trainer.compile=true: model={type(detector).__name__} has no network that can be compiled")
    if cfg.get("labelled") and not (isinstance(detector, Supervised) and detector.takes_labelled):
        raise AdframeError(
            f"labelled={cfg.labelled}: model={type(detector).__name__} cannot be trained on labelled "
            "defects; choose model=supersimplenet, or labelled=0 to test the same images without them"
        )
    calibrator = build(cfg, "calibration")
    pixel = build(cfg, "metrics", {"saturated": source.saturated})
    if not isinstance(detector, Gradient):
        if not isinstance(detector, TrainingFree):
            raise AdframeError(
                f"model={type(detector).__name__} cannot be run: it has neither the methods of a "
                "training-free method nor those of one that learns by gradient"
            )
        refit = cfg.refit and held_out
        return TrainingFreeSystem(detector=detector, calibrator=calibrator, pixel=pixel, refit=refit)
    name = type(detector).__name__
    if (learning := build_learning(cfg)) is None:
        raise AdframeError(f"model={name} learns by gradient; learning=none is not possible")
    if detector.synthetic != learning.synthetic:
        raise AdframeError(
            f"model={name}: learning.synthetic={str(learning.synthetic).lower()} is not possible; "
            f"choose the learning= of this method"
        )
    if detector.synthetic and not cfg.synthesis.families:
        raise AdframeError(f"model={name} learns from synthetic anomalies; synthesis=none is not possible")
    return GradientSystem(detector=detector, calibrator=calibrator, pixel=pixel, learning=learning)


def build_learning(cfg: DictConfig) -> Learning | None:
    """Builds the settings of a training.

    Args:
        cfg: the configuration of the run.

    Returns:
        The settings; None for methods that do not learn by gradient (`learning=none`).
    """
    return build(cfg, "learning") if "_target_" in cfg.learning else None


def build_trainer(
    cfg: DictConfig,
    callbacks: list[L.Callback],
    logger: Any,
    *,
    learning: Learning | None = None,
    files: CheckpointIO | None = None,
) -> L.Trainer:
    """Builds the trainer of Lightning with the options of `trainer=`.

    Args:
        cfg: the configuration of the run.
        callbacks: the callbacks; a `ModelCheckpoint` among them turns checkpoints on.
        logger: receives the losses; None for no logger.
        learning: gives the number of epochs; None for one pass.
        files: writes and reads the checkpoints of a training; None for Lightning's own.

    Returns:
        The trainer.

    Raises:
        AdframeError: an option is refused, or would leave images out.
    """
    options: Any = OmegaConf.to_container(cfg.trainer, resolve=True)
    for key in ("gradient_checkpointing", "compile", "ray"):  # not options of Lightning
        options.pop(key, None)
    check_uncut(options)
    return make_trainer(options, callbacks, logger, learning=learning, files=files)
