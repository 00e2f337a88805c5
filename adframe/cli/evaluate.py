"""The work of `evaluate.py` with finished runs: test again, compare, analyse errors, write a submission."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from adframe.analysis.comparison import write_comparison
from adframe.analysis.error_analysis.page import show_errors
from adframe.cli.train import CHOICES, print_run
from adframe.cli.typed import TypedOverrides
from adframe.config.build import build
from adframe.config.recipe import ConfigRecipe
from adframe.config.saved_config import check_complete, read_config
from adframe.config.validate import check_evaluation
from adframe.data.base import Source
from adframe.errors import AdframeError
from adframe.reporting.notes import quieten
from adframe.results.run_folder import RunFolder
from adframe.runs.moved_data import with_root
from adframe.runs.provenance import command_line
from adframe.runs.reevaluate import describe_differences, finished_categories, reevaluate
from adframe.runs.submission import submit


def run_evaluation(cfg: DictConfig, typed: TypedOverrides) -> Path:
    """Runs the evaluation that the configuration asks for.

    Args:
        cfg: the configuration of `evaluate.py`, composed. `compare=` and `errors=` name runs that are only
            read; `run=` names a run that is tested again, or from which `submission=` is made.
        typed: the typed overrides.

    Returns:
        The folder or the file that was written.

    Raises:
        AdframeError: something is not possible; one line says what, where, and what to do.
    """
    quieten()
    check_evaluation(cfg, overrides=typed.overrides, hydra_overrides=typed.hydra)
    if cfg.compare is not None:
        runs = [Path(str(path)) for path in cfg.compare]
        return write_comparison(runs, output=None, fuse=cfg.fuse)
    if cfg.errors is not None:
        runs = [Path(cfg.errors)] if isinstance(cfg.errors, str) else [Path(str(path)) for path in cfg.errors]
        root = None if cfg.dataset.root is None else Path(str(cfg.dataset.root)).resolve()
        return show_errors(runs, output=None, root=root, open_source=open_source)
    return _evaluate_run(cfg, typed)


def open_source(run: Path, root: Path) -> Source:
    """Builds the dataset of a run that may come from a stranger; the run's own value of `trusted` is ignored.

    Args:
        run: the run's folder.
        root: the folder of the dataset.

    Returns:
        The dataset.

    Raises:
        AdframeError: the configuration cannot be read, or names code that is not trusted.
    """
    source: Source = build(OmegaConf.create(read_config(run)), "dataset", {"root": root})
    return source


def _evaluate_run(cfg: DictConfig, typed: TypedOverrides) -> Path:
    run = RunFolder(Path(str(cfg.run)))
    if cfg.submission is not None and cfg.get("shift") is not None:
        raise AdframeError("submission= uses unchanged images; remove shift=")
    config = _configuration_of(cfg, run)
    run.reopen()
    requested: Any = OmegaConf.to_container(cfg)["category"]  # type: ignore[index,call-overload]
    categories = finished_categories(run, requested)
    choices = {key: run.environment[key] for key in CHOICES if key in run.environment}
    if cfg.get("shift") is not None:
        choices["shift"] = cfg.shift.name  # the report names the shift of the evaluation
    logger = OmegaConf.to_container(cfg.logger) if cfg.get("logger") else {"kind": "none"}
    recipe = ConfigRecipe(
        OmegaConf.create(config | {"logger": logger}),
        config=config,
        choices=choices,
        command=command_line(list(typed.overrides)),
        root_given=cfg.dataset.root is not None,
    )
    if cfg.submission is not None:
        return submit(recipe, run, categories, Path(str(cfg.submission)), share=cfg.submission_scale)
    if lacking := [key for key in CHOICES if key not in choices]:
        file = run.path / "environment.json"
        raise AdframeError(f"{file} lacks {', '.join(lacking)}; the run is damaged, start it again")
    folder = reevaluate(recipe, run, categories)
    print_run(folder)
    print(describe_differences(run.metrics["test"], folder.metrics["test"]))
    return folder.path


def _configuration_of(cfg: DictConfig, run: RunFolder) -> dict[str, Any]:
    """Returns the run's configuration with the values that were typed for `evaluate.py`."""
    config = read_config(run.path, trusted=cfg.trusted)
    check_complete(config, run.path)
    if cfg.dataset.root is not None:
        config = with_root(config, Path(str(cfg.dataset.root)).resolve())
    if cfg.get("shift") is not None:
        stored = OmegaConf.create(config | {"shift": OmegaConf.to_container(cfg.shift)})
        config["shift"] = OmegaConf.to_container(stored.shift, resolve=True)  # its seed refers to the run's
    if cfg.num_workers is not None:
        config["num_workers"] = cfg.num_workers
    return config
