"""Tests a finished run again from its checkpoints, and compares the numbers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adframe.data.validate_files import fingerprint
from adframe.errors import AdframeError, unknown
from adframe.io.files import timestamped_folder
from adframe.io.program import command_of
from adframe.reporting.notes import warn
from adframe.results.names import MEAN
from adframe.results.run_folder import RunFolder
from adframe.results.validation_scores import copy_scores
from adframe.runs.finish import finish_evaluation
from adframe.runs.provenance import environment
from adframe.runs.recipe import Recipe
from adframe.runs.test import evaluate_category, load_system
from adframe.runs.validation_check import warn_of_unlike_validation


def reevaluate(recipe: Recipe, run: RunFolder, categories: Sequence[str]) -> RunFolder:
    """Loads each checkpoint of a run, tests it, and writes `<run>/evaluations/<time>/`.

    Args:
        recipe: built from the run's own configuration, with another shift or another place of the data.
        run: the run, reopened.
        categories: the categories to test, all finished.

    Returns:
        The folder of the evaluation, with its report written.

    Raises:
        AdframeError: a checkpoint, an image or a file of the run is missing or cannot be read.
    """
    units = {category: "global" if recipe.pooled else category for category in categories}
    _check_files(run, list(dict.fromkeys(units.values())), choices=list(recipe.choices))
    start = time.perf_counter()
    source = recipe.source()
    folder = RunFolder(timestamped_folder(run.path / "evaluations"))
    data_of = {category: recipe.data(source, [category]) for category in categories}
    fingerprints = {}
    for category, data in data_of.items():
        data.setup()
        for line in data.warnings:
            warn(line)
        fingerprints[category] = fingerprint(data.records, root=Path(source.root))
        if not (checkpoint := run.checkpoint(units[category])).exists():
            raise AdframeError(f"checkpoint {checkpoint} is not there; was the run finished?")
    facts = environment(seed=recipe.seed, fingerprints=fingerprints, command=recipe.command)
    facts["warnings"] = [line for data in data_of.values() for line in data.warnings]
    try:
        folder.open(config=recipe.config, environment=facts | recipe.choices)
        copy_scores(run.path, to=folder.path)
        with recipe.tracker(folder.path, job="evaluate") as tracker:
            system, loaded = None, ""
            for category, data in data_of.items():
                unit = units[category]
                # The categories of one model follow each other, so that each checkpoint is loaded once.
                if system is None or unit != loaded:
                    system, loaded = load_system(recipe, source, run.checkpoint(unit)), unit
                folder.metrics["val"][unit] = run.metrics["val"][unit]
                evaluate_category(recipe, folder, system, data, category=category, tracker=tracker)
            warn_of_unlike_validation(folder)
            finish_evaluation(folder, seconds=time.perf_counter() - start)
    except BaseException:
        folder.discard()
        raise
    return folder


def describe_differences(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Compares the numbers of an evaluation with those of the run.

    Args:
        before: category -> metric -> value, of the run.
        after: the same of the evaluation.

    Returns:
        One line: how many numbers differ, and by how much.

    Example:
        >>> describe_differences({"bolt": {"image/auroc": 0.9}}, {"bolt": {"image/auroc": 0.8}})
        "1 of 1 numbers differ from the run's, by up to 0.1"
    """
    names = [name for name in after if name in before and name != MEAN]
    pairs = [(before[c].get(m), after[c][m]) for c in names for m in after[c]]
    different = [(a, b) for a, b in pairs if a != b and not (a is None and b != b)]
    if not different:
        return f"all {len(pairs)} numbers equal the run's to the last digit"
    largest = max(abs(a - b) if None not in (a, b) else float("nan") for a, b in different)
    return f"{len(different)} of {len(pairs)} numbers differ from the run's, by up to {largest:.2g}"


def finished_categories(run: RunFolder, requested: str | Sequence[str] | None) -> list[str]:
    """Returns the requested categories of a run.

    Args:
        run: the run, reopened.
        requested: one or several names; `all` or None for every finished category.

    Returns:
        Names of finished categories.

    Raises:
        AdframeError: the run has not finished one of them, or none at all.
    """
    if not run.done:
        raise AdframeError(
            f"{run.path} has no finished category; go on with: {command_of('train')} resume={run.path}"
        )
    if requested is None or requested == "all":
        return run.done
    names = [requested] if isinstance(requested, str) else list(requested)
    for name in names:
        if name not in run.done:
            raise AdframeError(unknown("category", name, run.done, where=f"in {run.path}"))
    return names


def _check_files(run: RunFolder, units: Sequence[str], *, choices: Sequence[str]) -> None:
    """Checks that the run's files hold everything that an evaluation copies from them."""
    files = (("environment.json", run.environment, choices), ("metrics.json", run.metrics["val"], units))
    for name, content, required in files:
        if lacking := [key for key in required if key not in content]:
            raise AdframeError(
                f"{run.path / name} lacks {', '.join(lacking)}; the run is damaged, start it again"
            )
