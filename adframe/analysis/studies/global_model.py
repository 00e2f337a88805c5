"""The global-model study: one model for all classes against one a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adframe.analysis.studies import domain_shift_plots as blocks
from adframe.analysis.studies.confused_images import hidden_images, look_closer
from adframe.analysis.studies.confused_pictures import hidden_blocks, hidden_sentence
from adframe.analysis.studies.effects import Effect, corrected, effect_table, undecided
from adframe.analysis.studies.method_groups import grouped
from adframe.analysis.studies.shift_results import Case
from adframe.analysis.studies.sweep_runs import failures, time_spent
from adframe.analysis.studies.test_result import Condition, read_condition
from adframe.errors import AdframeError
from adframe.reporting.document import Block, Figure, Section, Study
from adframe.reporting.study_page import write_study
from adframe.results.sweep_folder import Sweep

SINGLE, POOLED = "a model a class", "one model for all"
_ASKED = (("image/auroc", "image AUROC"), ("pixel/auroc", "pixel AUROC"), ("image/fpr", "false alarms"))


@dataclass(frozen=True, slots=True)
class Pair:
    """One method both ways."""

    variant: str
    single: Condition
    pooled: Condition

    @property
    def books(self) -> tuple[Mapping[str, Mapping[str, float | None]], ...]:
        """What the runs say of their fitted models, by model."""
        return self.single.reading.run.val, self.pooled.reading.run.val

    @property
    def case(self) -> Case:
        """As the blocks of a comparison have it."""
        return Case(self.variant, "global", self.single, self.pooled, None, None)


class GlobalModel:
    """Makes the page of a sweep over `scope=per_category,global`.

    Args:
        question: what the study asks, one or two sentences.
        pictures: images a class of what the model for all does not find any more.
    """

    def __init__(self, *, question: str, pictures: int = 3) -> None:
        self.question, self.pictures = question, pictures

    def write(self, sweep: Sweep) -> Path | None:
        """Writes `study.html`, its figures and tables into the sweep's folder; returns the page.

        Raises:
            AdframeError: no method was run both ways, or a run cannot be read.
        """
        pairs = _pairs(sweep)
        effects = corrected(effect for pair in pairs for effect in _effects(pair))
        cases = [pair.case for pair in pairs]
        gap = effect_table(
            effects,
            caption="What the model for all has more than the class's own: differences on the same images, "
            "in points; p also by Holm's correction for all lines with the same question.",
        )
        hidden, said = _looked_at(pairs, most=self.pictures)
        study = Study(
            title=_title(effects),
            question=self.question,
            findings=[*_said(effects), *said],
            facts=[
                ("Methods", ", ".join(pair.variant for pair in pairs)),
                ("Classes", ", ".join(cases[0].categories)),
                ("Time, all runs", time_spent(sweep)),
            ],
            sections=[
                Section("The gap", (gap, *_bars(cases))),
                Section("What one class's normal hides in another", hidden),
                Section("Images and pixels", (blocks.both_levels(cases), blocks.roc_curves(cases))),
                Section("All numbers", (blocks.conditions_table(cases),)),
            ],
            command=sweep.command,
            notes=[
                "The model for all has one threshold, fitted to validation images of all classes together.",
                "At one coreset share the model for all keeps as many patches as all single models together.",
                "Test images report; a setting chosen by this page is chosen on test data.",
                *failures(sweep),
            ],
        )
        return write_study(sweep.folder, study)


_BARS = (("image/auroc", "auroc"), ("pixel/auroc", "pixel_auroc"), ("image/fpr", "fpr"))


def _pairs(sweep: Sweep) -> list[Pair]:
    both = {
        name: {str(run.config["scope"]): run.path for run in reversed(runs)}
        for name, runs in grouped(sweep, aside=("scope",)).items()
    }
    found = [
        Pair(
            name,
            read_condition(runs["per_category"], name=SINGLE),
            read_condition(runs["global"], name=POOLED),
        )
        for name, runs in both.items()
        if {"per_category", "global"} <= set(runs)
    ]
    if not found or len(found[0].single.categories) < 2:
        raise AdframeError(
            f"{sweep.folder} has no method that was run both ways on two classes or more; sweep "
            "scope=per_category,global"
        )
    return found


def _effects(pair: Pair) -> list[Effect]:
    found = []
    for key, title in _ASKED:
        for name in pair.case.categories:
            more = pair.pooled.more_than(pair.single, key, (name,))
            found.append(Effect(f"{pair.variant}, {name}", f"{title}, model for all", more))
    return found


def _bars(cases: Sequence[Case]) -> list[Figure]:
    return [blocks.condition_bars(cases, key, name=name) for key, name in _BARS]


def _said(effects: Sequence[Effect]) -> list[str]:
    found = []
    for each in effects:
        if each.stated:
            what = each.question.partition(",")[0]
            rises, falls = (f"one model for all {verb} {what} by {{}}." for verb in ("raises", "lowers"))
            found.append(f"{each.subject}: {each.sentence(rises, falls)}")
    return [*found, *undecided(effects)]


def _title(effects: Sequence[Effect]) -> str:
    own = [each for each in effects if each.question.startswith("image AUROC")]
    lost = [each for each in own if each.stated and each.difference.value < 0]
    if not lost:
        return "One model for all classes: no loss of image AUROC that these images could show"
    return f"One model for all classes loses image AUROC in {len(lost)} of {len(own)} comparisons"


def _looked_at(pairs: Sequence[Pair], *, most: int) -> tuple[tuple[Block, ...], list[str]]:
    """Pictures for the first method whose features can be looked at, and what they show."""
    for pair in pairs:
        images = {
            name: hidden_images(pair.single, pair.pooled, name, most=most) for name in pair.case.categories
        }
        single, pooled = (each.reading.run.path for each in (pair.single, pair.pooled))
        try:
            found = look_closer(single, pooled, images)
        except AdframeError as error:
            return (f"There are no pictures: {error}",), []
        if found:
            return hidden_blocks(pair.variant, found, books=pair.books), [
                hidden_sentence(pair.variant, found)
            ]
    return ("No anomalous image lost rank in a model for all whose features can be looked at.",), []
