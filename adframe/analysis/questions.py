"""Questions that a study asks about several subjects: each is answered by one comparison per subject.

All comparisons that answer one question are one family for Holm's correction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from adframe.analysis.compare import Comparison, compare_pair, correct_by_holm
from adframe.analysis.settings import Setting
from adframe.analysis.statements import not_significant_sentences
from adframe.reporting.document import TableBlock
from adframe.reporting.format import gain, p_value
from adframe.reporting.tables import Column, table_of_columns
from adframe.results.names import MEAN
from adframe.stats.estimates import NO_DIFFERENCE

_ANSWER_COLUMNS = (
    Column("subject", "subject"),
    Column("question", "question"),
    Column("points", "points (95% interval)"),
    Column("p_text", "p"),
    Column("p_holm_text", "p (Holm)"),
)
_ANSWER_CSV_COLUMNS = tuple(
    Column(key, key) for key in ("subject", "question", "difference", "low", "high", "p", "p_holm")
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The comparison that answers a question about one subject.

    Attributes:
        subject: the subject, such as `patchcore, severe`.
        question: the text of the question, such as `image AUROC lost to the shift`.
        comparison: the comparison that answers it.

    Example:
        >>> from adframe.stats.estimates import Difference
        >>> lost = Difference(-0.25, -0.5, -0.125, p=0.001)
        >>> comparison = Comparison("clean", "shifted", "mean", "image/auroc", lost, adjusted=0.002)
        >>> answer = Answer("patchcore, severe", "image AUROC lost to the shift", comparison)
        >>> answer.significant, answer.value
        (True, -0.25)
    """

    subject: str
    question: str
    comparison: Comparison

    @property
    def significant(self) -> bool:
        """Whether the difference is significant."""
        return self.comparison.significant

    @property
    def value(self) -> float:
        """The difference as a share in [-1, 1]; NaN where it is unknown."""
        return self.comparison.difference.value


def answer_question(
    subject: str, question: str, a: Setting, b: Setting, *, metric: str, categories: Sequence[str]
) -> Answer:
    """Answers one question about one subject, without a correction for other questions.

    Args:
        subject: the subject, such as `patchcore, severe`.
        question: the text of the question.
        a: the setting that is the reference.
        b: the setting that is compared with it; the answer is b minus a.
        metric: such as `image/auroc`.
        categories: the categories over which the difference is averaged.

    Returns:
        The answer; its difference is NaN where the metric is unknown.
    """
    where = categories[0] if len(categories) == 1 else MEAN
    found = compare_pair(a, b, metric, where, categories)
    return Answer(subject, question, found or Comparison(a.name, b.name, where, metric, NO_DIFFERENCE))


def correct_answers(answers: Sequence[Answer]) -> list[Answer]:
    """Corrects the p values of answers by Holm's method; answers to the same question are one family.

    Args:
        answers: answers without a correction.

    Returns:
        The same answers in the same order.
    """
    found = list(answers)
    for question in dict.fromkeys(each.question for each in answers):
        places = [place for place, each in enumerate(answers) if each.question == question]
        corrected = correct_by_holm([answers[place].comparison for place in places])
        for place, comparison in zip(places, corrected, strict=True):
            found[place] = replace(found[place], comparison=comparison)
    return found


def answers_table(answers: Sequence[Answer], *, caption: str) -> TableBlock:
    """Builds the table of answers: differences in points on the page, unrounded shares in the CSV file.

    Args:
        answers: corrected answers, one row each.
        caption: the caption of the table.

    Returns:
        The table, which is written to `effects.csv`.
    """
    rows = [
        {
            "subject": each.subject,
            "question": each.question,
            "difference": each.value,
            "low": each.comparison.difference.low,
            "high": each.comparison.difference.high,
            "p": each.comparison.difference.p,
            "p_holm": each.comparison.adjusted,
            "points": gain(each.comparison.difference),
            "p_text": p_value(each.comparison.difference.p),
            "p_holm_text": p_value(each.comparison.adjusted),
        }
        for each in answers
    ]
    return TableBlock(
        "effects",
        caption,
        table_of_columns(_ANSWER_COLUMNS, rows),
        raw=table_of_columns(_ANSWER_CSV_COLUMNS, rows),
    )


def insignificant_answers(answers: Sequence[Answer]) -> list[str]:
    """Writes a sentence on the answers whose difference is not significant.

    Args:
        answers: corrected answers.

    Returns:
        One sentence; none where all differences are significant.
    """
    return not_significant_sentences(
        [(f"{each.question} ({each.subject})", each.comparison) for each in answers]
    )
