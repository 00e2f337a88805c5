"""The global-model study: one model for all categories compared with one per category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adframe.analysis.questions import Answer, Question, answer, answers_table, unanswered
from adframe.analysis.settings import Setting, by_category, methods_of
from adframe.analysis.studies import domain_shift_plots as plots
from adframe.analysis.studies.confused_images import confused_images, look_closer
from adframe.analysis.studies.confused_pictures import confused_blocks, confused_sentence
from adframe.analysis.studies.shift_results import ShiftCase
from adframe.analysis.study import LEADERBOARD, TEST_IMAGES, failure_notes, time_of
from adframe.errors import AdframeError
from adframe.reporting.document import Block, Page, Section
from adframe.reporting.format import amount, title_of
from adframe.reporting.page_writer import write_document
from adframe.results.frame import load_results
from adframe.results.sweep_folder import SweepFolder
from adframe.runs.recipe import OpenRun

SINGLE, POOLED = "one model per category", "one model for all"
_ASKED = ("image/auroc", "pixel/auroc", "image/fpr")
_BARS = (("image/auroc", "auroc"), ("pixel/auroc", "pixel_auroc"), ("image/fpr", "fpr"))
_CAPTION = (
    "How much more the model for all has than the category's own: differences on the same images, in "
    "points; p "
    "values also by Holm's correction for all lines with the same question."
)


@dataclass(frozen=True)
class BothWays:
    """One method, with one model per category and with one model for all.

    Attributes:
        method: what distinguishes the method from the sweep's others.
        single: its tests with one model per category.
        pooled: its tests with one model for all.
    """

    method: str
    single: Setting
    pooled: Setting

    @property
    def case(self) -> ShiftCase:
        """The same as the plots of two conditions take it."""
        return ShiftCase(self.method, "global", self.single, self.pooled)

    @property
    def folders(self) -> tuple[Path, Path]:
        """The runs of the first seed."""
        single, pooled = (each.runs[0].folder.path for each in (self.single, self.pooled))
        return single, pooled

    @property
    def model_facts(self) -> tuple[Mapping[str, Mapping[str, float | None]], ...]:
        """What the runs of the first seed say about their models, by model."""
        return tuple(each.runs[0].folder.val for each in (self.single, self.pooled))


class GlobalModel:
    """Makes the page of a sweep over `scope=per_category,global`.

    Args:
        question: what the study asks, one or two sentences.
        pictures: images per category that only the category's own model finds.
    """

    def __init__(self, *, question: str, pictures: int = 3) -> None:
        self.question, self.pictures = question, pictures
        self.open_run: OpenRun | None = None  # without it there are no pictures

    def write(self, sweep: SweepFolder) -> Path | None:
        """Writes `study.html`, its figures and tables into the sweep's folder; returns the page.

        Raises:
            AdframeError: no method was run both ways, or a run cannot be read.
        """
        methods = _methods(sweep)
        answers = answer(question for each in methods for question in _questions(each))
        cases = [each.case for each in methods]
        confused, sentences = _looked_at(methods, self.open_run, most=self.pictures)
        study = Page(
            title=_title(answers),
            question=self.question,
            findings=[*_findings(answers), *sentences],
            facts=[
                ("methods", ", ".join(each.method for each in methods)),
                ("categories", ", ".join(cases[0].categories)),
                ("time, all runs", time_of(sweep)),
            ],
            sections=[
                Section(
                    "The difference",
                    (
                        answers_table(answers, caption=_CAPTION),
                        *(plots.condition_bars(cases, key, name=name) for key, name in _BARS),
                    ),
                ),
                Section("Defects that look like another category's normal", confused),
                Section("Images and pixels", (plots.both_levels(cases), plots.roc_curves(cases))),
                Section("All numbers", (plots.conditions_table(cases),)),
            ],
            command=sweep.command,
            links=LEADERBOARD,
            notes=[
                "The model for all has one threshold, fitted to validation images of all categories "
                "together.",
                "At the same coreset ratio the model for all keeps as many patches as all single models "
                "together.",
                TEST_IMAGES,
                *failure_notes(sweep),
            ],
        )
        return write_document(sweep.path, study)


def _methods(sweep: SweepFolder) -> list[BothWays]:
    found = []
    for method, all_tests in methods_of(
        load_results(sweep.finished).own, sweep.varied, aside=("scope",)
    ).items():
        tests = {
            scope: by_category([test for test in all_tests if str(test.config["scope"]) == scope])
            for scope in ("per_category", "global")
        }
        if all(tests.values()):
            single, pooled = Setting(SINGLE, {}, tests["per_category"]), Setting(POOLED, {}, tests["global"])
            found.append(BothWays(method, single, pooled))
    if not found or len(found[0].single.categories) < 2:
        raise AdframeError(
            f"{sweep.path} has no method that was run both ways on two categories or more; sweep "
            "scope=per_category,global"
        )
    return found


def _questions(method: BothWays) -> list[Question]:
    return [
        Question(
            f"{method.method}, {name}",
            f"{title_of(key)}, one model for all",
            method.single,
            method.pooled,
            key,
            (name,),
        )
        for key in _ASKED
        for name in method.case.categories
    ]


def _findings(answers: Sequence[Answer]) -> list[str]:
    found = []
    for each in answers:
        if each.significant:
            what, verb = each.question.partition(",")[0], "raises" if each.value > 0 else "lowers"
            size = amount(each.comparison.difference)
            found.append(f"{each.subject}: one model for all {verb} {what} by {size}.")
    return [*found, *unanswered(answers)]


def _title(answers: Sequence[Answer]) -> str:
    own = [each for each in answers if each.question.startswith("image AUROC")]
    lost = [each for each in own if each.significant and each.value < 0]
    if not lost:
        return "One model for all categories: no significant loss of image AUROC"
    return f"One model for all categories loses image AUROC in {len(lost)} of {len(own)} comparisons"


def _looked_at(
    methods: Sequence[BothWays], open_run: OpenRun | None, *, most: int
) -> tuple[tuple[Block, ...], list[str]]:
    """Pictures for the first method whose features can be looked at, and what they show."""
    if open_run is None:
        return ("There are no pictures: the models of the runs were not opened.",), []
    for each in methods:
        images = {
            name: confused_images(each.single, each.pooled, name, most=most) for name in each.case.categories
        }
        try:
            found = look_closer(*each.folders, images, open_run=open_run)
        except AdframeError as error:
            return (f"There are no pictures: {error}",), []
        if found:
            return confused_blocks(each.method, found, facts=each.model_facts), [
                confused_sentence(each.method, found)
            ]
    return ("No anomalous image lost rank in a model for all whose features can be looked at.",), []
