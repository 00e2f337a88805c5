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
SIZE = "model/bytes"
WORDS = {
    "True": "true",
    "False": "false",
    "None": "null",
}  # as Hydra writes swept values: as people type them
ADVICE = "best image AUROC of test images first; to choose a setting by it is to choose on test data"
Row = dict[str, Any]


class Leaderboard(Callback):
    """Hydra calls it when all jobs of a sweep are done."""

    def on_multirun_end(self, config: DictConfig, config_name: str | None = None) -> None:  # type: ignore[override]
        """Writes `leaderboard.csv` and `leaderboard.md`, best run first, and prints the table."""
        del config_name
        folder = Path(config.hydra.sweep.dir)
        failed = jobs.failed_jobs(folder)
        runs = [path.parent for path in folder.glob("*/metrics.json")]
        runs.sort(key=lambda run: (len(run.name), run.name))  # 2 before 10
        rows = _rows(runs, failed)
        write_whole(folder / "leaderboard.csv", table_of(rows).to_csv())
        write_whole(folder / "leaderboard.md", table_of(rows).to_markdown())
        print_wide(table_of(_short(rows)), rest="leaderboard.csv")
        order = f"order: {ADVICE}\n" if len(runs) > 1 else ""
        Console(soft_wrap=True, highlight=False).print(
            f"{order}runs:  {folder}/<run>\ntable: {folder / 'leaderboard.csv'}"
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
    books = json.loads((run / "metrics.json").read_text())
    noted = json.loads((run / "environment.json").read_text())
    sizes = [facts[SIZE] for facts in books["val"].values() if SIZE in facts]
    metrics = books["test"][MEAN]
    return {
        "typed": _typed(noted["command"]),
        "run": run.name,
        "seconds": noted["wall_seconds"],
        SIZE: sum(sizes) / len(sizes) if sizes else None,  # of one category's model, on average
        **{name: metrics[name] for name in HEADLINE if name in metrics},
        "folder": str(run),
    }


def _typed(arguments: Sequence[str]) -> dict[str, str]:
    """Overrides as they were typed, by key."""
    pairs = dict(text.lstrip("+").partition("=")[::2] for text in arguments if "=" in text)
    return {key: WORDS.get(value, value) for key, value in pairs.items()}


def _short(rows: Sequence[Row]) -> list[Row]:
    """Rows for the terminal, where long names and paths would push the numbers out."""
    keys = dict.fromkeys(key for row in rows for key in row if key not in ("folder", "error"))
    titles = {key: _title(key, list(keys)) for key in keys}
    return [{titles[key]: _cell(row, key) for key in keys} for row in rows]


def _title(key: str, keys: Sequence[str]) -> str:
    """`model.top_share` is `top_share`, unless another key would be called the same."""
    if key == SIZE:
        return "model MB"
    last = key.rpartition(".")[2]
    alike = [other for other in keys if other.rpartition(".")[2] == last]
    return key if "/" in key or len(alike) > 1 else last


def _cell(row: Row, key: str) -> Any:
    value = row.get(key)
    if key == "seconds":
        return "failed" if "error" in row else str(round(row["seconds"]))
    return f"{value / 1e6:.3g}" if key == SIZE and value is not None else value


def _rank(row: Row) -> float:
    value = row.get("image/auroc")
    return float("inf") if value is None else -value
