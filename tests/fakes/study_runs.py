"""Finished runs of a sweep in memory and as folders: seeded scores, and bootstrap draws of their AUROC."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from adframe.io.files import write_json
from adframe.metrics.image import image_metrics
from adframe.metrics.resampled import image_resampled
from adframe.results.run_files import mean_row
from adframe.results.run_folder import RunFolder
from adframe.results.sweep_folder import SweepRun
from adframe.stats.bootstrap import RESAMPLES

COUNT = 30  # images of a class, half of them anomalous


def rows_of(category: str, *, skill: float, noise: int = 0, images: str = "test") -> list[dict[str, Any]]:
    """A class's ledger; scores of equal images are alike from run to run, `noise` seeds what differs."""
    base = np.random.default_rng(zlib.crc32(category.encode())).normal(size=COUNT)
    own = np.random.default_rng(noise).normal(scale=0.2, size=COUNT)
    common: dict[str, Any] = {
        "category": category, "split": "test", "part": "", "condition": "", "group": "", "shift": "",
        "decision": None, "threshold": None, "normalised": None, "probability": None, "reported": None,
        "by_zones": None, "milliseconds": 1.0, "height": 8, "width": 8, "defect_area": None,
        "defect_border": None,
    }  # fmt: skip
    rows = []
    for place in range(COUNT):
        label = place % 2
        score = float(base[place] + own[place] + skill * label)
        own_facts = {"path": f"/{images}/{place:02}.png", "label": label, "score": score}
        kind = {"defect": "hole", "subset": "anomaly"} if label else {"defect": "good", "subset": "good"}
        rows.append(common | own_facts | kind)
    return rows


def measured(rows: list[dict[str, Any]], *, seed: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Its metrics, and what they are in every resample."""
    facts = {key: [row[key[:-1]] for row in rows] for key in ("scores", "labels", "subsets")}
    seen = image_metrics(**facts, threshold=None)
    drawn = image_resampled(
        **facts, groups=[""] * len(rows), paths=[row["path"] for row in rows], threshold=None,
        resamples=RESAMPLES, seed=seed + zlib.crc32(rows[0]["category"].encode()),
    )  # fmt: skip
    return seen, drawn


def sweep_run(
    number: int, overrides: dict[str, str], *, skills: dict[str, float], seed: int = 0, images: str = "test"
) -> SweepRun:
    """A finished run that finds each category's defects as well as its skill says."""
    rows = {name: rows_of(name, skill=skill, noise=number, images=images) for name, skill in skills.items()}
    found = {name: measured(each, seed=seed) for name, each in rows.items()}
    test = {name: seen for name, (seen, _) in found.items()}
    run = RunFolder(Path())
    run.metrics = {"test": {**test, "mean": mean_row(test)}, "val": {}}
    run.config = {"seed": seed}
    run.rows = [row for each in rows.values() for row in each]
    run._draws = {name: drawn for name, (_, drawn) in found.items()}
    return SweepRun(str(number), overrides, run)


def leave_run(sweep: Path, number: int, *overrides: str, skills: dict[str, float], seed: int = 0) -> None:
    """The same as a sweep's run leaves it."""
    folder = RunFolder(sweep / str(number))
    noted = {"command": ["python", "sweep.py", *overrides], "wall_seconds": 2.0, "peak_memory_bytes": 1e9}
    folder.open(config={"seed": seed}, environment=noted)
    folder.metrics["val"] = {name: {"model/bytes": 1e6 * (number + 1)} for name in skills}
    for name, skill in skills.items():
        rows = rows_of(name, skill=skill, noise=number)
        seen, drawn = measured(rows, seed=seed)
        folder.add(name, results=seen, rows=rows, pictures=[], defects={}, drawn=drawn)
    (folder.path / "report.html").touch()


def leave_failure(sweep: Path, number: int, *overrides: str, error: str = "no such thing") -> None:
    """A run that ended in an error."""
    note = {"job": number, "overrides": list(overrides), "error": error}
    write_json(sweep / "failed" / f"{number}.json", note)


def leave_latency(sweep: Path, number: int, milliseconds: float, *, load: float = 0.5) -> None:
    """What a run that measured its latency has in its books besides."""
    file = sweep / str(number) / "metrics.json"
    books = yaml.safe_load(file.read_text())
    for facts in books["val"].values():
        facts |= {"latency/p50_ms": milliseconds, "latency/p95_ms": 2 * milliseconds, "latency/threads": 1}
        facts["latency/load_per_core"] = load

    write_json(file, books)
