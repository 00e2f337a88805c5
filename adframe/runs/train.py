"""One run: build, fit, test, write; a category at a time, or one model for all of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from adframe.callbacks.profile import peak_memory
from adframe.config.build import build, build_data, build_source, build_system, build_trainer, wanted
from adframe.config.saved_config import check_complete, read_config
from adframe.config.validate import check_values, resolved, unread
from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.data.validate_files import WHOLE, fingerprint
from adframe.errors import AdframeError
from adframe.io.anomaly_maps import map_paths
from adframe.io.files import check_writable
from adframe.reporting.console import announce, print_table, quieten, warn
from adframe.reporting.run_page import write_page
from adframe.results.run_folder import RunFolder
from adframe.runs.domain_tests import FurtherTest, check_further, further_tests, write_further_pages
from adframe.runs.fit import fit
from adframe.runs.latency import latency_facts, latency_meter
from adframe.runs.loggers import tracking
from adframe.runs.moved_data import keep_moved, moved
from adframe.runs.patch_survey import patch_survey
from adframe.runs.provenance import command_line, environment
from adframe.runs.test import load_system, map_writer, measure, of_unit
from adframe.systems.detection import DetectionSystem

PLACES = ("dataset.root", "dataset.origin.root", "backbone.checkpoint")  # files and folders given by users
CHOICES = ("model", "backbone", "dataset", "split", "shift", "calibration", "trainer", "logger")


def train(cfg: DictConfig) -> Path:
    """Runs what the configuration says and returns the run's folder.

    Everything that can be wrong with the configuration, the dataset's files or the weights shows
    before the folder is made; a failure later leaves no folder unless a category was finished.
    """
    quieten()
    if cfg.resume is not None:
        return _resume(cfg)
    check_values(cfg)
    folder = RunFolder(Path(str(resolved(cfg.paths, "run"))))
    check_writable(folder.path, key="paths.run")
    config = _config_of(cfg)
    source, units = _units(cfg)
    check_further(cfg, units)
    _rehearse(cfg, source)
    prints = {name: fingerprint(data.records, root=Path(source.root)) for name, data in units.items()}
    chosen = HydraConfig.get().runtime.choices
    noted = environment(
        seed=cfg.seed, fingerprints=prints, command=command_line(list(HydraConfig.get().overrides.task))
    ) | {name: chosen[name] for name in CHOICES}
    lines = unread(cfg)
    for line in lines:
        warn(line)
    noted["warnings"] = [*lines, *(line for data in units.values() for line in data.warnings)]
    try:
        folder.open(config=config, environment=noted)
        return _work(cfg, folder, source, units)
    except BaseException as error:
        _give_up(folder, error)
        raise


def _resume(given: DictConfig) -> Path:
    """Goes on with a run as its own configuration says; only where its data lies may be told anew."""
    path, typed = Path(str(given.resume)), HydraConfig.get().overrides.task
    own = ("resume=", "trusted=", "dataset.root=")
    if other := [text for text in typed if not text.startswith(own)]:
        raise AdframeError(f"resume goes on with the run's own configuration; remove {' '.join(other)}")
    config = read_config(path, trusted=given.get("trusted") or ())
    check_complete(config, path)
    folder = RunFolder(path)
    folder.reopen()
    if any(text.startswith("dataset.root=") for text in typed):
        config = moved(folder, config, Path(str(given.dataset.root)).resolve())
    cfg = OmegaConf.create(config)
    source, units = _units(cfg)
    prints = {name: fingerprint(data.records, root=Path(source.root)) for name, data in units.items()}
    noted = folder.environment.get("data_fingerprint")
    if not isinstance(noted, dict) or not all(str(each).startswith(WHOLE) for each in noted.values()):
        raise AdframeError(
            f"{path} was started by an older adframe, which did not hash whole files; start a new run"
        )
    if prints != noted:
        raise AdframeError(f"the images have changed since {path} was started; start a new run")
    keep_moved(folder, config)
    try:
        return _work(cfg, folder, source, units)
    except BaseException as error:
        _give_up(folder, error)
        raise


def _rehearse(cfg: DictConfig, source: Source) -> None:
    """Builds everything once: what cannot be built must stop the run before its folder is made."""
    build_system(of_unit(cfg, "default"), source, held_out=True)
    build(cfg, "callbacks.gallery")
    build(cfg, "callbacks.embeddings")
    patch_survey(cfg)
    latency_meter(cfg)
    map_writer(cfg, Path())
    build_trainer(cfg, [], None)


def _give_up(folder: RunFolder, error: BaseException) -> None:
    """Keeps what is finished or half learned and says how to go on; removes a run in which nothing is."""
    if folder.done or folder.half_learned:
        done = ", ".join(folder.done) or "nothing"
        error.add_note(f"{done} done; go on with: python train.py resume={folder.path}")
    else:
        folder.discard()


def _work(cfg: DictConfig, folder: RunFolder, source: Source, units: dict[str, AnomalyData]) -> Path:
    start = time.perf_counter()
    spent = float(folder.environment.get("wall_seconds", 0))
    pools = {category: data for data in units.values() for category in data.categories}
    with tracking(cfg, run=folder.path, config=read_config(folder.path)) as tracker:
        further: list[FurtherTest] = []
        for unit in units:
            beyond = further_tests(cfg, folder.path, unit=unit, categories=list(pools))
            further += beyond
            _one_model(
                cfg, folder, source, pools, unit=unit, data=units[unit], further=beyond, tracker=tracker
            )
            folder.note({"wall_seconds": spent + time.perf_counter() - start} | peak_memory())
        write_further_pages(further)
        folder.note({"wall_seconds": spent + time.perf_counter() - start} | peak_memory())
        page = write_page(folder.path)
    print_table(folder.metrics)
    announce(folder, page)
    return folder.path


def _one_model(
    cfg: DictConfig,
    folder: RunFolder,
    source: Source,
    pools: Mapping[str, AnomalyData],
    *,
    unit: str,
    data: AnomalyData,
    further: Sequence[FurtherTest],
    tracker: Logger | None,
) -> None:
    """Fits and tests what is not in the books yet."""
    if set(data.categories) <= set(folder.done):
        if all(test.done for test in further):
            return
        system = load_system(cfg, source, folder.checkpoint(unit))
    else:
        system = _fit_and_test(cfg, folder, source, unit=unit, data=data, tracker=tracker)
    for test in further:
        if not test.done:
            test.run(cfg, folder, system, pools)


def _fit_and_test(
    cfg: DictConfig,
    folder: RunFolder,
    source: Source,
    *,
    unit: str,
    data: AnomalyData,
    tracker: Logger | None,
) -> DetectionSystem:
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    system = build_system(of_unit(cfg, unit), source, held_out=data.held_out)
    folder.metrics["val"][unit] = fit(cfg, folder, system, data, unit=unit, tracker=tracker)
    folder.metrics["val"][unit] |= latency_facts(cfg, system, data)
    for category in data.categories:
        if category not in folder.done:
            measure(cfg, folder, system, data, category=category, tracker=tracker)
    data.write_split()
    return system


def _units(cfg: DictConfig) -> tuple[Source, dict[str, AnomalyData]]:
    """The models to fit, by name, each with its images; every file is looked at here."""
    source = build_source(cfg)
    names = source.choose(wanted(cfg))
    pools = {"global": names} if cfg.scope == "global" else {name: [name] for name in names}
    units = {unit: build_data(cfg, source, pool) for unit, pool in pools.items()}
    for data in units.values():
        data.setup()
        if data.book is not None:
            data.book.check()
        for line in data.warnings:
            warn(line)
        if cfg.get("save_maps"):
            map_paths(record for record in data.records if record.split == "test")
    return source, units


def _config_of(cfg: DictConfig) -> dict[str, Any]:
    """The resolved configuration, with paths that hold from any folder."""
    fixed = cfg.copy()  # before it is resolved: other keys are made of these
    members = [f"dataset.members.{name}.root" for name in fixed.dataset.get("members") or ()]
    for key in ("paths.data", "paths.splits", "paths.store", *PLACES, *members):
        value = OmegaConf.select(fixed, key)
        if value is not None:
            OmegaConf.update(fixed, key, str(Path(str(value)).resolve()))
    config: dict[str, Any] = OmegaConf.to_container(fixed, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    return config
