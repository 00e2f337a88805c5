"""Tests a finished run again from its checkpoints, and says whether the numbers are the same."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from adframe.config.build import build_data, build_source
from adframe.config.saved_config import check_complete, read_config
from adframe.data.base import Source
from adframe.data.validate_files import fingerprint
from adframe.errors import AdframeError, unknown
from adframe.io.files import fresh_folder
from adframe.reporting.console import warn
from adframe.results.names import MEAN
from adframe.results.run_folder import RunFolder
from adframe.results.validation_scores import copy_scores
from adframe.runs.finish import close
from adframe.runs.moved_data import with_root
from adframe.runs.provenance import command_line, environment
from adframe.runs.test import load_system, measure
from adframe.runs.train import CHOICES
from adframe.systems.detection import DetectionSystem


def reevaluate(cfg: DictConfig) -> Path:
    """Loads each checkpoint of `cfg.run`, tests it, and writes `<run>/evaluations/<time>/`."""
    run = RunFolder(Path(str(cfg.run)))
    config = stored_configuration(cfg, run)
    run.reopen()
    categories = finished_categories(cfg, run)
    _check_books(run, categories, scope=config["scope"])
    start = time.perf_counter()
    stored = OmegaConf.create(config)
    source = build_source(stored, root_given=cfg.dataset.root is not None)
    folder = RunFolder(fresh_folder(run.path / "evaluations"))
    units = {category: "global" if stored.scope == "global" else category for category in categories}
    pools = {category: build_data(stored, source, [category]) for category in categories}
    prints = {}
    for category, data in pools.items():
        data.setup()
        for line in data.warnings:
            warn(line)
        prints[category] = fingerprint(data.records, root=Path(source.root))
        load_unit(stored, source, run, units[category])  # what does not fit must stop the evaluation here
    chosen = {key: run.environment[key] for key in CHOICES}
    if cfg.get("shift") is not None:
        chosen["shift"] = cfg.shift.name
    noted = environment(
        seed=stored.seed, fingerprints=prints, command=command_line(list(HydraConfig.get().overrides.task))
    )
    noted["warnings"] = [line for data in pools.values() for line in data.warnings]
    try:
        folder.open(config=config, environment=noted | chosen)
        copy_scores(run.path, to=folder.path)
        for category, data in pools.items():
            system = load_unit(stored, source, run, units[category])
            folder.metrics["val"][units[category]] = run.metrics["val"][units[category]]
            measure(stored, folder, system, data, category=category, tracker=None)
    except BaseException:
        folder.discard()
        raise
    close(folder, seconds=time.perf_counter() - start)
    print(compared(run.metrics["test"], json.loads((folder.path / "metrics.json").read_text())["test"]))
    return folder.path


def _check_books(run: RunFolder, categories: Sequence[str], *, scope: str) -> None:
    """Raises AdframeError where a book lacks what an evaluation copies from it."""
    units = ["global"] if scope == "global" else categories
    books = (("environment.json", run.environment, CHOICES), ("metrics.json", run.metrics["val"], units))
    for name, book, needed in books:
        if lacking := [key for key in needed if key not in book]:
            raise AdframeError(
                f"{run.path / name} lacks {', '.join(lacking)}; the run is damaged, start it anew"
            )


def compared(before: dict[str, Any], after: dict[str, Any]) -> str:
    """One line: whether the numbers of an evaluation are the run's own."""
    names = [name for name in after if name in before and name != MEAN]
    pairs = [(before[c].get(m), after[c][m]) for c in names for m in after[c]]
    different = [(a, b) for a, b in pairs if a != b]
    if not different:
        return f"all {len(pairs)} numbers equal the run's to the last digit"
    largest = max(abs(a - b) if None not in (a, b) else float("nan") for a, b in different)
    return f"{len(different)} of {len(pairs)} numbers differ from the run's, by {largest:.2g} at most"


def load_unit(config: DictConfig, source: Source, run: RunFolder, unit: str) -> DetectionSystem:
    """The model of a category, or the `global` one, as its checkpoint left it."""
    return load_system(config, source, run.checkpoint(unit))


def stored_configuration(cfg: DictConfig, run: RunFolder) -> dict[str, Any]:
    """A run's configuration with what `evaluate.py` was told in place of what it says."""
    config = read_config(run.path, trusted=cfg.trusted)
    check_complete(config, run.path)
    if cfg.dataset.root is not None:
        config = with_root(config, Path(str(cfg.dataset.root)).resolve())
    if cfg.get("shift") is not None:
        stored = OmegaConf.create(config | {"shift": OmegaConf.to_container(cfg.shift)})
        config["shift"] = OmegaConf.to_container(stored.shift, resolve=True)  # its seed is the run's
    if cfg.num_workers is not None:
        config["num_workers"] = cfg.num_workers
    return config


def finished_categories(cfg: DictConfig, run: RunFolder) -> list[str]:
    """The categories asked for; an error where the run has not finished one of them."""
    if not run.done:
        raise AdframeError(
            f"{run.path} has no finished category; go on with: python train.py resume={run.path}"
        )
    wanted = OmegaConf.to_container(cfg)["category"]  # type: ignore[index,call-overload]
    names = run.done if wanted in (None, "all") else [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if name not in run.done:
            raise AdframeError(unknown("category", name, run.done, where=f"in {run.path}"))
    return names
