"""Decisions by type of defect: what is found of each, and how many normal images raise an alarm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adframe.analysis.compare import is_significant
from adframe.analysis.compared_runs import Entrant, parts_of
from adframe.analysis.error_analysis.common import (
    DEPENDENT,
    FIGURES,
    Part,
    categories_of,
    decisions_of,
    labels_of,
    narrow,
    rows_of,
    slug,
)
from adframe.contracts import GOOD
from adframe.reporting.document import Block, Figure, Section, TableBlock
from adframe.reporting.figures import bars
from adframe.reporting.format import p_equals, p_value, percent, span
from adframe.reporting.tables import Cell, Column, Table
from adframe.stats.proportions import fisher, wilson
from adframe.stats.significance import holm

_FEWEST = 5  # images of a type, and of the others, from which on they are compared
_COLUMNS = (
    Column("category", "category"),
    Column("run", "run"),
    Column("type", "defect type"),
    Column("tp", "found (TP)"),
    Column("fn", "missed (FN)"),
    Column("tn", "passed (TN)"),
    Column("fp", "false alarms (FP)"),
    Column("share", "called anomalous", True),
    Column("interval", "95% interval"),
    Column("p", "p Holm, recall unlike other types'"),
)
_RAW = ("category", "run", "type", "tp", "fn", "tn", "fp", "share", "share_low", "share_high", "p", "p_holm")


@dataclass(frozen=True, slots=True)
class Kind:
    """The images of one type in one run."""

    category: str
    run: str
    name: str
    called: int  # anomalous
    images: int
    rest: tuple[int, int] | None  # the same of the category's other defect types; None for normal images

    @property
    def share(self) -> float:
        return self.called / self.images

    @property
    def p(self) -> float:
        """Of being found as often as the other types."""
        if self.rest is None or min(self.images, self.rest[1]) < _FEWEST:
            return float("nan")
        return fisher((self.called, self.images), self.rest)


def by_type(runs: Sequence[Entrant]) -> Part:
    """A table for all, bars by category, and which types are missed more often than the others."""
    kinds = [kind for category in categories_of(runs) for run in runs for kind in _kinds(run, category)]
    corrected = holm([kind.p for kind in kinds])
    rows = tuple(_row(kind, p) for kind, p in zip(kinds, corrected, strict=True))
    raw = tuple(_raw(kind, p) for kind, p in zip(kinds, corrected, strict=True))
    images, parts = parts_of(runs[0])
    numbers = TableBlock(
        "by_type",
        "Decisions at the calibrated threshold, in images, with Wilson's interval of the share that was "
        "called anomalous; p of Fisher's exact test of each type against the category's others, corrected "
        f"by Holm for all of the table, from {_FEWEST} images on." + (DEPENDENT if images > parts else ""),
        narrow(Table(_COLUMNS, rows)),
        raw=Table(tuple(Column(key, key) for key in _RAW), raw),
    )
    figures = [_figure(runs, kinds, category) for category in categories_of(runs)[:FIGURES]]
    blocks: list[Block] = [numbers, *figures]
    held = [_finding(k, p) for k, p in zip(kinds, corrected, strict=True) if is_significant(p) and _worse(k)]
    findings = held if images == parts else []
    return Part(Section("By type of defect", tuple(blocks)), tuple(findings))


def _kinds(run: Entrant, category: str) -> list[Kind]:
    rows = rows_of(run, category)
    labels, called = labels_of(rows), decisions_of(rows)
    names = [row["defect"] if row["label"] == 1 else GOOD for row in rows]
    whole = int((called & labels).sum()), int(labels.sum())
    found = []
    for name in sorted(set(names), key=lambda name: (name == GOOD, name)):
        own = [place for place, each in enumerate(names) if each == name]
        hits = int(called[own].sum())
        rest = None if name == GOOD else (whole[0] - hits, whole[1] - len(own))
        found.append(Kind(category, run.name, name, hits, len(own), rest))
    return found


def _row(kind: Kind, p: float) -> tuple[Cell, ...]:
    counts = _counts(kind)
    low, high = wilson(kind.called, kind.images)
    return (kind.category, kind.run, kind.name, *counts, kind.share, span(low, high), p_value(p))


def _raw(kind: Kind, p: float) -> tuple[Cell, ...]:
    interval = wilson(kind.called, kind.images)
    return (kind.category, kind.run, kind.name, *_counts(kind), kind.share, *interval, kind.p, p)


def _counts(kind: Kind) -> tuple[int | None, ...]:
    """TP, FN, TN, FP."""
    pair = (kind.called, kind.images - kind.called)
    return (None, None, pair[1], pair[0]) if kind.rest is None else (*pair, None, None)


def _figure(runs: Sequence[Entrant], kinds: Sequence[Kind], category: str) -> Figure:
    own = [kind for kind in kinds if kind.category == category]
    values = {
        f"run {run.name}": {
            kind.name: (kind.share, *wilson(kind.called, kind.images)) for kind in own if kind.run == run.name
        }
        for run in runs
    }
    return bars(
        slug("by_type", category),
        caption=f"Share of the images of {category} that are called anomalous, by type of defect; of "
        f"{GOOD} images these are false alarms. Whiskers are Wilson's 95% intervals.",
        values=values,
        y_name="called anomalous, %",
    )


def _worse(kind: Kind) -> bool:
    return kind.rest is not None and kind.share < kind.rest[0] / kind.rest[1]


def _finding(kind: Kind, p: float) -> str:
    assert kind.rest is not None
    return (
        f"Run {kind.run} misses {kind.name} in {kind.category} more often than the other types: it finds "
        f"{kind.called} of {kind.images}, {percent(kind.share)} ({span(*wilson(kind.called, kind.images))}), "
        f"compared with {percent(kind.rest[0] / kind.rest[1])} ({span(*wilson(*kind.rest))}) of the others "
        f"({p_equals(p)} after Holm's correction)."
    )
