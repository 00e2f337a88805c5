"""Writes the page that compares one model for all categories with one model per category."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adframe.analysis.questions import (
    Answer,
    answer_question,
    answers_table,
    correct_answers,
    insignificant_answers,
)
from adframe.analysis.settings import Setting, by_category, methods_of
from adframe.analysis.studies import domain_shift_plots as plots
from adframe.analysis.studies.confused_images import confused_images, look_closer
from adframe.analysis.studies.confused_pictures import confused_blocks, confused_sentence
from adframe.analysis.studies.shift_results import ShiftCase
from adframe.analysis.study import LEADERBOARD, TEST_IMAGES, failure_notes
from adframe.errors import AdframeError
from adframe.reporting.document import Block, Page, Section
from adframe.reporting.format import amount, title_of
from adframe.reporting.page_writer import write_document
from adframe.reporting.run_facts import duration
from adframe.results.frame import load_results
from adframe.results.sweep_folder import SweepFolder
from adframe.runs.recipe import OpenRun

SINGLE, POOLED = "one model per category", "one model for all"
_COMPARED = {  # metric -> name of its figure's files
    "image/auroc": "auroc",
    "pixel/auroc": "pixel_auroc",
    "image/fpr": "fpr",
}
_SCOPE_CAPTION = (
    "The metric of the model for all minus that of the category's own model: differences on the same images, "
    "in percentage points, with simultaneous intervals; p values also after Holm's correction for all rows "
    "with the same question."
)


class GlobalModel:
    """The study of a sweep over `scope=per_category,global`.

    Args:
        question: the question that the study asks, one or two sentences.
        pictures: number of images per category that only the category's own model detects.

    Attributes:
        open_run: opens a run: returns its parts from its folder; None for a page without pictures.

    Example:
        >>> from adframe.results.sweep_folder import read_sweep
        >>> study = GlobalModel(question="What does one model for all categories cost?", pictures=3)
        >>> study.write(read_sweep(Path("multirun/global_model")))  # doctest: +SKIP
        PosixPath('multirun/global_model/study.html')
    """

    def __init__(self, *, question: str, pictures: int = 3) -> None:
        self.question, self.pictures = question, pictures
        self.open_run: OpenRun | None = None

    def write(self, sweep: SweepFolder) -> Path | None:
        """Writes `study.html`, its figures and tables into the sweep's folder.

        Args:
            sweep: a finished sweep.

        Returns:
            The path of the page.

        Raises:
            AdframeError: no method was run with both scopes, or a run cannot be read.
        """
        cases = _scope_cases(sweep)
        answers = _scope_answers(cases)
        pictures, sentences = _confused_section(cases, self.open_run, most=self.pictures)
        study = Page(
            title=_scope_title(answers),
            question=self.question,
            findings=[*_scope_findings(answers), *sentences],
            facts=[
                ("methods", ", ".join(case.method for case in cases)),
                ("categories", ", ".join(cases[0].categories)),
                ("time, all runs", duration(sweep.seconds)),
            ],
            sections=[
                Section(
                    "The difference",
                    (
                        answers_table(answers, caption=_SCOPE_CAPTION),
                        *(plots.condition_bars(cases, key, name=name) for key, name in _COMPARED.items()),
                    ),
                ),
                Section("Defects that are similar to another category's normal images", pictures),
                Section("Images and pixels", (plots.case_scatter(cases), plots.case_rocs(cases))),
                Section("All numbers", (plots.conditions_table(cases),)),
            ],
            command=sweep.command,
            links=LEADERBOARD,
            notes=[
                "The model for all has one threshold, which is fitted to the validation images of all "
                "categories together.",
                "At the same coreset ratio the model for all stores as many patches as all models of single "
                "categories together.",
                TEST_IMAGES,
                *failure_notes(sweep),
            ],
        )
        return write_document(sweep.path, study)


def _scope_cases(sweep: SweepFolder) -> list[ShiftCase]:
    """Reads the methods with both scopes: `clean` has one model per category, `frozen` one for all."""
    cases = []
    results = load_results(sweep.finished).own
    for method, all_tests in methods_of(results, sweep.varied, ignored=("scope",)).items():
        single, pooled = (
            by_category([test for test in all_tests if str(test.config["scope"]) == scope])
            for scope in ("per_category", "global")
        )
        if single and pooled:
            case = ShiftCase(method, "global", Setting(SINGLE, {}, single), Setting(POOLED, {}, pooled))
            cases.append(case)
    if not cases or len(cases[0].clean.categories) < 2:
        raise AdframeError(
            f"{sweep.path} has no method that was run with both scopes on two categories or more; sweep "
            "scope=per_category,global"
        )
    return cases


def _scope_answers(cases: Sequence[ShiftCase]) -> list[Answer]:
    """Compares the model for all with the category's own model, per method, metric and category."""
    return correct_answers(
        [
            answer_question(
                f"{case.method}, {name}",
                f"{title_of(metric)}, one model for all",
                case.clean,
                case.frozen,
                metric=metric,
                categories=(name,),
            )
            for case in cases
            for metric in _COMPARED
            for name in case.categories
        ]
    )


def _scope_findings(answers: Sequence[Answer]) -> list[str]:
    found = []
    for each in answers:
        if each.significant:
            metric, verb = each.question.partition(",")[0], "raises" if each.value > 0 else "lowers"
            size = amount(each.comparison.difference)
            found.append(f"{each.subject}: one model for all {verb} {metric} by {size}.")
    return [*found, *insignificant_answers(answers)]


def _scope_title(answers: Sequence[Answer]) -> str:
    own = [each for each in answers if each.question.startswith("image AUROC")]
    losses = [each for each in own if each.significant and each.value < 0]
    if not losses:
        return "One model for all categories: no significant loss of image AUROC"
    return f"One model for all categories loses image AUROC in {len(losses)} of {len(own)} comparisons"


def _confused_section(
    cases: Sequence[ShiftCase], open_run: OpenRun | None, *, most: int
) -> tuple[tuple[Block, ...], list[str]]:
    """Builds the pictures of the first method with feature maps, and their sentence."""
    if open_run is None:
        return ("There are no pictures because the models of the runs were not loaded.",), []
    for case in cases:
        images = {name: confused_images(case.clean, case.frozen, name, most=most) for name in case.categories}
        single, pooled = (each.runs[0].folder for each in (case.clean, case.frozen))  # of the first seed
        try:
            found = look_closer(single.path, pooled.path, images, open_run=open_run)
        except AdframeError as error:
            return (f"There are no pictures: {error}",), []
        if found:
            blocks = confused_blocks(case.method, found, facts=(single.val, pooled.val))
            return blocks, [confused_sentence(case.method, found)]
    return ("No anomalous image lost rank in a model for all that has feature maps.",), []
