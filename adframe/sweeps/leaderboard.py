"""The end of a sweep: one table over its runs, what varied, the numbers, the folders."""

from __future__ import annotations

import json
import shlex
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console

from adframe.analysis.studies.sweep_runs import SweepStudy
from adframe.config import attempts
from adframe.config.messages import is_mendable, one_line
from adframe.errors import AdframeError
from adframe.reporting.console import print_wide
from adframe.reporting.leaderboard_page import for_people, write_sweep
from adframe.results.names import MEAN
from adframe.results.sweep_folder import MEMORY, METRICS, MODEL, SECONDS, Entry, Sweep, ranked
from adframe.sweeps.launcher import made
from adframe.sweeps.optuna_search import BOOK as SEARCH
from adframe.sweeps.optuna_search import PREFIX, validation
from adframe.sweeps.state import is_finished, told_overrides, typed_command

WORDS = {
    "True": "true",
    "False": "false",
    "None": "null",
}  # as Hydra writes swept values: as people type them
ADVICE = "best image AUROC of test images first; to choose a setting by it is to choose on test data"


class Leaderboard(Callback):
    """Hydra calls it when all jobs of a sweep are done."""

    def on_multirun_end(self, config: DictConfig, config_name: str | None = None) -> None:  # type: ignore[override]
        """Writes `leaderboard.csv`, `.md` and `.html`, best run first, and prints the table."""
        del config_name
        folder = Path(config.hydra.sweep.dir)
        failed = attempts.failed_jobs(folder)
        sweep = read_sweep(folder)
        page = write_sweep(sweep)
        print_wide(for_people(sweep, intervals=False), rest="leaderboard.csv")
        order = f"{sweep.objective}, of validation images" if sweep.objective else ADVICE
        Console(soft_wrap=True, highlight=False, markup=False).print(
            (f"order: {order}\n" if len(sweep.entries) - len(failed) > 1 else "")
            + f"runs:  {folder}/<run>\ntable: {folder / 'leaderboard.csv'}\npage:  {page}"
        )
        for note in failed:
            Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(
                f"run {note['job']} failed: {note['error']}"
            )
        if failed:
            attempts.kept.append(
                AdframeError(f"{len(failed)} of {len(sweep.entries)} runs failed; see above")
            )
        _show(sweep, config)
        _study(sweep, config)


def read_sweep(folder: Path) -> Sweep:
    """What a sweep's runs have left, the best first, what failed last."""
    failed = attempts.failed_jobs(folder)
    lost = {str(note["job"]) for note in failed}
    runs = [path.parent for path in folder.glob("*/metrics.json")]
    runs = [run for run in runs if is_finished(run) and run.name not in lost]
    runs.sort(key=lambda run: (len(run.name), run.name))  # 2 before 10
    search = folder / SEARCH
    asked = json.loads(search.read_text()) if search.is_file() else {"metric": None, "direction": "maximize"}
    done = [_done(run, objective=asked["metric"]) for run in runs]
    others = [
        Entry(str(note["job"]), _typed(note["overrides"]), error=note["error"], folder=_begun(folder, note))
        for note in failed
    ]
    return ranked(
        Sweep(
            folder,
            (*done, *others),
            command=shlex.join(typed_command(folder)),
            objective=asked["metric"],
            minimise=asked["direction"] == "minimize",
        )
    )


def _done(run: Path, *, objective: str | None) -> Entry:
    books = json.loads((run / "metrics.json").read_text())
    noted = json.loads((run / "environment.json").read_text())
    sizes = [facts[MODEL] for facts in books["val"].values() if MODEL in facts]
    means, spans = books["test"][MEAN], books.get("intervals", {}).get("test", {}).get(MEAN, {})
    return Entry(
        run=run.name,
        told=_typed(told_overrides(noted["command"])),
        folder=str(run),
        costs={
            SECONDS: noted["wall_seconds"],
            MODEL: sum(sizes) / len(sizes) if sizes else None,  # of one category's model, on average
            MEMORY: noted.get(MEMORY),
        },
        objective=validation(run).get(objective.removeprefix(PREFIX)) if objective else None,
        metrics={name: means[name] for name in METRICS if name in means},
        intervals={name: (spans[name][0], spans[name][1]) for name in METRICS if _known(spans.get(name))},
    )


def _known(ends: Any) -> bool:
    return isinstance(ends, list) and len(ends) == 2 and None not in ends


def _begun(folder: Path, note: dict[str, Any]) -> str | None:
    run = folder / str(note["job"])
    return str(run) if (run / "metrics.json").is_file() else None


def _typed(arguments: Sequence[str]) -> dict[str, str]:
    """Overrides as they were typed, by key."""
    pairs = dict(text.lstrip("+").partition("=")[::2] for text in arguments if "=" in text)
    return {key: WORDS.get(value, value) for key, value in pairs.items()}


def _study(sweep: Sweep, config: DictConfig) -> None:
    """The study's page; where it cannot be made, the table and the runs stay, and the command fails."""
    try:
        study: SweepStudy | None = made(config, "study")
        page = study.write(sweep) if study else None
    except Exception as error:
        if not is_mendable(error):
            traceback.print_exception(error)
        attempts.kept.append(AdframeError(f"no page of the study: {one_line(error)}"))
        return
    if page is not None:
        write_sweep(sweep)  # once more: it links to the study's page where there is one
        Console(soft_wrap=True, highlight=False, markup=False).print(f"study: {page}")


def _show(sweep: Sweep, config: DictConfig) -> None:
    """The table in Weights & Biases, beside the runs."""
    logger = config.get("logger")
    if logger is not None and logger.kind == "wandb":
        from adframe.runs.loggers import show_sweep

        try:
            show_sweep(sweep, logger)
        except AdframeError as error:  # the runs and the files are there
            attempts.kept.append(error)
