"""Costs against quality: latency, throughput and memory of every setting against image AUROC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from adframe.analysis.compare import between
from adframe.analysis.studies.ablation import Ablation
from adframe.analysis.studies.ablation_results import AblationResults
from adframe.analysis.studies.pareto import (
    P50,
    Costed,
    against_costs,
    costed,
    efficiency_table,
    latency_curves,
    pareto_front,
)
from adframe.reporting.document import Block, Page, Section
from adframe.reporting.format import capitalised, gain, p_equals, title_of
from adframe.results.names import MEAN
from adframe.results.run_folder import MODEL

IMAGES, BATCH, THREADS = "latency/images", "latency/batch_size", "latency/threads"
LOAD = "latency/load_per_core"
_BUSY_FROM = 1.5  # the run itself, which has just been fitted with all cores, counts in its load
_BUSY = (
    "Seconds are of this machine, while nothing else of the sweep ran (launcher=local); other work on it "
    "moves them. Those of one setting are of single images after warming up, loading not included."
)


class Efficiency(Ablation):
    """Makes the page of a sweep whose runs measured their latency (`callbacks.latency.images`).

    Args:
        metrics: to compare, as far as the runs have them; the first one is set against the costs.
        question: what the sweep asks.
    """

    def __init__(self, *, metrics: Sequence[str] = ("image/auroc",), question: str | None = None) -> None:
        super().__init__(metrics=metrics, question=question)

    def study(self, board: AblationResults) -> Page:
        """What the page holds."""
        plain = super().study(board)
        points = costed(board)
        if not any(P50 in each.costs for each in points):
            lacking = "No run measured its latency: set callbacks.latency.images=100."
            return replace(plain, notes=[lacking, *plain.notes])
        blocks: list[Block] = [
            efficiency_table(points, board),
            *against_costs(points, board),
            *latency_curves(points, board),
        ]
        found = [text for key in (P50, MODEL) for text in _on_cost(points, board, key)]
        return replace(
            plain,
            title=_title(points, board),
            question=self.question
            or "What do fewer patches and fewer dimensions save, and what do they lose?",
            findings=[*found, *plain.findings],
            facts=[*plain.facts, *_how(board)],
            sections=[Section("Costs against quality", tuple(blocks)), *plain.sections],
            notes=[_BUSY, *_waited(board), *plain.notes],
        )


def _on_cost(points: Sequence[Costed], board: AblationResults, key: str) -> list[str]:
    """What the cheapest setting saves, and whether it is significantly worse."""
    known = [each for each in points if key in each.costs]
    if len(known) < 2:
        return []
    cheapest = min(known, key=lambda each: (each.costs[key], -each.found.value))
    best = max(known, key=lambda each: (each.found.value, -each.costs[key]))
    name = title_of(board.main)
    if cheapest is best:
        least = "the lowest latency" if key == P50 else "the smallest model"
        return [f"{best.name} has the highest {name}, and {least}."]
    times = best.costs[key] / cheapest.costs[key]
    what = "the median latency of an image" if key == P50 else "the memory of a category's model"
    start = (
        f"{capitalised(what)} is lowest with {cheapest.name}: {_amount(cheapest, key)}, compared with "
        f"{_amount(best, key)} with {best.name}, which has the highest {name} ({times:.3g} times as much)."
    )
    one = between(board.pairs, cheapest.name, best.name, metric=board.main, where=MEAN)
    if one is None:
        return [start]
    tested = f"{gain(one.difference)}, {p_equals(one.adjusted)} after Holm's correction"
    if one.significant:
        return [f"{start} The difference in {name} is significant: {tested}."]
    return [f"{start} The difference in {name} is not significant: {tested}."]


def _title(points: Sequence[Costed], board: AblationResults) -> str:
    kept = pareto_front(points, P50)
    known = [each for each in points if P50 in each.costs]
    fast, slow = min(each.costs[P50] for each in known), max(each.costs[P50] for each in known)
    return (
        f"{len(kept)} of {len(known)} settings are Pareto-optimal in latency and {title_of(board.main)}; an "
        "image "
        f"takes {fast:.3g} to {slow:.3g} ms"
    )


def _model_facts(board: AblationResults) -> list[Mapping[str, float | None]]:
    return [facts for each in board.settings for test in each.runs for facts in test.folder.val.values()]


def _how(board: AblationResults) -> list[tuple[str, str]]:
    """How latency was measured."""
    facts = next((facts for facts in _model_facts(board) if P50 in facts), {})
    named = {IMAGES: "images timed", BATCH: "batch size", THREADS: "threads"}
    return [(name, f"{value:.0f}") for key, name in named.items() if (value := facts.get(key)) is not None]


def _waited(board: AblationResults) -> list[str]:
    """A note where more processes than cores were busy while latency was measured."""
    loads = [load for facts in _model_facts(board) if (load := facts.get(LOAD)) is not None]
    if not loads or max(loads) <= _BUSY_FROM:
        return []
    return [
        f"The machine was busy: up to {max(loads):.1f} processes wanted each core while latency was "
        "measured. "
        "Do not rely on the milliseconds, nor on what is Pareto-optimal in them; measure again on an idle "
        "machine."
    ]


def _amount(each: Costed, key: str) -> str:
    return f"{each.costs[key]:.3g} ms" if key == P50 else f"{each.costs[key] / 1e6:.3g} MB"
