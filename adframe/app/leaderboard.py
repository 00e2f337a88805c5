"""The end of a sweep: one table over its runs, what varied, the numbers, the folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console

from adframe.app import jobs
from adframe.app.console import print_wide
from adframe.app.folder import MEAN
from adframe.contracts import AdframeError
from adframe.ops.files import write_whole
from adframe.reports.tables import table_of

HEADLINE = (
    "image/auroc", "logical/image/auroc", "structural/image/auroc", "image/ap", "image/f1_max",
    "pixel/auspro_0.05", "pixel/auroc", "pixel/aupro_0.3"
)  # fmt: skip
Row = dict[str, Any]


class Leaderboard(Callback):
    """Hydra calls it when all jobs of a sweep are done."""

    def on_multirun_end(self, config: DictConfig, config_name: str | None = None) -> None:  # type: ignore[override]
        """Writes `leaderboard.csv` and `leaderboard.md`, best run first, and prints the table."""
        del config_name
        folder = Path(config.hydra.sweep.dir)
        failed = jobs.failed_jobs(folder)
        runs = [path for path in sorted(folder.iterdir()) if (path / "metrics.json").is_file()]
        rows = _rows(runs, failed)
        write_whole(folder / "leaderboard.csv", table_of(rows).to_csv())
        write_whole(folder / "leaderboard.md", table_of(rows).to_markdown())
        print_wide(table_of([_short(row) for row in rows]), rest="leaderboard.csv")
        Console(soft_wrap=True, highlight=False).print(
            f"runs:  {folder}/<run>\ntable: {folder / 'leaderboard.csv'}"
        )
        for note in failed:
            Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(
                f"run {note['job']} failed: {note['error']}"
            )
        if failed:
            jobs.kept.append(AdframeError(f"{len(failed)} of {len(rows)} runs failed; see above"))


def _rows(runs: Sequence[Path], failed: Sequence[Row]) -> list[Row]:
    """What varies, then the numbers; the best first, what failed last."""
    done = sorted((_done(path) for path in runs), key=_rank)
    lost = [
        {"typed": _typed(note["overrides"]), "run": str(note["job"]), "error": note["error"]}
        for note in failed
    ]
    rows = [*done, *lost]
    keys = dict.fromkeys(key for row in rows for key in row["typed"])
    varied = [key for key in keys if len({row["typed"].get(key) for row in rows}) > 1]
    return [
        {key: row["typed"].get(key) for key in varied} | {k: v for k, v in row.items() if k != "typed"}
        for row in rows
    ]


def _done(run: Path) -> Row:
    metrics = json.loads((run / "metrics.json").read_text())["test"][MEAN]
    noted = json.loads((run / "environment.json").read_text())
    return {
        "typed": _typed(noted["command"]),
        "run": run.name,
        **{name: metrics[name] for name in HEADLINE if name in metrics},
        "seconds": noted["wall_seconds"],
        "folder": str(run),
    }


def _typed(arguments: Sequence[str]) -> dict[str, str]:
    """Overrides as they were typed, by key."""
    return dict(text.lstrip("+").partition("=")[::2] for text in arguments if "=" in text)


def _short(row: Row) -> Row:
    """A row for the terminal, where a long path would push the numbers out."""
    seconds = "failed" if "error" in row else str(round(row["seconds"]))
    return {key: value for key, value in row.items() if key not in ("folder", "error")} | {"seconds": seconds}


def _rank(row: Row) -> float:
    value = row.get("image/auroc")
    return float("inf") if value is None else -value
