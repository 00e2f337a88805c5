"""Questions that a study asks of several subjects: each is answered by one comparison per subject.

All comparisons that answer one question are one family for Holm's correction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from adframe.analysis.compare import Comparison, adjusted, compare_pair, unknown_pair
from adframe.analysis.settings import Setting
from adframe.analysis.statements import not_significant
from adframe.reporting.document import TableBlock
from adframe.reporting.format import gain, p_value
from adframe.reporting.tables import Cell, Column, Table
from adframe.results.names import MEAN


@dataclass(frozen=True, slots=True)
class Question:
    """One question about one subject.

    Attributes:
        subject: what it is about, such as `patchcore, severe`.
        text: what is asked, such as `image AUROC lost to the shift`.
        a: the setting that is compared with.
        b: the setting that is compared; the answer is b minus a.
        metric: such as `image/auroc`.
        categories: that are averaged.
    """

    subject: str
    text: str
    a: Setting
    b: Setting
    metric: str
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A question and the comparison that answers it."""

    subject: str
    question: str
    comparison: Comparison

    @property
    def significant(self) -> bool:
        """Whether the difference is significant."""
        return self.comparison.significant

    @property
    def value(self) -> float:
        """The difference."""
        return self.comparison.difference.value


def answer(questions: Iterable[Question]) -> list[Answer]:
    """Answers questions, in their order; those with the same text are one family."""
    asked = list(questions)
    found: dict[int, Answer] = {}
    for text in dict.fromkeys(each.text for each in asked):
        own = [(place, each) for place, each in enumerate(asked) if each.text == text]
        compared = adjusted([_comparison(each) for _, each in own])
        for (place, each), one in zip(own, compared, strict=True):
            found[place] = Answer(each.subject, text, one)
    return [found[place] for place in range(len(asked))]


def answers_table(answers: Sequence[Answer], *, caption: str) -> TableBlock:
    """The answers for people, in points with intervals; and for programs, raw."""
    titles = (
        ("subject", "subject"), ("question", "question"), ("difference", "points (95% interval)"),
        ("p", "p"), ("p_holm", "p (Holm)"),
    )  # fmt: skip
    keys = ("subject", "question", "difference", "low", "high", "p", "p_holm")
    people: list[tuple[Cell, ...]] = []
    raw: list[tuple[Cell, ...]] = []
    for each in answers:
        own, p = each.comparison.difference, each.comparison.adjusted
        start = (each.subject, each.question)
        people.append((*start, gain(own), p_value(own.p), p_value(p)))
        raw.append((*start, own.value, own.low, own.high, own.p, p))
    columns = tuple(Column(key, title) for key, title in titles)
    return TableBlock(
        "effects",
        caption,
        Table(columns, tuple(people)),
        Table(tuple(Column(k, k) for k in keys), tuple(raw)),
    )


def unanswered(answers: Sequence[Answer]) -> list[str]:
    """One sentence on the questions of which the difference is not significant; none where all are."""
    return not_significant([(f"{each.question} ({each.subject})", each.comparison) for each in answers])


def _comparison(asked: Question) -> Comparison:
    where = asked.categories[0] if len(asked.categories) == 1 else MEAN
    found = compare_pair(asked.a, asked.b, asked.metric, where, asked.categories)
    return found or unknown_pair(asked.a, asked.b, asked.metric, where)
