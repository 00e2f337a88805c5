"""The end of a sweep: one table over its runs, what varied, the numbers, the folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console

from adframe.app.console import failures, print_wide
from adframe.app.folder import MEAN
from adframe.reports.files import write_whole
from adframe.reports.tables import table_of

HEADLINE = ("image/auroc", "image/ap", "image/f1_max", "pixel/auroc", "pixel/aupro_0.3", "pixel/auspro_0.05")


class Leaderboard(Callback):
    """Hydra calls it when a sweep begins to run jobs and when all are done."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Writes `leaderboard.csv` and `leaderboard.md`, best run first, and prints the table."""
        folder = Path(config.hydra.sweep.dir)
        rows = sorted((_row(run) for run in sorted(folder.iterdir()) if _is_run(run)), key=_rank)
        for text in failures():
            Console(stderr=True, soft_wrap=True, markup=False).print(f"a run failed: {text}")
        if not rows:
            return
        write_whole(folder / "leaderboard.csv", table_of(rows).to_csv())
        write_whole(folder / "leaderboard.md", table_of(rows).to_markdown())
        short = [
            {**row, "seconds": round(row["seconds"]), "folder": Path(row["folder"]).name} for row in rows
        ]
        print_wide(table_of(short).to_rich())
        print(f"folders: {folder}/<folder>\ntable:   {folder / 'leaderboard.csv'}")


def _is_run(run: Path) -> bool:
    return (run / "metrics.json").is_file()


def _row(run: Path) -> dict[str, Any]:
    metrics = json.loads((run / "metrics.json").read_text())["test"][MEAN]
    noted = json.loads((run / "environment.json").read_text())
    varied = dict(text.lstrip("+").partition("=")[::2] for text in noted["command"] if "=" in text)
    config = yaml.safe_load((run / "config.yaml").read_text())
    return {
        **{key: config.get(key, value) for key, value in varied.items()},
        **{name: metrics[name] for name in HEADLINE if name in metrics},
        "seconds": noted["wall_seconds"],
        "folder": str(run),
    }


def _rank(row: dict[str, Any]) -> float:
    value = row.get("image/auroc")
    return float("inf") if value is None else -value
