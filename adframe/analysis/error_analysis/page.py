"""Which test images runs misclassify, and why: `python evaluate.py errors=[runA,runB]`, or `errors=<run>`.

Everything comes from what the runs left behind, and pictures from the dataset where it still is; no model
is loaded. Thresholds are the runs' own, or are fitted on their validation scores.
"""

from __future__ import annotations

import shlex
import string
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from adframe.analysis.compared_runs import Entrant, about, check_same, read_entrant, settings
from adframe.analysis.error_analysis.agreement import agreement, shared
from adframe.analysis.error_analysis.by_defect_size import by_extent
from adframe.analysis.error_analysis.by_type import by_type
from adframe.analysis.error_analysis.common import Part, categories_of, check_decided
from adframe.analysis.error_analysis.misclassified import mistakes
from adframe.analysis.error_analysis.probabilities import by_probability
from adframe.analysis.error_analysis.ranking import by_ranking
from adframe.analysis.error_analysis.thresholds import by_rule
from adframe.analysis.error_analysis.thumbnails import Album, OpenSource
from adframe.errors import AdframeError
from adframe.io.files import timestamped_folder
from adframe.reporting.document import Block, Page, Section, TableBlock
from adframe.reporting.format import counted, percent, span
from adframe.reporting.page_writer import write_document
from adframe.reporting.run_facts import duration
from adframe.reporting.summary import confusion
from adframe.reporting.tables import table_of
from adframe.stats.proportions import wilson

_FINDINGS = 6  # the largest number of findings of a section in the list at the top
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
    seed: int,
    root: Path | None = None,
) -> Path:
    """Writes the page with its figures and tables, and prints the findings.

    Args:
        runs: one run's folder, or several of runs on the same images.
        open_source: gives the dataset of a run, for pictures.
        output: the folder to write; by default `<first run>/errors/<time>`.
        seed: of the bootstrap.
        root: of the dataset, for the pictures; None: where each run found it.

    Returns:
        The folder.

    Raises:
        AdframeError: a folder is no run's, has no decisions, or the runs were tested on different images.
    """
    start = time.perf_counter()
    if len(runs) > len(string.ascii_uppercase):
        raise AdframeError(f"errors takes up to {len(string.ascii_uppercase)} runs, not {len(runs)}")
    if len({path.resolve() for path in runs}) < len(runs):
        raise AdframeError("errors names a run twice; give different runs' folders")
    entrants = [read_entrant(name, path) for name, path in zip(string.ascii_uppercase, runs, strict=False)]
    album = Album(open_source, root=root)
    parts = _parts(entrants, album=album, seed=seed)
    folder = output or timestamped_folder(runs[0] / "errors")
    given = f"errors=[{','.join(map(str, runs))}]"
    command = f"python evaluate.py {shlex.quote(given)}"
    study = _study(entrants, parts, album=album, command=command, start=start)
    page = write_document(folder, study, name="errors")
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for line in [study.title, *study.findings]:
        console.print(line)
    console.print(f"errors: {page}")
    return folder


def error_sections(runs: Sequence[Entrant], *, open_source: OpenSource, seed: int = 0) -> list[Section]:
    """The analysis as sections of another study's page.

    Args:
        runs: on the same images; what each is called stands in its `name`.
        open_source: gives the dataset of a run, for pictures.
        seed: of the bootstrap.

    Raises:
        AdframeError: a run has no decisions, or the runs were tested on different images.
    """
    return [part.section for part in _parts(runs, album=Album(open_source), seed=seed)]


def _parts(runs: Sequence[Entrant], *, album: Album, seed: int) -> list[Part]:
    check_decided(runs)
    for other in runs[1:]:
        check_same(runs[0], other)
    parts = [mistakes(runs, album=album), by_type(runs), by_extent(runs, seed=seed)]
    if len(runs) > 1:
        parts += [agreement(runs, album=album), by_ranking(runs, seed=seed)]
    return [*parts, by_rule(runs, seed=seed), by_probability(runs, seed=seed)]


def _study(
    runs: Sequence[Entrant], parts: Sequence[Part], *, album: Album, command: str, start: float
) -> Page:
    lacking = f"{counted(len(album.missing), 'image')} not where the run found them; their tiles are empty."
    notes = [*_NOTES, *([lacking] if album.missing else []), *_shifted(runs)]
    facts = [("runs", f"{len(runs)}"), ("images", f"{len(runs[0].images)}")]
    facts += [("categories", f"{len(categories_of(runs))}"), ("time", duration(time.perf_counter() - start))]
    return Page(
        title=_title(runs),
        question="Which test images are misclassified, what do they have in common, and could another rule "
        "for the threshold have helped?",
        findings=[finding for part in parts for finding in _few(part)],
        facts=facts,
        sections=[*(part.section for part in parts), _runs(runs)],
        command=command,
        notes=notes,
    )


def _few(part: Part) -> list[str]:
    """The first findings of a section, and how many more its tables hold."""
    left = len(part.findings) - _FINDINGS
    more = f'{counted(left, "more difference")} of this kind: see "{part.section.title}".'
    return [*part.findings[:_FINDINGS], *([more] if left > 0 else [])]


def _runs(runs: Sequence[Entrant]) -> Section:
    blocks: list[Block] = [TableBlock("runs", "The runs.", table_of([about(run) for run in runs]))]
    table = settings(runs) if len(runs) > 1 else None
    if table is not None:
        blocks.append(TableBlock("settings", "What their configurations differ in.", table))
    return Section("Runs", tuple(blocks))


def _shifted(runs: Sequence[Entrant]) -> list[str]:
    shifted = [run.name for run in runs if any(row["shift"] for row in run.images.values())]
    if not shifted:
        return []
    return [
        f"Test images of {', '.join(shifted)} were shifted; pictures that the run did not keep show them as "
        "they are on disk."
    ]


def _title(runs: Sequence[Entrant]) -> str:
    """One sentence: what is missed, and what raises a false alarm."""
    if len(runs) == 1:
        counts = confusion(list(runs[0].images.values()))
        return f"{_rate(counts.missed, counts.found, 'defective images missed')}, " + _rate(
            counts.false_alarms, counts.passed, "false alarms on normal images"
        )
    wrong = sum(len(shared(runs, category)) for category in categories_of(runs))
    who = "both runs" if len(runs) == 2 else f"all {len(runs)} runs"
    each = ", ".join(f"{run.name} {_wrong(run)}" for run in runs)
    return f"{wrong} of {len(runs[0].images)} images are misclassified by {who}; by {each}"


def _wrong(run: Entrant) -> int:
    counts = confusion(list(run.images.values()))
    return counts.missed + counts.false_alarms


def _rate(part: int, rest: int, what: str) -> str:
    whole = part + rest
    if not whole:
        return f"no {what.rsplit(' ', 1)[0]}"
    return f"{part} of {whole} {what} ({percent(part / whole)}, 95% interval {span(*wilson(part, whole))})"
