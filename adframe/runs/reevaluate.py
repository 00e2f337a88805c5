"""Tests a finished run again from its checkpoints, and says whether the numbers are the same."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adframe.data.validate_files import fingerprint
from adframe.errors import AdframeError, unknown
from adframe.io.files import timestamped_folder
from adframe.reporting.console import warn
from adframe.results.names import MEAN
from adframe.results.run_folder import RunFolder
from adframe.results.validation_scores import copy_scores
from adframe.runs.finish import finish
from adframe.runs.provenance import environment
from adframe.runs.recipe import Recipe
from adframe.runs.test import load_system, measure


def reevaluate(recipe: Recipe, run: RunFolder, categories: Sequence[str]) -> RunFolder:
    """Loads each checkpoint of a run, tests it, and writes `<run>/evaluations/<time>/`.

    Args:
        recipe: made of the run's own configuration, with another shift or another place of the data.
        run: the run, reopened.
        categories: those to test, all finished.

    Returns:
        The folder of the evaluation, with its report written.

    Raises:
        AdframeError: a checkpoint or an image cannot be read.
    """
    units = {category: "global" if recipe.pooled else category for category in categories}
    _check_books(run, list(dict.fromkeys(units.values())), choices=list(recipe.choices))
    start = time.perf_counter()
    source = recipe.source()
    folder = RunFolder(timestamped_folder(run.path / "evaluations"))
    pools = {category: recipe.data(source, [category]) for category in categories}
    prints = {}
    for category, data in pools.items():
        data.setup()
        for line in data.warnings:
            warn(line)
        prints[category] = fingerprint(data.records, root=Path(source.root))
        if not (checkpoint := run.checkpoint(units[category])).exists():
            raise AdframeError(f"checkpoint {checkpoint} is not there; was the run finished?")
    noted = environment(seed=recipe.seed, fingerprints=prints, command=recipe.command)
    noted["warnings"] = [line for data in pools.values() for line in data.warnings]
    try:
        folder.open(config=recipe.config, environment=noted | recipe.choices)
        copy_scores(run.path, to=folder.path)
        system, loaded = None, ""
        for category, data in pools.items():
            unit = units[category]
            if system is None or unit != loaded:
                system, loaded = load_system(recipe, source, run.checkpoint(unit)), unit
            folder.metrics["val"][unit] = run.metrics["val"][unit]
            measure(recipe, folder, system, data, category=category, tracker=None)
    except BaseException:
        folder.discard()
        raise
    finish(folder, seconds=time.perf_counter() - start)
    return folder


def compared(before: dict[str, Any], after: dict[str, Any]) -> str:
    """One line: whether the numbers of an evaluation are the run's own."""
    names = [name for name in after if name in before and name != MEAN]
    pairs = [(before[c].get(m), after[c][m]) for c in names for m in after[c]]
    different = [(a, b) for a, b in pairs if a != b and not (a is None and b != b)]
    if not different:
        return f"all {len(pairs)} numbers equal the run's to the last digit"
    largest = max(abs(a - b) if None not in (a, b) else float("nan") for a, b in different)
    return f"{len(different)} of {len(pairs)} numbers differ from the run's, by {largest:.2g} at most"


def finished_categories(run: RunFolder, wanted: str | Sequence[str] | None) -> list[str]:
    """The categories that are asked for.

    Args:
        run: the run, reopened.
        wanted: a name, names, or `all` or None for all finished ones.

    Raises:
        AdframeError: the run has not finished one of them, or none at all.
    """
    if not run.done:
        raise AdframeError(
            f"{run.path} has no finished category; go on with: python train.py resume={run.path}"
        )
    names = (
        run.done if wanted in (None, "all") else [wanted] if isinstance(wanted, str) else list(wanted or ())
    )
    for name in names:
        if name not in run.done:
            raise AdframeError(unknown("category", name, run.done, where=f"in {run.path}"))
    return names


def _check_books(run: RunFolder, units: Sequence[str], *, choices: Sequence[str]) -> None:
    """Raises AdframeError where a file lacks what an evaluation copies from it."""
    books = (("environment.json", run.environment, choices), ("metrics.json", run.metrics["val"], units))
    for name, book, needed in books:
        if lacking := [key for key in needed if key not in book]:
            raise AdframeError(
                f"{run.path / name} lacks {', '.join(lacking)}; the run is damaged, start it again"
            )
