"""Asks what a domain shift costs, and writes findings: false alarms next to missed defects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from adframe.analysis.questions import Answer, answer_question, insignificant_answers
from adframe.analysis.studies.shift_results import ShiftCase
from adframe.reporting.format import amount, counted, hundredths, percent
from adframe.reporting.threshold_summary import category_thresholds

_DECISIONS = {  # metric -> its name in questions and sentences; the order is that of the sentences
    "image/fpr": "false-positive rate",
    "image/f1": "F1",
    "image/recall": "recall",
    "image/balanced_accuracy": "balanced accuracy",
}
_AUROC_LOSS = "image AUROC lost to the shift"
_REFITTED_AUROC = "image AUROC after refitting"
_REFITTED_LOSS = "image AUROC after refitting, compared with clean"
_FROZEN = {name: f"{name} at the frozen threshold" for name in _DECISIONS.values()}
_RECALIBRATED = {name: f"{name} after recalibration" for name in _DECISIONS.values()}
_SENTENCES = {  # question -> (sentence for a positive difference, sentence for a negative one)
    _AUROC_LOSS: ("the shift raises image AUROC by {}", "the shift lowers image AUROC by {}"),
    _REFITTED_AUROC: (
        "refitting the model raises image AUROC by {}",
        "refitting the model lowers image AUROC by {}",
    ),
    _REFITTED_LOSS: (
        "image AUROC of the refitted model is higher than on clean images by {}",
        "image AUROC of the refitted model is lower than on clean images by {}",
    ),
}
_MUCH = 0.05  # a loss of this size is named although it is not significant


def shift_answers(case: ShiftCase) -> list[Answer]:
    """Answers the questions about one method under one domain, in the mean over the categories.

    Args:
        case: the tests of the method.

    Returns:
        Answers without a correction for each other; questions without tests are left out.
    """
    questions = [(_AUROC_LOSS, case.clean, case.frozen, "image/auroc")]
    questions += [(_FROZEN[name], case.clean, case.frozen, metric) for metric, name in _DECISIONS.items()]
    if case.threshold:
        questions += [
            (_RECALIBRATED[name], case.frozen, case.threshold, metric) for metric, name in _DECISIONS.items()
        ]
    if case.refitted:
        questions += [
            (_REFITTED_AUROC, case.frozen, case.refitted, "image/auroc"),
            (_REFITTED_LOSS, case.clean, case.refitted, "image/auroc"),
        ]
    return [
        answer_question(subject_of(case), text, before, after, metric=metric, categories=case.categories)
        for text, before, after, metric in questions
    ]


def subject_of(case: ShiftCase) -> str:
    """Names a case in tables and sentences.

    Args:
        case: the case.

    Returns:
        Method and shift.
    """
    return f"{case.method}, {case.domain}"


def shift_findings(answers: Sequence[Answer], *, images: Mapping[str, int] | None = None) -> list[str]:
    """Writes the findings of the study.

    What a threshold changes is one sentence: a loss of F1, recall or balanced accuracy stands next to the
    false alarms, where it is significant, or where it is at least 5 points.

    Args:
        answers: corrected answers.
        images: subject -> number of normal validation images of its smallest category.

    Returns:
        One sentence per method, shift and change, then one on the differences that are not significant.
    """
    found, named = [], list[Answer]()
    for subject in dict.fromkeys(each.subject for each in answers):
        own = {each.question: each for each in answers if each.subject == subject}
        count = (images or {}).get(subject)
        on = "" if count is None else f" on {counted(count, 'normal validation image')}"
        parts = []
        for question, answer in own.items():
            if question == _FROZEN["false-positive rate"]:
                parts.append(_clause("with the frozen threshold the shift", own, _FROZEN, named))
            elif question == _RECALIBRATED["false-positive rate"]:
                parts.append(_clause(f"recalibrating the threshold{on}", own, _RECALIBRATED, named))
            elif question in _SENTENCES and answer.significant:
                parts.append(
                    _SENTENCES[question][answer.value < 0].format(amount(answer.comparison.difference))
                )
        found += [f"{subject}: {part}." for part in parts if part]
    return [*found, *insignificant_answers([each for each in answers if each not in named])]


def shift_title(answers: Sequence[Answer]) -> str:
    """Writes the title of the page: the largest losses of decisions, and of the ranking.

    Args:
        answers: corrected answers.

    Returns:
        One sentence without a full stop.
    """
    questions = {
        "balanced accuracy with the frozen threshold": _FROZEN["balanced accuracy"],
        "image AUROC": _AUROC_LOSS,
    }
    single = len({each.subject for each in answers}) == 1

    def largest_loss(name: str, question: str) -> list[str]:
        own = [each for each in answers if each.question == question and each.significant and each.value < 0]
        if not own:
            return []
        worst = min(own, key=lambda each: each.value)
        size = f"{hundredths(-worst.value)} points of {name}"
        return [size if single else f"up to {size} ({worst.subject})"]

    parts = [part for name, question in questions.items() for part in largest_loss(name, question)]
    title = "The shift causes no significant loss of balanced accuracy or of image AUROC"
    if parts:
        title = f"The shift costs {' and '.join(parts)}"
    harm = largest_loss("F1", _RECALIBRATED["F1"])
    return f"{title}; recalibrating costs {harm[0]}" if harm else title


def validation_images(cases: Sequence[ShiftCase]) -> dict[str, int]:
    """Counts the normal validation images behind the thresholds.

    Args:
        cases: the cases of the study.

    Returns:
        Subject -> number of images of its smallest category, where it is known.
    """
    found = {}
    for case in cases:
        facts = [test.folder.val.get(test.fitted) or {} for test in case.clean.runs]
        counts = [count for each in facts if (count := each.get("calibration/n")) and math.isfinite(count)]
        if counts:
            found[subject_of(case)] = int(min(counts))
    return found


def threshold_notes(cases: Sequence[ShiftCase]) -> list[str]:
    """Warns where the number of validation images cannot support the rate that a threshold promises.

    Args:
        cases: the cases of the study.

    Returns:
        One note for the smallest validation set, or none. A rule without a rate gets the lowest rate that
        any threshold of so many images could guarantee.
    """
    folders = {test.folder.path: test.folder for case in cases for test in case.clean.runs}
    lines = [line for folder in folders.values() for line in category_thresholds(folder) if line.images]
    if not lines:
        return []
    short = [line for line in lines if not line.is_supported]
    if short:
        worst = min(short, key=lambda line: (line.images or 0) / (line.needed or 1))
        return [
            "There are too few validation images for the threshold, also after recalibration. "
            f"{worst.sentence}"
        ]
    if all(line.promised is not None for line in lines):
        return []
    fewest = min(line.images or 0 for line in lines)
    return [
        f"The smallest validation set has {counted(fewest, 'normal image')}: its threshold cannot guarantee "
        f"a false-positive rate below {percent(1 / (fewest + 1))}, also after recalibration."
    ]


def _clause(start: str, own: Mapping[str, Answer], questions: Mapping[str, str], named: list[Answer]) -> str:
    """Writes the changes of all decision metrics in one clause, and adds their answers to `named`."""
    parts = []
    for name, question in questions.items():
        answer = own.get(question)
        if answer is not None and _is_named(answer, name):
            verb = "raises" if answer.value > 0 else "lowers"
            article = "the " if name == "false-positive rate" else ""
            size = amount(answer.comparison.difference)
            if not answer.significant:
                size = f"{size.removesuffix(')')}; not significant)"
            parts.append(f"{verb} {article}{name} by {size}")
            named.append(answer)
    if not parts:
        return ""
    return f"{start} {', '.join(parts[:-1])}{' and ' if parts[1:] else ''}{parts[-1]}"


def _is_named(answer: Answer, name: str) -> bool:
    """Returns whether a sentence names a difference: a significant one, or a large loss."""
    loss = answer.value if name == "false-positive rate" else -answer.value
    return answer.significant or loss >= _MUCH
