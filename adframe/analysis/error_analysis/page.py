"""The error analysis: `python evaluate.py errors=[runA,runB]`, or `errors=<run>`.

Numbers come from the files of the runs, pictures from the runs or from the dataset; no model is loaded.
Thresholds are those of the runs, or are fitted on their validation scores.
"""

from __future__ import annotations

import shlex
import string
import time
from collections.abc import Sequence
from pathlib import Path

from adframe.analysis.compared_runs import (
    ComparedRun,
    about,
    check_same,
    differing_settings,
    read_compared_run,
)
from adframe.analysis.error_analysis.agreement import analyse_agreement, wrong_in_all_runs
from adframe.analysis.error_analysis.by_defect_size import analyse_defect_size
from adframe.analysis.error_analysis.by_type import analyse_types
from adframe.analysis.error_analysis.common import Analysed, categories_of, check_decided
from adframe.analysis.error_analysis.misclassified import analyse_mistakes
from adframe.analysis.error_analysis.probabilities import analyse_probabilities
from adframe.analysis.error_analysis.ranking import analyse_ranking
from adframe.analysis.error_analysis.thresholds import analyse_threshold_rules
from adframe.analysis.error_analysis.thumbnails import OpenSource, Thumbnails
from adframe.errors import AdframeError
from adframe.io.files import timestamped_folder
from adframe.io.program import command_of
from adframe.metrics.image_shares import image_share_interval
from adframe.reporting.document import Block, Page, Section, TableBlock
from adframe.reporting.format import counted, percent, span
from adframe.reporting.notes import say
from adframe.reporting.page_writer import write_document
from adframe.reporting.run_facts import duration
from adframe.reporting.summary import confusion
from adframe.reporting.tables import table_of
from adframe.results.predictions import Row

_FINDINGS = 6  # of a section in the list at the top of the page
_NOTES = (
    "Decisions are those of each run's own threshold, which was fitted on its validation images.",
    "Intervals are 95% intervals. The p of a comparison is corrected by Holm for all comparisons of its "
    "section; differences that are not mentioned are not significant with these images.",
)


def show_errors(
    runs: Sequence[Path],
    *,
    open_source: OpenSource,
    output: Path | None,
    root: Path | None = None,
) -> Path:
    """Writes the page of the error analysis with its figures and tables, and prints the findings.

    Args:
        runs: folders of one run, or of several runs on the same images.
        open_source: returns the dataset of a run, for pictures.
        output: the folder to write; None for `<first run>/errors/<time>`.
        root: root of the dataset, for the pictures; None for where each run found it.

    Returns:
        The folder that was written.

    Raises:
        AdframeError: a folder is no run's, has no decisions, or the runs were tested on different images.
    """
    start = time.perf_counter()
    if len(runs) > len(string.ascii_uppercase):
        raise AdframeError(f"errors takes up to {len(string.ascii_uppercase)} runs, not {len(runs)}")
    if len({path.resolve() for path in runs}) < len(runs):
        raise AdframeError("errors names a run twice; give different runs' folders")
    compared = [
        read_compared_run(name, path) for name, path in zip(string.ascii_uppercase, runs, strict=False)
    ]
    thumbnails = Thumbnails(open_source, root=root)
    parts = _analyse(compared, thumbnails=thumbnails)
    folder = output or timestamped_folder(runs[0] / "errors")
    given = f"errors=[{','.join(map(str, runs))}]"
    command = f"{command_of('evaluate')} {shlex.quote(given)}"
    study = _study(compared, parts, thumbnails=thumbnails, command=command, start=start)
    page = write_document(folder, study, name="errors")
    for line in [study.title, *study.findings]:
        say(line)
    say(f"errors: {page}")
    return folder


def error_sections(runs: Sequence[ComparedRun], *, open_source: OpenSource) -> list[Section]:
    """Returns the error analysis as sections of another study's page.

    Args:
        runs: runs on the same images, with the names that the page uses.
        open_source: returns the dataset of a run, for pictures.

    Raises:
        AdframeError: a run has no decisions, or the runs were tested on different images.
    """
    return [section for section, _ in _analyse(runs, thumbnails=Thumbnails(open_source))]


def _analyse(runs: Sequence[ComparedRun], *, thumbnails: Thumbnails) -> list[Analysed]:
    check_decided(runs)
    for other in runs[1:]:
        check_same(runs[0], other)
    parts = [
        analyse_mistakes(runs, thumbnails=thumbnails),
        analyse_types(runs),
        analyse_defect_size(runs),
    ]
    if len(runs) > 1:
        parts += [analyse_agreement(runs, thumbnails=thumbnails), analyse_ranking(runs)]
    return [*parts, analyse_threshold_rules(runs), analyse_probabilities(runs)]


def _study(
    runs: Sequence[ComparedRun],
    parts: Sequence[Analysed],
    *,
    thumbnails: Thumbnails,
    command: str,
    start: float,
) -> Page:
    lacking = (
        f"{counted(len(thumbnails.missing), 'image')} not where the run found them; their tiles are empty."
    )
    notes = [*_NOTES, *([lacking] if thumbnails.missing else []), *_shift_note(runs)]
    facts = [("runs", f"{len(runs)}"), ("images", f"{len(runs[0].images)}")]
    facts += [("categories", f"{len(categories_of(runs))}"), ("time", duration(time.perf_counter() - start))]
    return Page(
        title=_title(runs),
        question="Which test images are misclassified, what do they have in common, and could another rule "
        "for the threshold have helped?",
        findings=[finding for part in parts for finding in _first_findings(part)],
        facts=facts,
        sections=[*(section for section, _ in parts), _runs_section(runs)],
        command=command,
        notes=notes,
    )


def _first_findings(part: Analysed) -> list[str]:
    """The first findings of a section, and the number of those that only its tables have."""
    section, findings = part
    left = len(findings) - _FINDINGS
    more = f'{counted(left, "more difference")} of this kind: see "{section.title}".'
    return [*findings[:_FINDINGS], *([more] if left > 0 else [])]


def _runs_section(runs: Sequence[ComparedRun]) -> Section:
    blocks: list[Block] = [TableBlock("runs", "The runs.", table_of([about(run) for run in runs]))]
    table = differing_settings(runs) if len(runs) > 1 else None
    if table is not None:
        blocks.append(TableBlock("settings", "Settings that differ between the runs.", table))
    return Section("Runs", tuple(blocks))


def _shift_note(runs: Sequence[ComparedRun]) -> list[str]:
    shifted = [run.name for run in runs if any(row["shift"] for row in run.images.values())]
    if not shifted:
        return []
    return [
        f"Test images of {', '.join(shifted)} were shifted; pictures that the run did not keep show them as "
        "they are on disk."
    ]


def _title(runs: Sequence[ComparedRun]) -> str:
    """One sentence: what is missed, and what raises a false alarm."""
    if len(runs) == 1:
        rows = list(runs[0].images.values())
        missed = _rate_text(rows, "{} defective images missed", label=1, called=False)
        return f"{missed}, {_rate_text(rows, 'false alarms on {} normal images', label=0, called=True)}"
    wrong = sum(len(wrong_in_all_runs(runs, category)) for category in categories_of(runs))
    who = "both runs" if len(runs) == 2 else f"all {len(runs)} runs"
    each = ", ".join(f"{run.name} {_count_mistakes(run)}" for run in runs)
    return f"{wrong} of {len(runs[0].images)} images are misclassified by {who}; by {each}"


def _count_mistakes(run: ComparedRun) -> int:
    counts = confusion(list(run.images.values()))
    return counts.missed + counts.false_alarms


def _rate_text(rows: Sequence[Row], what: str, *, label: int, called: bool) -> str:
    """How many images of a label have a decision: `what` with `3 of 40`, the share and its interval."""
    among = [row["label"] == label for row in rows]
    if not (whole := sum(among)):
        return what.format("0 of 0")
    counted = [row["decision"] is called for row in rows]
    part = sum(map(all, zip(counted, among, strict=True)))
    ends = span(*image_share_interval(rows, counted=counted, among=among))
    return f"{what.format(f'{part} of {whole}')} ({percent(part / whole)}, 95% interval {ends})"
