"""Writes the page of a domain shift: its cost, and the gains of another threshold and another model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from adframe.analysis.questions import (
    Answer,
    answer_question,
    answers_table,
    correct_answers,
    insignificant_answers,
)
from adframe.analysis.studies import domain_shift_plots as plots
from adframe.analysis.studies.shift_results import ShiftCase, shift_cases
from adframe.analysis.study import LEADERBOARD, TEST_IMAGES, failure_notes
from adframe.reporting.document import Page, Section
from adframe.reporting.format import amount, hundredths, percent
from adframe.reporting.page_writer import write_document
from adframe.reporting.run_facts import duration
from adframe.results.sweep_folder import SweepFolder

_AUROC_LOSS = "image AUROC lost to the shift"
_FROZEN_FPR = "false-positive rate at the frozen threshold"
_RECALIBRATED_FPR = "false-positive rate after recalibration"
_RECALIBRATED_ACCURACY = "balanced accuracy after recalibration"
_REFITTED_AUROC = "image AUROC after refitting"
_REFITTED_LOSS = "image AUROC after refitting, compared with clean"
_SENTENCES = {  # question -> (sentence for a positive difference, sentence for a negative one)
    _AUROC_LOSS: ("the shift raises image AUROC by {}", "the shift lowers image AUROC by {}"),
    _FROZEN_FPR: (
        "with the frozen threshold the shift raises the false-positive rate by {}",
        "with the frozen threshold the shift lowers the false-positive rate by {}",
    ),
    _RECALIBRATED_FPR: (
        "recalibrating the threshold raises the false-positive rate by {}",
        "recalibrating the threshold lowers the false-positive rate by {}",
    ),
    _RECALIBRATED_ACCURACY: (
        "recalibrating the threshold raises balanced accuracy by {}",
        "recalibrating the threshold lowers balanced accuracy by {}",
    ),
    _REFITTED_AUROC: (
        "refitting the model raises image AUROC by {}",
        "refitting the model lowers image AUROC by {}",
    ),
    _REFITTED_LOSS: (
        "image AUROC of the refitted model is higher than on clean images by {}",
        "image AUROC of the refitted model is lower than on clean images by {}",
    ),
}


class DomainShift:
    """The study of a sweep whose runs were also tested under `domains=`.

    Args:
        question: the question that the study asks, one or two sentences.

    Example:
        >>> from adframe.results.sweep_folder import read_sweep
        >>> study = DomainShift(question="How much does the shift cost?")
        >>> study.write(read_sweep(Path("multirun/domain_shift")))  # doctest: +SKIP
        PosixPath('multirun/domain_shift/study.html')
    """

    def __init__(self, *, question: str) -> None:
        self.question = question

    def write(self, sweep: SweepFolder) -> Path | None:
        """Writes `study.html`, its figures and tables into the sweep's folder.

        Args:
            sweep: a finished sweep.

        Returns:
            The path of the page.

        Raises:
            AdframeError: the runs have no shift to study, or cannot be read.
        """
        cases = shift_cases(sweep)
        answers = correct_answers([answer for case in cases for answer in _answers_of(case)])
        study = Page(
            title=_shift_title(answers),
            question=self.question,
            findings=shift_findings(answers),
            facts=[
                ("methods", ", ".join(dict.fromkeys(case.method for case in cases))),
                ("shifts", ", ".join(dict.fromkeys(case.domain for case in cases))),
                ("categories", ", ".join(cases[0].categories)),
                ("time, all runs", duration(sweep.seconds)),
            ],
            sections=_shift_sections(cases, answers),
            command=sweep.command,
            links=LEADERBOARD,
            notes=_shift_notes(cases, sweep),
        )
        return write_document(sweep.path, study)


def _answers_of(case: ShiftCase) -> list[Answer]:
    """Answers the questions about one method under one domain, in the mean over the categories."""
    questions = [
        (_AUROC_LOSS, case.clean, case.frozen, "image/auroc"),
        (_FROZEN_FPR, case.clean, case.frozen, "image/fpr"),
    ]
    if case.threshold:
        questions += [
            (_RECALIBRATED_FPR, case.frozen, case.threshold, "image/fpr"),
            (_RECALIBRATED_ACCURACY, case.frozen, case.threshold, "image/balanced_accuracy"),
        ]
    if case.refitted:
        questions += [
            (_REFITTED_AUROC, case.frozen, case.refitted, "image/auroc"),
            (_REFITTED_LOSS, case.clean, case.refitted, "image/auroc"),
        ]
    subject = f"{case.method}, {case.domain}"
    return [
        answer_question(subject, text, before, after, metric=metric, categories=case.categories)
        for text, before, after, metric in questions
    ]


def shift_findings(answers: Sequence[Answer]) -> list[str]:
    """Writes the findings of the study.

    Args:
        answers: corrected answers.

    Returns:
        One sentence per method and shift on the significant differences, then one on the others.
    """
    found = []
    for subject in dict.fromkeys(each.subject for each in answers):
        parts = [
            _SENTENCES[each.question][each.value < 0].format(amount(each.comparison.difference))
            for each in answers
            if each.subject == subject and each.significant
        ]
        if parts:
            found.append(f"{subject}: {'; '.join(parts)}.")
    return [*found, *insignificant_answers(answers)]


def _shift_title(answers: Sequence[Answer]) -> str:
    losses = [
        each for each in answers if each.question == _AUROC_LOSS and each.significant and each.value < 0
    ]
    if not losses:
        return "The shift causes no significant loss of image AUROC"
    worst = min(losses, key=lambda each: each.value)
    return f"The shift costs up to {hundredths(-worst.value)} points of image AUROC ({worst.subject})"


def _shift_sections(cases: Sequence[ShiftCase], answers: Sequence[Answer]) -> list[Section]:
    table = answers_table(
        answers,
        caption="Differences in the mean over the categories, in points, on the same images under both "
        "conditions; p values of the bootstrap, and after Holm's correction for all rows with the same "
        "question.",
    )
    metrics = (("image/auroc", "auroc"), ("image/fpr", "fpr"))
    comparison = [plots.domains_matrix(cases, metric, name=f"heat_{file}") for metric, file in metrics]
    if len({case.domain for case in cases}) > 1:
        comparison += [plots.domain_bars(cases, metric, name=f"by_{file}") for metric, file in metrics]
    else:
        comparison += [plots.condition_bars(cases, metric, name=file) for metric, file in metrics]
    return [
        Section("Loss and recovery", (table,)),
        Section("Comparison", (*comparison, plots.case_scatter(cases))),
        Section("False alarms and score drift", (plots.alarms_table(cases), *plots.score_histograms(cases))),
        Section("ROC curves", (plots.case_rocs(cases),)),
        Section("All numbers", (plots.conditions_table(cases),)),
    ]


def _shift_notes(cases: Sequence[ShiftCase], sweep: SweepFolder) -> list[str]:
    facts = [facts for case in cases for test in case.clean.runs for facts in test.folder.val.values()]
    counts = [count for each in facts if (count := each.get("calibration/n"))]
    notes = [
        "Thresholds are fitted to validation images only, never to test images.",
        TEST_IMAGES,
        "The shift of every image is drawn with its own seed; it is the same for every method and run.",
    ]
    if counts and math.isfinite(min(counts)):
        # The score of another normal image exceeds all n validation scores with probability 1 / (n + 1).
        notes.append(
            f"The smallest validation set has {min(counts):.0f} normal images: its threshold cannot "
            f"guarantee a false-positive rate below {percent(1 / (min(counts) + 1))}."
        )
    return [*notes, *failure_notes(sweep)]
