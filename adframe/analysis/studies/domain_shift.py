"""The domain-shift study: what a shift costs, what a threshold brings back, and what another model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from adframe.analysis.questions import Answer, Question, answer, answers_table, unanswered
from adframe.analysis.studies import domain_shift_plots as plots
from adframe.analysis.studies.shift_results import ShiftCase, shift_cases
from adframe.analysis.study import LEADERBOARD, TEST_IMAGES, failure_notes, time_of
from adframe.reporting.document import Page, Section
from adframe.reporting.format import amount, hundredths, percent
from adframe.reporting.page_writer import write_document
from adframe.results.sweep_folder import SweepFolder

_LOST, _ALARMS = "image AUROC lost to the shift", "false-positive rate at the frozen threshold"
_CALMED, _DECIDED = "false-positive rate after recalibration", "balanced accuracy after recalibration"
_REGAINED, _LEFT = "image AUROC after refitting", "image AUROC after refitting, compared with clean"
_SENTENCES = {  # question -> (where the difference is positive, where it is negative)
    _LOST: ("the shift raises image AUROC by {}", "the shift lowers image AUROC by {}"),
    _ALARMS: (
        "with the frozen threshold the shift raises the false-positive rate by {}",
        "with the frozen threshold the shift lowers the false-positive rate by {}",
    ),
    _CALMED: (
        "recalibrating the threshold raises the false-positive rate by {}",
        "recalibrating the threshold lowers the false-positive rate by {}",
    ),
    _DECIDED: (
        "recalibrating the threshold raises balanced accuracy by {}",
        "recalibrating the threshold lowers balanced accuracy by {}",
    ),
    _REGAINED: (
        "refitting the model raises image AUROC by {}",
        "refitting the model lowers image AUROC by {}",
    ),
    _LEFT: (
        "the refitted model has {} more image AUROC than on clean images",
        "the refitted model has {} less image AUROC than on clean images",
    ),
}


class DomainShift:
    """Makes the page of a sweep whose runs were also tested under `domains=`.

    Args:
        question: what the study asks, one or two sentences.
    """

    def __init__(self, *, question: str) -> None:
        self.question = question

    def write(self, sweep: SweepFolder) -> Path | None:
        """Writes `study.html`, its figures and tables into the sweep's folder; returns the page.

        Raises:
            AdframeError: the runs have no shift to study, or cannot be read.
        """
        cases = shift_cases(sweep)
        answers = answer(question for case in cases for question in questions_of(case))
        study = Page(
            title=_title(answers),
            question=self.question,
            findings=findings(answers),
            facts=[
                ("methods", ", ".join(dict.fromkeys(case.method for case in cases))),
                ("shifts", ", ".join(dict.fromkeys(case.domain for case in cases))),
                ("categories", ", ".join(cases[0].categories)),
                ("time, all runs", time_of(sweep)),
            ],
            sections=_sections(cases, answers),
            command=sweep.command,
            links=LEADERBOARD,
            notes=_notes(cases, sweep),
        )
        return write_document(sweep.path, study)


def questions_of(case: ShiftCase) -> list[Question]:
    """The questions about one method under one domain, in the mean over the categories."""
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
    subject = f"{case.method}, {case.domain}"
    return [
        Question(subject, text, before, after, metric, case.categories)
        for text, after, before, metric in asked
    ]


def findings(answers: Sequence[Answer]) -> list[str]:
    """One sentence per method and shift on what is significant, then one on what is not."""
    found = []
    for subject in dict.fromkeys(each.subject for each in answers):
        own = [each for each in answers if each.subject == subject and each.significant]
        parts = [
            _SENTENCES[each.question][each.value < 0].format(amount(each.comparison.difference))
            for each in own
        ]
        if parts:
            found.append(f"{subject}: {'; '.join(parts)}.")
    return [*found, *unanswered(answers)]


def _title(answers: Sequence[Answer]) -> str:
    lost = [each for each in answers if each.question == _LOST and each.significant and each.value < 0]
    if not lost:
        return "The shift causes no significant loss of image AUROC"
    worst = min(lost, key=lambda each: each.value)
    return f"The shift costs up to {hundredths(-worst.value)} points of image AUROC ({worst.subject})"


def _sections(cases: Sequence[ShiftCase], answers: Sequence[Answer]) -> list[Section]:
    table = answers_table(
        answers,
        caption="Differences in the mean over the categories, in points, on the same images in both; p "
        "values by "
        "the bootstrap, and by Holm's correction for all lines with the same question.",
    )
    drawn = [
        plots.heat(cases, "image/auroc", name="heat_auroc"),
        plots.heat(cases, "image/fpr", name="heat_fpr"),
    ]
    if len({case.domain for case in cases}) > 1:
        drawn += [plots.domain_bars(cases, key, name=f"by_{key[6:]}") for key in ("image/auroc", "image/fpr")]
    else:
        drawn.append(plots.condition_bars(cases, "image/auroc", name="auroc"))
        drawn.append(plots.condition_bars(cases, "image/fpr", name="fpr"))
    return [
        Section("Loss and recovery", (table,)),
        Section("Comparison", (*drawn, plots.both_levels(cases))),
        Section("False alarms and score drift", (plots.alarms_table(cases), *plots.score_histograms(cases))),
        Section("ROC curves", (plots.roc_curves(cases),)),
        Section("All numbers", (plots.conditions_table(cases),)),
    ]


def _notes(cases: Sequence[ShiftCase], sweep: SweepFolder) -> list[str]:
    facts = [facts for case in cases for test in case.clean.runs for facts in test.folder.val.values()]
    counts = [count for each in facts if (count := each.get("calibration/n"))]
    notes = [
        "Thresholds are fitted to validation images only, never to test images.",
        TEST_IMAGES,
        "Every image is shifted by its own seeded draw, the same for every method and run.",
    ]
    if counts and math.isfinite(min(counts)):
        notes.append(
            f"The smallest validation set has {min(counts):.0f} normal images: its threshold cannot "
            "guarantee a "
            f"false-positive rate below {percent(1 / (min(counts) + 1))}."
        )
    return [*notes, *failure_notes(sweep)]
