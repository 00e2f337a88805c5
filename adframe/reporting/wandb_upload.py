"""Uploads a finished run or a sweep to Weights & Biases; everything is read from the run's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import wandb

from adframe.metrics.curve_points import pr_points, roc_points
from adframe.reporting.run_facts import run_verdict
from adframe.reporting.run_pictures import run_pictures
from adframe.reporting.tables import Table
from adframe.results.predictions import read_predictions
from adframe.results.run_folder import RunFolder

POINTS = 200  # per curve, about as many as a dashboard draws


def flat_metrics(run: Path) -> dict[str, float]:
    """Reads `metrics.json` under flat names.

    Args:
        run: the run's folder.

    Returns:
        Name such as `test/mean/image/auroc` -> value; unknown values are left out.
    """
    metrics = json.loads((run / "metrics.json").read_text())
    return {
        f"{split}/{category}/{name}": value
        for split in ("test", "val")  # the file also has intervals and defect types
        for category, row in metrics.get(split, {}).items()
        for name, value in row.items()
        if value is not None
    }


def show_run(board: Any, run: Path) -> None:
    """Shows a finished run: numbers in the summary; curves, histograms, heatmaps and the table of metrics.

    Args:
        board: an open `wandb.Run`.
        run: the folder of a finished run.
    """
    environment = json.loads((run / "environment.json").read_text())
    costs = {f"cost/{k}": environment[k] for k in ("wall_seconds", "peak_memory_bytes") if k in environment}
    # One number per run belongs to the summary; logged, each would be a chart with one point.
    headline = {"headline": run_verdict(RunFolder.read(run))}
    board.summary.update(flat_metrics(run) | costs | headline)
    board.config.update({"environment": environment}, allow_val_change=True)
    rows = read_predictions(run / "predictions.parquet")
    for category in dict.fromkeys(row["category"] for row in rows):
        board.log(_curve_charts([row for row in rows if row["category"] == category], category))
    pictures = {
        name: [wandb.Image(str(file), caption=caption) for file, caption in files]
        for name, files in run_pictures(run).items()
    }
    board.log({"metrics": _metrics_table(run)} | pictures)


def show_table(board: Any, table: Table) -> None:
    """Logs the table of a sweep with full names and unrounded numbers.

    Args:
        board: an open `wandb.Run`.
        table: the runs of the sweep.
    """
    rows: list[Any] = [list(row) for row in table.rows]
    board.log({"leaderboard": wandb.Table(columns=[column.key for column in table.columns], data=rows)})


def _curve_charts(rows: list[dict[str, Any]], category: str) -> dict[str, Any]:
    scores, labels = [row["score"] for row in rows], [row["label"] for row in rows]
    shown: dict[str, Any] = {}
    for name, curve, axes in (
        ("roc", roc_points(scores, labels), ("false positive rate", "true positive rate")),
        ("pr", pr_points(scores, labels), ("recall", "precision")),
    ):
        if curve is not None:
            step = max(1, len(curve.x) // POINTS)
            points = [*zip(curve.x[::step], curve.y[::step], strict=True), (curve.x[-1], curve.y[-1])]
            table = wandb.Table(columns=list(axes), data=[[float(x), float(y)] for x, y in points])
            shown[f"curves/{category}/{name}"] = wandb.plot.line(
                table, *axes, title=f"{category}: {name.upper()}"
            )
    kinds = {0: "normal", 1: "anomalous", None: "unlabelled"}
    table = wandb.Table(
        columns=["score", "kind"], data=[[s, kinds[y]] for s, y in zip(scores, labels, strict=True)]
    )
    shown[f"scores/{category}/histogram"] = wandb.plot.histogram(table, "score", title=f"{category}: scores")
    return shown


def _metrics_table(run: Path) -> Any:
    rows = json.loads((run / "metrics.json").read_text())["test"]
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    data: list[Any] = [[category, *(row.get(name) for name in columns)] for category, row in rows.items()]
    return wandb.Table(columns=["category", *columns], data=data)
