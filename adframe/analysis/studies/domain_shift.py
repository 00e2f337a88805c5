"""The domain-shift study: what a shift costs, what a threshold brings back, and what another model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from adframe.analysis.studies import domain_shift_plots as blocks
from adframe.analysis.studies.effects import Effect, corrected, effect_table, undecided
from adframe.analysis.studies.shift_results import Case, shift_cases
from adframe.analysis.studies.sweep_runs import failures, time_spent
from adframe.reporting.document import Section, Study
from adframe.reporting.format import percent
from adframe.reporting.study_page import write_study
from adframe.results.sweep_folder import Sweep

_LOST, _ALARMS = "image AUROC lost to the shift", "false alarms more at the frozen threshold"
_CALMED, _DECIDED = "false alarms after recalibrating", "balanced accuracy through recalibrating"
_REGAINED, _LEFT = "image AUROC through refitting", "image AUROC against clean, refitted"
_WORDS = {  # question -> (more, less)
    _LOST: ("image AUROC rises by {}", "image AUROC falls by {}"),
    _ALARMS: (
        "the frozen threshold raises false alarms on {} more of the normal images",
        "the frozen threshold raises false alarms on {} fewer of the normal images",
    ),
    _CALMED: (
        "recalibrating the threshold adds {} to the false-positive rate",
        "recalibrating the threshold takes {} off the false-positive rate",
    ),
    _DECIDED: (
        "recalibrating raises balanced accuracy by {}",
        "recalibrating lowers balanced accuracy by {}",
    ),
    _REGAINED: ("refitting the model adds {} of image AUROC", "refitting the model costs {} of image AUROC"),
    _LEFT: (
        "refitted, it is {} of image AUROC better than on images as they are",
        "refitted, it stays {} of image AUROC below images as they are",
    ),
}


class DomainShift:
    """Makes the page of a sweep whose runs were tested under `domains=` besides.

    Args:
        question: what the study asks, one or two sentences.
    """

    def __init__(self, *, question: str) -> None:
        self.question = question

    def write(self, sweep: Sweep) -> Path | None:
        """Writes `study.html`, its figures and tables into the sweep's folder; returns the page.

        Raises:
            AdframeError: the runs have no shift to study, or cannot be read.
        """
        cases = shift_cases(sweep)
        effects = corrected(effect for case in cases for effect in effects_of(case))
        facts = [
            ("Methods", ", ".join(dict.fromkeys(case.variant for case in cases))),
            ("Shifts", ", ".join(dict.fromkeys(case.domain for case in cases))),
            ("Classes", ", ".join(cases[0].categories)),
            ("Time, all runs", time_spent(sweep)),
        ]
        found = findings(effects)
        study = Study(
            title=_title(effects),
            question=self.question,
            findings=found,
            facts=facts,
            sections=_sections(cases, effects),
            command=sweep.command,
            notes=_notes(cases, sweep),
        )
        return write_study(sweep.folder, study)


def effects_of(case: Case) -> list[Effect]:
    """The questions of one method under one domain, in the mean over the classes."""
    subject, names = f"{case.variant}, {case.domain}", case.categories
    asked = [
        (_LOST, case.frozen, case.clean, "image/auroc"),
        (_ALARMS, case.frozen, case.clean, "image/fpr"),
    ]
    if case.threshold:
        asked += [
            (_CALMED, case.threshold, case.frozen, "image/fpr"),
            (_DECIDED, case.threshold, case.frozen, "image/balanced_accuracy"),
        ]
    if case.refitted:
        asked += [
            (_REGAINED, case.refitted, case.frozen, "image/auroc"),
            (_LEFT, case.refitted, case.clean, "image/auroc"),
        ]
    return [Effect(subject, text, after.more_than(before, key, names)) for text, after, before, key in asked]


def findings(effects: Sequence[Effect]) -> list[str]:
    """A sentence a method and shift of what is supported, then one of what is not."""
    found = []
    for subject in dict.fromkeys(effect.subject for effect in effects):
        stated = [each for each in effects if each.subject == subject and each.stated]
        if stated:
            parts = [each.sentence(*_WORDS[each.question]) for each in stated]
            found.append(f"{subject}: {'; '.join(parts)}.")
    return [*found, *undecided(effects)]


def _title(effects: Sequence[Effect]) -> str:
    lost = [each for each in effects if each.question == _LOST and each.stated and each.difference.value < 0]
    if not lost:
        return "A domain shift, and no loss of image AUROC that these images could show"
    worst = min(lost, key=lambda each: each.difference.value)
    points = f"{-100 * worst.difference.value:.1f} points"
    return f"The shift costs up to {points} of image AUROC ({worst.subject})"


def _sections(cases: Sequence[Case], effects: Sequence[Effect]) -> list[Section]:
    lost = effect_table(
        effects,
        caption="Differences in the mean over the classes, in points, on the same images in both; p by the "
        "bootstrap's standard error, and by Holm's correction for all lines with the same question.",
    )
    drawn = [blocks.heat(cases, "image/auroc", name="heat_auroc")]
    drawn.append(blocks.heat(cases, "image/fpr", name="heat_fpr"))
    if len({case.domain for case in cases}) > 1:
        drawn += [
            blocks.domain_bars(cases, key, name=f"by_{key[6:]}") for key in ("image/auroc", "image/fpr")
        ]
    else:
        drawn.append(blocks.condition_bars(cases, "image/auroc", name="auroc"))
        drawn.append(blocks.condition_bars(cases, "image/fpr", name="fpr"))
    return [
        Section("What is lost and what comes back", (lost,)),
        Section("Comparison", (*drawn, blocks.both_levels(cases))),
        Section(
            "False alarms and score drift", (blocks.alarms_table(cases), *blocks.score_histograms(cases))
        ),
        Section("ROC curves", (blocks.roc_curves(cases),)),
        Section("All numbers", (blocks.conditions_table(cases),)),
    ]


def _notes(cases: Sequence[Case], sweep: Sweep) -> list[str]:
    fewest = min(
        case.clean.reading.run.val.get(name, {}).get("calibration/n") or math.inf
        for case in cases
        for name in (*case.categories, "global")
    )
    notes = [
        "Thresholds are fitted to validation images only; test images are never asked. A setting chosen by "
        "this page is chosen on test data.",
        "Every image is shifted by its own seeded draw, the same for every method and run.",
    ]
    if math.isfinite(fewest):
        floor = 1 / (fewest + 1)
        notes.append(
            f"The smallest validation set has {fewest:.0f} normal images: its threshold cannot promise a "
            f"false-positive rate below {percent(floor)}."
        )
    return [*notes, *failures(sweep)]
