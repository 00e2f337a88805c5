"""A search for the best settings by Optuna, guided by a number of validation images.

Hydra's plugin for it wants Optuna below 3. Test images are never asked: only `metrics.json`'s part
on validation is read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from adframe.errors import AdframeError, unknown
from adframe.io.files import write_json
from adframe.results.run_folder import RunFolder
from adframe.results.sweep_folder import OBJECTIVE_PREFIX, SEARCH_FILE, is_finished, validation_means
from adframe.sweeps.launcher import needed

if TYPE_CHECKING:
    from adframe.sweeps.sweeper import Sweeper

SAMPLERS = ("tpe", "random")
DIRECTIONS = ("maximize", "minimize")


class Optuna:
    """Asks Optuna for settings, runs them, tells what came of them.

    Args:
        metric: `val/<name>`, a number of `metrics.json`'s validation part; mean over its categories.
        direction: `maximize` or `minimize`.
        trials: jobs in all.
        parallel: asked for at a time; None: as many as the launcher runs at a time.
        sampler: `tpe`, or `random`.
        seed: of the sampler; with the same results it asks for the same settings.
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
                f"search.metric={metric} is none of validation's; a search may only look at validation "
                "images, or what it finds is chosen on test data: val/image/auroc, val/learning/val/total"
            )
        for key, value, known in (
            ("direction", direction, DIRECTIONS),
            ("sampler", sampler, SAMPLERS),
        ):
            if value not in known:
                raise AdframeError(unknown(f"search.{key}", value, known))
        for key, count in (("trials", trials), ("parallel", 1 if parallel is None else parallel)):
            if not isinstance(count, int) or count < 1:
                raise AdframeError(f"search.{key}={count} is not possible; it must be a whole number above 0")
        self.metric, self.direction, self.trials = metric, direction, trials
        self.parallel, self.sampler, self.seed = parallel, sampler, seed

    def check(self) -> None:
        """Optuna has to be there."""
        needed("optuna", group="search", option="optuna", extra="search")

    def search(self, sweeper: Sweeper, overrides: Sequence[Override], *, folder: Path) -> None:
        """Runs the trials, so many at a time; a job that failed is a trial that failed.

        A search that goes on asks the same again and is answered by the runs that are there.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        kinds = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
        study = optuna.create_study(
            direction=optuna.study.StudyDirection[self.direction.upper()],
            sampler=kinds[self.sampler](seed=self.seed),
        )
        fixed = [_text(one) for one in overrides if not one.is_sweep_override()]
        space = {one.get_key_element(): _distribution(one) for one in overrides if one.is_sweep_override()}
        if not space:
            raise AdframeError(
                "search=optuna is told nothing to search; name it: coreset='interval(0.01,0.5)'"
            )
        values: list[float | None] = []
        while len(values) < self.trials:
            left = self.trials - len(values)
            count = min(left, self.parallel or sweeper.at_once(left))
            asked = [study.ask(space) for _ in range(count)]
            batch = [
                [*fixed, *(f"{key}={_short(value)}" for key, value in one.params.items())] for one in asked
            ]
            sweeper.try_out(batch, first=len(values))
            for trial in asked:
                value = self._value(folder / str(len(values)))
                state = optuna.trial.TrialState.FAIL if value is None else None
                study.tell(trial, value, state=state)
                values.append(value)
            self._note(folder, values)
            if all(value is None for value in values):
                self._refuse_what_is_not_there(folder)

    def _value(self, run: Path) -> float | None:
        """What a run says of its validation images; None where it failed or does not say."""
        if not is_finished(run):
            return None
        found = validation_means(RunFolder.read(run)).get(self.metric.removeprefix(OBJECTIVE_PREFIX))
        return found if found is not None and math.isfinite(found) else None

    def _note(self, folder: Path, values: Sequence[float | None]) -> None:
        known = [value for value in values if value is not None]
        best = (max if self.direction == "maximize" else min)(known) if known else None
        entry = {"metric": self.metric, "direction": self.direction, "values": list(values)}
        number = values.index(best) if best is not None else None
        write_json(folder / SEARCH_FILE, entry | {"best": number})

    def _refuse_what_is_not_there(self, folder: Path) -> None:
        """Better now than after all trials; where every run failed, the table says why."""
        for run in filter(is_finished, folder.iterdir()):
            known = ", ".join(f"{OBJECTIVE_PREFIX}{name}" for name in validation_means(RunFolder.read(run)))
            raise AdframeError(
                f"search.metric={self.metric} is not known: validation says {known}. It has an AUROC where "
                "it holds anomalies, as with split=mvtec_shift_protocol"
            )


def _short(value: Any) -> str:
    """As much of a number as anybody would type."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _text(override: Override) -> str:
    return f"{override.get_key_element()}={override.get_value_element_as_str()}"


def _distribution(override: Override) -> Any:
    """What may be asked for: an interval of numbers, or one of some values."""
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
