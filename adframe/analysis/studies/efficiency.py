"""Writes the page on costs and quality: latency, throughput and memory of every setting, and image AUROC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from adframe.analysis.compare import find_comparison
from adframe.analysis.studies.ablation import Ablation
from adframe.analysis.studies.ablation_results import AblationResults
from adframe.analysis.studies.pareto import (
    P50,
    Costs,
    costs_of,
    efficiency_table,
    latency_curves,
    pareto_front,
    quality_over_cost,
)
from adframe.reporting.document import Block, Page, Section
from adframe.reporting.format import gain, p_equals, title_of
from adframe.results.names import MEAN
from adframe.results.run_folder import MODEL

_FACTS = {"latency/images": "images timed", "latency/batch_size": "batch size", "latency/threads": "threads"}
_LOAD = "latency/load_per_core"
_BUSY_LOAD = (
    1.5  # an idle machine is below: the fit of the run itself, which uses all cores, counts in its load
)
_MACHINE_NOTE = (
    "Latencies were measured on this machine, one run at a time (launcher=local); other work on the machine "
    "changes them. They are those of single images after a warm-up, without loading the image."
)


class Efficiency(Ablation):
    """The study of a sweep whose runs measured their latency (`callbacks.latency.images`).

    Args:
        metrics: the metrics to compare, if the runs have them; the first one is shown over the costs.
        question: the question that the sweep asks; None for the question of `experiment=efficiency`.

    Example:
        >>> from pathlib import Path
        >>> from adframe.results.sweep_folder import read_sweep
        >>> study = Efficiency(metrics=["image/auroc"])
        >>> study.write(read_sweep(Path("multirun/efficiency")))  # doctest: +SKIP
        PosixPath('multirun/efficiency/study.html')
    """

    def __init__(self, *, metrics: Sequence[str] = ("image/auroc",), question: str | None = None) -> None:
        super().__init__(metrics=metrics, question=question)

    def study(self, results: AblationResults) -> Page:
        """Builds the page: that of an ablation with a section on costs and quality before the others.

        Args:
            results: the results of the sweep.

        Returns:
            The page; without that section where no run measured its latency.
        """
        plain = super().study(results)
        costs = costs_of(results)
        if not any(P50 in own for own in costs.values()):
            missing = "No run measured its latency: set callbacks.latency.images=100."
            return replace(plain, notes=[missing, *plain.notes])
        blocks: list[Block] = [
            efficiency_table(costs, results),
            *quality_over_cost(costs, results),
            *latency_curves(costs, results),
        ]
        question = "How much do fewer patches and fewer dimensions save, and how much quality do they cost?"
        facts = [
            facts for each in results.settings for test in each.runs for facts in test.folder.val.values()
        ]
        measured = next((each for each in facts if P50 in each), {})
        return replace(
            plain,
            title=_efficiency_title(costs, results),
            question=self.question or question,
            findings=[
                *(text for key in (P50, MODEL) for text in _cost_sentences(costs, results, key)),
                *plain.findings,
            ],
            facts=[
                *plain.facts,
                *(
                    (name, f"{value:.0f}")
                    for key, name in _FACTS.items()
                    if (value := measured.get(key)) is not None
                ),
            ],
            sections=[Section("Costs and quality", tuple(blocks)), *plain.sections],
            notes=[_MACHINE_NOTE, *_busy_notes(facts), *plain.notes],
        )


def _cost_sentences(costs: Costs, results: AblationResults, key: str) -> list[str]:
    """Writes how much the cheapest setting saves, and whether it is significantly worse than the best one."""
    known = {name: own[key] for name, own in costs.items() if key in own}
    if len(known) < 2:
        return []
    values = {name: each.value for name, each in results.means(results.main_metric).items()}
    cheapest = min(known, key=lambda name: (known[name], -values[name]))
    best = max(known, key=lambda name: (values[name], -known[name]))
    metric = title_of(results.main_metric)
    if cheapest == best:
        least = "the lowest latency" if key == P50 else "the smallest model"
        return [f"{best} has the highest {metric}, and {least}."]
    cost = "The median latency of an image" if key == P50 else "The memory of a category's model"
    low, high = (
        f"{known[name]:.3g} ms" if key == P50 else f"{known[name] / 1e6:.3g} MB" for name in (cheapest, best)
    )
    sentence = (
        f"{cost} is lowest with {cheapest}: {low}, compared with {high} with {best}, which has the highest "
        f"{metric} ({known[best] / known[cheapest]:.3g} times as much)."
    )
    found = find_comparison(results.pairs, cheapest, best, metric=results.main_metric, where=MEAN)
    if found is None:
        return [sentence]
    verb = "is" if found.significant else "is not"
    return [
        f"{sentence} The difference in {metric} {verb} significant: {gain(found.difference)}, "
        f"{p_equals(found.adjusted)} after Holm's correction."
    ]


def _efficiency_title(costs: Costs, results: AblationResults) -> str:
    values = {name: each.value for name, each in results.means(results.main_metric).items()}
    latencies = [own[P50] for own in costs.values() if P50 in own]
    return (
        f"{len(pareto_front(costs, values, P50))} of {len(latencies)} settings are Pareto-optimal in latency "
        f"and {title_of(results.main_metric)}; an image takes {min(latencies):.3g} to {max(latencies):.3g} ms"
    )


def _busy_notes(facts: Sequence[Mapping[str, float | None]]) -> list[str]:
    """Writes a note where more processes than cores were running while latency was measured."""
    loads = [load for each in facts if (load := each.get(_LOAD)) is not None]
    if not loads or max(loads) <= _BUSY_LOAD:
        return []
    return [
        f"The machine was busy: up to {max(loads):.1f} processes per core were running while latency was "
        "measured. Do not rely on the latencies, nor on which settings are Pareto-optimal in them; measure "
        "again on an idle machine."
    ]
