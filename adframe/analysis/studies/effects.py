"""Differences that a study asks about, tested together, and put into words as far as the intervals go."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from adframe.reporting.document import Numbers
from adframe.reporting.format import ends, p_value, signed
from adframe.reporting.tables import Cell, Column, Table
from adframe.stats.significance import Difference, holm

LEVEL = 0.05  # of Holm's adjusted p below which a difference is stated


@dataclass(frozen=True, slots=True)
class Effect:
    """One difference.

    Attributes:
        subject: of what: `patchcore, severe`.
        question: what it answers: `image AUROC lost to the shift`.
        difference: in shares; its p is of this one alone.
        adjusted: p by Holm's correction for all to which the study puts the same question.
    """

    subject: str
    question: str
    difference: Difference
    adjusted: float = math.nan

    @property
    def stated(self) -> bool:
        """Whether the images support that there is a difference at all."""
        found = self.difference
        return self.adjusted < LEVEL and (found.low > 0 or found.high < 0)

    def sentence(self, rises: str, falls: str) -> str:
        """`rises` or `falls` with `{}` for the amount, where the effect is stated."""
        found = self.difference
        amount = f"{100 * abs(found.value):.1f} points"
        low, high = sorted((abs(found.low), abs(found.high)))
        return (rises if found.value > 0 else falls).format(
            f"{amount} (95% interval {100 * low:.1f} to {100 * high:.1f})"
        )


def corrected(effects: Iterable[Effect]) -> list[Effect]:
    """The same with p values adjusted for how often each question is asked (Holm), in their order."""
    known = list(effects)
    found: dict[int, Effect] = {}
    for question in dict.fromkeys(effect.question for effect in known):
        places = [place for place, effect in enumerate(known) if effect.question == question]
        adjusted = holm([known[place].difference.p for place in places])
        for place, p in zip(places, adjusted, strict=True):
            found[place] = replace(known[place], adjusted=p)
    return [found[place] for place in range(len(known))]


def effect_table(effects: Sequence[Effect], *, caption: str) -> Numbers:
    """For people, in points with intervals; and for programs, raw."""
    shown = tuple(
        Column(key, title)
        for key, title in (
            ("subject", "of"), ("question", "question"), ("difference", "points"),
            ("interval", "95% interval"), ("p", "p"), ("holm", "p Holm"),
        )
    )  # fmt: skip
    keys = ("subject", "question", "difference", "low", "high", "p", "p_holm")
    people: list[tuple[Cell, ...]] = []
    raw: list[tuple[Cell, ...]] = []
    for effect in effects:
        own = effect.difference
        name = (effect.subject, effect.question)
        texts = (signed(own.value), ends(own.low, own.high), p_value(own.p), p_value(effect.adjusted))
        people.append((*name, *texts))
        raw.append((*name, own.value, own.low, own.high, own.p, effect.adjusted))
    columns = tuple(Column(key, key) for key in keys)
    return Numbers("effects", caption, Table(shown, tuple(people)), Table(columns, tuple(raw)))


def undecided(effects: Sequence[Effect]) -> list[str]:
    """One sentence on what the images could not show, and how much it could be; [] if they show all."""
    open_ = [effect for effect in effects if not effect.stated and math.isfinite(effect.difference.low)]
    if not open_:
        return []
    parts = [
        f"{effect.question} of {effect.subject} ({signed(effect.difference.value)}, "
        f"{100 * effect.difference.low:.1f} to {100 * effect.difference.high:.1f})"
        for effect in open_[:6]
    ]
    more = f" and {len(open_) - 6} more in the table" if len(open_) > 6 else ""
    return [f"These images cannot tell from no difference: {'; '.join(parts)}{more}."]
