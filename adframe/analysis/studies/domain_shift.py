"""Writes the page of a domain shift: its cost, and the gains of another threshold and another model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adframe.analysis.questions import Answer, answers_table, correct_answers
from adframe.analysis.studies import domain_shift_plots as plots
from adframe.analysis.studies.shift_decisions import decisions_table
from adframe.analysis.studies.shift_findings import (
    shift_answers,
    shift_findings,
    shift_title,
    threshold_notes,
    validation_images,
)
from adframe.analysis.studies.shift_results import ShiftCase, conditions_text, shift_cases
from adframe.analysis.study import LEADERBOARD, TEST_IMAGES, failure_notes
from adframe.reporting.document import Page, Section
from adframe.reporting.page_writer import write_document
from adframe.reporting.run_facts import common_facts, duration
from adframe.results.sweep_folder import SweepFolder


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
        answers = correct_answers([answer for case in cases for answer in shift_answers(case)])
        study = Page(
            title=shift_title(answers),
            question=self.question,
            findings=shift_findings(answers, images=validation_images(cases)),
            facts=[
                ("methods", ", ".join(dict.fromkeys(case.method for case in cases))),
                ("shifts", ", ".join(dict.fromkeys(case.domain for case in cases))),
                *common_facts(
                    [test.folder for case in cases for test in case.clean.runs],
                    ("backbone", "dataset", "image size", "seed"),
                ),
                ("categories", ", ".join(cases[0].categories)),
                ("time, all runs", duration(sweep.seconds)),
            ],
            sections=_shift_sections(cases, answers),
            command=sweep.command,
            links=LEADERBOARD,
            notes=_shift_notes(cases, sweep),
        )
        return write_document(sweep.path, study)


def _shift_sections(cases: Sequence[ShiftCase], answers: Sequence[Answer]) -> list[Section]:
    table = answers_table(
        answers,
        caption="Differences in the mean over the categories, in percentage points, on the same images under "
        "both conditions, with simultaneous intervals; p values also after Holm's correction for all rows "
        "with the same question.",
    )
    metrics = (("image/auroc", "auroc"), ("image/fpr", "fpr"))
    comparison = [plots.domains_matrix(cases, metric, name=f"heat_{file}") for metric, file in metrics]
    if len({case.domain for case in cases}) > 1:
        comparison += [plots.domain_bars(cases, metric, name=f"by_{file}") for metric, file in metrics]
    else:
        comparison += [plots.condition_bars(cases, metric, name=file) for metric, file in metrics]
    return [
        Section("Loss and recovery", (conditions_text(cases), decisions_table(cases), table)),
        Section("Comparison", (*comparison, plots.case_scatter(cases))),
        Section("False alarms and score drift", (plots.alarms_table(cases), *plots.score_histograms(cases))),
        Section("ROC curves", (plots.case_rocs(cases),)),
        Section("All numbers", (plots.conditions_table(cases),)),
    ]


def _shift_notes(cases: Sequence[ShiftCase], sweep: SweepFolder) -> list[str]:
    notes = [
        *threshold_notes(cases),
        "Thresholds are fitted to validation images only, never to test images.",
        TEST_IMAGES,
        "The shift of every image is drawn with its own seed; it is the same for every method and run.",
    ]
    return [*notes, *failure_notes(sweep)]
