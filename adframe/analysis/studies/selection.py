"""Chooses one setting of a sweep by synthetic anomalies on validation images, without a real defect."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from adframe.analysis.studies.ablation import Ablation
from adframe.analysis.studies.ablation_results import AblationResults
from adframe.analysis.studies.ablation_tables import settings_title
from adframe.reporting.document import Page, Section, TableBlock
from adframe.reporting.format import hundredths, percent, title_of, with_interval
from adframe.reporting.tables import Cell, Column, table_of, table_of_columns

_PREFIX = "synthetic/"
_TEST_NOTE = (
    "The choice uses validation images only. The test metrics show how good it was; they took no part in it."
)


class Selection(Ablation):
    """The study of a sweep whose runs measured synthetic anomalies (`synthesis=`, `refit=false`).

    For each category it chooses the setting with the highest mean of the criteria. The criteria are measured
    on held-out normal images with and without synthetic anomalies, so that neither a test image nor a real
    defect takes part.

    Args:
        metrics: the metrics of the test to report, if the runs have them.
        criteria: the metrics on synthetic anomalies whose mean decides.
        question: the question that the sweep asks; None for one that names the keys that were varied.

    Example:
        >>> from pathlib import Path
        >>> from adframe.results.sweep_folder import read_sweep
        >>> study = Selection(criteria=["image/auroc", "pixel/aupro_0.3"])
        >>> study.write(read_sweep(Path("multirun/tiling")))  # doctest: +SKIP
        PosixPath('multirun/tiling/study.html')
    """

    def __init__(
        self,
        *,
        metrics: Sequence[str] = ("image/auroc", "pixel/aupro_0.3"),
        criteria: Sequence[str] = ("image/auroc", "pixel/aupro_0.3"),
        question: str | None = None,
    ) -> None:
        super().__init__(metrics=metrics, question=question)
        self.criteria = list(criteria)

    def study(self, results: AblationResults) -> Page:
        """Builds the page: that of an ablation, with the choice before its results.

        Args:
            results: the results of the sweep.

        Returns:
            The page; without a choice where no run measured synthetic anomalies.
        """
        plain = super().study(results)
        found = {
            category: values
            for category in results.categories
            if (values := self._criteria_of(results, category))
        }
        if not found:
            missing = "No run measured synthetic anomalies: set synthesis=any_size and refit=false."
            return replace(plain, notes=[missing, *plain.notes])
        chosen = {category: _best(values) for category, values in found.items()}
        return replace(
            plain,
            title=_title({category: _override(results, name) for category, name in chosen.items()}),
            findings=[*(self._sentence(results, *each) for each in chosen.items()), *plain.findings],
            sections=[
                Section("Choice without a real defect", (self._table(results, found, chosen),)),
                *plain.sections,
            ],
            notes=[_TEST_NOTE, *plain.notes],
        )

    def _criteria_of(self, results: AblationResults, category: str) -> dict[str, dict[str, float]]:
        """Returns criterion -> value by setting, for the settings whose runs all measured every criterion."""
        found = {}
        for setting in results.settings:
            facts = [test.folder.facts_of(category) for test in setting.tests[category]]
            values = {
                name: sum(each.get(_PREFIX + name) or math.nan for each in facts) / len(facts)
                for name in self.criteria
            }
            if all(math.isfinite(value) for value in values.values()):
                found[setting.name] = values
        return found

    def _sentence(self, results: AblationResults, category: str, chosen: str) -> str:
        metric = results.main_metric
        known = {
            each.name: value
            for each in results.settings
            if (value := results.estimate(each, category, metric)).known
        }
        override = _override(results, chosen)
        text = f"{category}: {override} has the highest {self._criterion} on synthetic anomalies."
        if chosen not in known:
            return text
        best = max(known, key=lambda name: known[name].value)
        return (
            f"{text} On test images its {title_of(metric)} is {percent(known[chosen].value)}; the highest of "
            f"all settings is {percent(known[best].value)} ({_override(results, best)})."
        )

    @property
    def _criterion(self) -> str:
        names = " and ".join(title_of(name) for name in self.criteria)
        return f"mean of {names}" if len(self.criteria) > 1 else names

    def _table(
        self,
        results: AblationResults,
        found: Mapping[str, Mapping[str, Mapping[str, float]]],
        chosen: Mapping[str, str],
    ) -> TableBlock:
        tested = [name for name in results.compared if results.means(name)]
        columns = (
            Column("category", "Category"),
            Column("setting", settings_title(results)),
            *(Column(_PREFIX + name, f"Synthetic {title_of(name)}") for name in self.criteria),
            Column("criterion", "Mean"),
            Column("chosen", "Chosen"),
            *(Column(name, f"Test {title_of(name)}") for name in tested),
        )
        rows: list[Mapping[str, Any]] = []
        raw: list[Mapping[str, Cell]] = []
        for category, by_setting in found.items():
            for setting in results.settings:
                if setting.name not in by_setting:
                    continue
                values = by_setting[setting.name]
                estimates = {name: results.estimate(setting, category, name) for name in tested}
                is_chosen = setting.name == chosen[category]
                own = {_PREFIX + name: value for name, value in values.items()}
                own["criterion"] = _mean(values)
                rows.append(
                    {
                        "category": category,
                        "setting": setting.name,
                        **{name: hundredths(value) for name, value in own.items()},
                        "chosen": "yes" if is_chosen else None,
                        **{name: with_interval(each) for name, each in estimates.items()},
                    }
                )
                raw.append(
                    {
                        **setting.overrides,
                        "category": category,
                        "setting": setting.name,
                        **own,
                        "chosen": int(is_chosen),
                        **{name: each.value for name, each in estimates.items()},
                    }
                )
        caption = (
            "In per cent. Synthetic: on held-out normal images with and without synthetic anomalies. "
            "Test: with 95% intervals."
        )
        return TableBlock("selection", caption, table_of_columns(columns, rows), raw=table_of(raw))


def _override(results: AblationResults, name: str) -> str:
    """Returns a setting as a user types it, such as `tiling=features`."""
    setting = next(each for each in results.settings if each.name == name)
    pairs = zip(results.key_names, setting.overrides.values(), strict=True)
    return " ".join(f"{key}={value}" for key, value in pairs)


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values)


def _best(by_setting: Mapping[str, Mapping[str, float]]) -> str:
    return max(by_setting, key=lambda name: _mean(by_setting[name]))


def _title(chosen: Mapping[str, str]) -> str:
    settings = dict.fromkeys(chosen.values())
    if len(settings) == 1:
        return f"Synthetic anomalies choose {next(iter(settings))}"
    parts = (
        f"{setting} for {', '.join(name for name, own in chosen.items() if own == setting)}"
        for setting in settings
    )
    return f"Synthetic anomalies choose {'; '.join(parts)}"
