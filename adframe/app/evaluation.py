"""Tests a finished run again from its checkpoints, and says whether the numbers are the same."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import lightning as L
from omegaconf import DictConfig, OmegaConf

from adframe.app.build import build_data, build_source
from adframe.app.console import announce, print_table, quieten
from adframe.app.folder import MEAN, RunFolder, read_config
from adframe.app.provenance import command_line, environment
from adframe.app.run import CHOICES, load_system, measure
from adframe.callbacks.profile import peak_memory
from adframe.contracts import AdframeError
from adframe.data.preflight import fingerprint
from adframe.ops.names import unknown
from adframe.reports.page import write_page


def evaluate(cfg: DictConfig) -> Path:
    """Loads each checkpoint of `cfg.run`, tests it, and writes `<run>/evaluations/<time>/`."""
    quieten()
    run = RunFolder(Path(cfg.run))
    config = _configuration(cfg, run)
    run.reopen()
    categories = _categories(cfg, run)
    start = time.perf_counter()
    stored = OmegaConf.create(config)
    source = build_source(stored)
    L.seed_everything(stored.seed, workers=True, verbose=False)
    folder = RunFolder(run.path / "evaluations" / time.strftime("%Y-%m-%d_%H-%M-%S"))
    prints, prepared = {}, []
    for category in categories:
        unit = "global" if stored.scope == "global" else category
        system = load_system(stored, source, run.checkpoint(unit))
        data = build_data(stored, source, [category])
        data.setup()
        prints[category] = fingerprint(data.records, root=Path(source.root))
        prepared.append((unit, category, system, data))
    noted = environment(seed=stored.seed, fingerprints=prints, command=command_line([f"run={cfg.run}"]))
    try:
        folder.open(config=config, environment=noted | {k: run.environment[k] for k in CHOICES})
        for unit, category, system, data in prepared:
            folder.metrics["val"][unit] = run.metrics["val"][unit]
            measure(stored, folder, system, data, category=category, tracker=None)
    except BaseException:
        folder.discard()
        raise
    folder.note({"wall_seconds": time.perf_counter() - start} | peak_memory())
    page = write_page(folder.path)
    print_table(folder.metrics)
    announce(folder, page)
    print(compared(run.metrics["test"], json.loads((folder.path / "metrics.json").read_text())["test"]))
    return folder.path


def compared(before: dict[str, Any], after: dict[str, Any]) -> str:
    """One line: whether the numbers of an evaluation are the run's own."""
    names = [name for name in after if name in before and name != MEAN]
    pairs = [(before[c].get(m), after[c][m]) for c in names for m in after[c]]
    different = [(a, b) for a, b in pairs if a != b]
    if not different:
        return f"all {len(pairs)} numbers equal the run's to the last digit"
    largest = max(abs(a - b) if None not in (a, b) else float("nan") for a, b in different)
    return f"{len(different)} of {len(pairs)} numbers differ from the run's, by {largest:.2g} at most"


def _configuration(cfg: DictConfig, run: RunFolder) -> dict[str, Any]:
    config = read_config(run.path)
    if cfg.dataset.root is not None:
        config["dataset"]["root"] = str(Path(cfg.dataset.root).resolve())
    if cfg.num_workers is not None:
        config["num_workers"] = cfg.num_workers
    return config


def _categories(cfg: DictConfig, run: RunFolder) -> list[str]:
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
