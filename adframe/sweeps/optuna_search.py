"""Searches for the best settings with Optuna, guided by a number of validation images.

Hydra's plugin requires Optuna below version 3. Test images are never used: only the validation part of
`metrics.json` is read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from adframe.errors import AdframeError, unknown
from adframe.io.files import write_json
from adframe.io.packages import require_package
from adframe.results.run_folder import RunFolder
from adframe.results.sweep_folder import OBJECTIVE_PREFIX, SEARCH_FILE, is_finished, validation_means
from adframe.sweeps.state import override_text

if TYPE_CHECKING:
    from adframe.sweeps.sweeper import Sweeper

_SAMPLERS = ("tpe", "random")
_DIRECTIONS = ("maximize", "minimize")


class Optuna:
    """Asks Optuna for settings, runs them, and reports the results to it.

    Args:
        metric: `val/<name>`, a number of the validation part of `metrics.json`, averaged over its models.
        direction: `maximize` or `minimize`.
        trials: total number of jobs.
        parallel: number of settings that are asked for at once; None for the number of jobs that the launcher
            runs at the same time.
        sampler: `tpe` or `random`.
        seed: of the sampler; with equal results it asks for equal settings.

    Raises:
        AdframeError: the metric is not one of validation images, or another value is impossible.

    Example:
        >>> Optuna(metric="val/image/auroc", trials=10).direction
        'maximize'
    """

    def __init__(
        self,
        *,
        metric: str,
        direction: str = "maximize",
        trials: int = 20,
        parallel: int | None = None,
        sampler: str = "tpe",
        seed: int = 42,
    ) -> None:
        if not metric.startswith(OBJECTIVE_PREFIX):
            raise AdframeError(
                f"search.metric={metric} is not a metric of validation images, and a search on test "
                "images would choose settings on test data; use val/image/auroc or val/learning/val/total"
            )
        for key, value, known in (
            ("direction", direction, _DIRECTIONS),
            ("sampler", sampler, _SAMPLERS),
        ):
            if value not in known:
                raise AdframeError(unknown(f"search.{key}", value, known))
        for key, count in (("trials", trials), ("parallel", 1 if parallel is None else parallel)):
            if not isinstance(count, int) or count < 1:
                raise AdframeError(f"search.{key}={count} is not possible; it must be a whole number above 0")
        self.metric, self.direction, self.trials = metric, direction, trials
        self.parallel, self.sampler, self.seed = parallel, sampler, seed

    def check(self) -> None:
        """Checks that Optuna is installed."""
        require_package("optuna", group="search", option="optuna", extra="search")

    def search(self, sweeper: Sweeper, overrides: Sequence[Override], *, folder: Path) -> None:
        """Runs the trials in batches; a job that failed is a failed trial.

        A resumed search asks for the same settings again, and takes the results of finished runs.

        Args:
            sweeper: runs the jobs.
            overrides: the typed overrides; those with several values or an interval are searched.
            folder: the folder of the sweep.

        Raises:
            AdframeError: nothing is searched, or no run has the metric.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        kinds = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
        study = optuna.create_study(
            direction=optuna.study.StudyDirection[self.direction.upper()],
            sampler=kinds[self.sampler](seed=self.seed),
        )
        fixed = [override_text(one) for one in overrides if not one.is_sweep_override()]
        space = {one.get_key_element(): _distribution(one) for one in overrides if one.is_sweep_override()}
        if not space:
            raise AdframeError(
                "search=optuna has nothing to search; give a range, such as coreset='interval(0.01,0.5)'"
            )
        values: list[float | None] = []
        while len(values) < self.trials:
            left = self.trials - len(values)
            count = min(left, self.parallel or sweeper.at_once(left))
            trials = [study.ask(space) for _ in range(count)]
            batch = [
                [*fixed, *(f"{key}={_number_text(value)}" for key, value in one.params.items())]
                for one in trials
            ]
            sweeper.try_out(batch, first=len(values))
            for trial in trials:
                value = self._objective_of(folder / str(len(values)))
                state = optuna.trial.TrialState.FAIL if value is None else None
                study.tell(trial, value, state=state)
                values.append(value)
            self._write_values(folder, values)
            if all(value is None for value in values):
                self._check_metric_exists(folder)

    def _objective_of(self, run: Path) -> float | None:
        """Returns the metric of a run; None where the run failed or lacks it."""
        if not is_finished(run):
            return None
        found = validation_means(RunFolder.read(run)).get(self.metric.removeprefix(OBJECTIVE_PREFIX))
        return found if found is not None and math.isfinite(found) else None

    def _write_values(self, folder: Path, values: Sequence[float | None]) -> None:
        known = [value for value in values if value is not None]
        best = (max if self.direction == "maximize" else min)(known) if known else None
        entry = {"metric": self.metric, "direction": self.direction, "values": list(values)}
        number = values.index(best) if best is not None else None
        write_json(folder / SEARCH_FILE, entry | {"best": number})

    def _check_metric_exists(self, folder: Path) -> None:
        """Raises an error if finished runs lack the metric; runs that failed show another error."""
        for run in filter(is_finished, folder.iterdir()):
            known = ", ".join(f"{OBJECTIVE_PREFIX}{name}" for name in validation_means(RunFolder.read(run)))
            raise AdframeError(
                f"search.metric={self.metric} is unknown; the runs have {known}. There is an AUROC only "
                "with anomalous validation images, as with split=mvtec_shift_protocol"
            )


def _number_text(value: Any) -> str:
    """Writes a number with up to five digits."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _distribution(override: Override) -> Any:
    """Returns the distribution of a searched override: an interval of numbers, or a choice of values."""
    from optuna import distributions

    found = override.value()
    if isinstance(found, IntervalSweep):
        low, high, log = found.start, found.end, "log" in found.tags
        assert low is not None
        assert high is not None
        if isinstance(low, int) and isinstance(high, int) and "float" not in found.tags:
            return distributions.IntDistribution(low, high, log=log)
        return distributions.FloatDistribution(float(low), float(high), log=log)
    steps = found.range() if isinstance(found, RangeSweep) else None
    if isinstance(steps, range) and steps.step > 0:
        return distributions.IntDistribution(steps[0], steps[-1], step=steps.step)
    return distributions.CategoricalDistribution(list(map(str, override.sweep_string_iterator())))
