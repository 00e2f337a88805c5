"""Compares finished runs on the same images: `python evaluate.py compare=[runA,runB]`.

Everything comes from the predictions of the runs; no model is loaded and no image is read.
"""

from __future__ import annotations

import shlex
import string
from collections.abc import Sequence
from pathlib import Path

from adframe.analysis.compared_runs import (
    ComparedRun,
    about,
    check_same,
    differing_settings,
    fused,
    read_compared_run,
)
from adframe.analysis.comparison_table import (
    Line,
    across,
    for_people,
    for_programs,
    lines_of,
    remarks,
    verdict,
)
from adframe.analysis.decision_sentences import decision_sentences
from adframe.errors import AdframeError
from adframe.io.files import timestamped_folder, write_whole
from adframe.io.program import command_of
from adframe.reporting.console import print_wide
from adframe.reporting.document import Block, Details, Page, Section, TableBlock, Text
from adframe.reporting.format import counted
from adframe.reporting.latex import label_of
from adframe.reporting.notes import say
from adframe.reporting.page_writer import render_page
from adframe.reporting.tables import Table, table_of

_OPEN_SETTINGS = 8  # up to this number of settings are shown without a click
_FUSED = (
    "The row with + is the mean of the runs' scores, each normalised by the run's normal validation images."
)


def write_comparison(runs: list[Path], *, output: Path | None, fuse: bool = False) -> Path:
    """Prints how the runs differ in image AUROC; writes a page, a CSV, a Markdown and a LaTeX table.

    Args:
        runs: folders of two or more runs; each is compared with the first.
        output: the folder to write; None for `<first run>/comparisons/<time>`.
        fuse: whether the mean of all runs' normalised scores is added as one more run.

    Returns:
        The folder that was written.

    Raises:
        AdframeError: a folder is no run's, or the runs were tested on different images.
    """
    if len(runs) < 2 or len(runs) > len(string.ascii_uppercase):
        raise AdframeError(f"compare takes 2 to {len(string.ascii_uppercase)} runs, not {len(runs)}")
    if len({path.resolve() for path in runs}) < len(runs):
        raise AdframeError("compare names a run twice; give different runs' folders")
    compared = [
        read_compared_run(name, path) for name, path in zip(string.ascii_uppercase, runs, strict=False)
    ]
    for other in compared[1:]:
        check_same(compared[0], other)
    lines = lines_of([*compared, fused(compared)] if fuse else compared)
    folder = output or timestamped_folder(runs[0] / "comparisons")
    notes = [
        *decision_sentences(compared),
        *across(lines),
        *remarks(compared[0]),
        *([_FUSED] if fuse else []),
    ]
    command = f"compare=[{','.join(str(each.run.path) for each in compared)}]"
    given = [shlex.quote(command), *(["fuse=true"] if fuse else [])]
    _write(folder, compared, lines, notes=notes, command=f"{command_of('evaluate')} {' '.join(given)}")
    print_wide(for_people(lines), rest="comparison.csv")
    for each in compared:
        say(f"{each.name}: {each.run.path}")
    for note in notes:
        say(note)
    say(f"comparison: {folder / 'comparison.html'}")
    return folder


def _write(
    folder: Path,
    compared: Sequence[ComparedRun],
    lines: Sequence[Line],
    *,
    notes: Sequence[str],
    command: str,
) -> None:
    table, runs = for_people(lines), table_of([about(each) for each in compared])
    title = verdict(lines)
    text = "\n".join([f"# {title}\n", runs.to_markdown(), table.to_markdown(), *notes, ""])
    page = Page(
        title=title,
        facts=[("runs", f"{len(compared)}"), ("images", f"{len(compared[0].images):,}")],
        sections=[
            Section("Image AUROC", (_results(table), *notes), anchor="results"),
            _runs(compared, runs),
            Section("How to read this", _reading(), anchor="reading"),
        ],
        command=command,
        again="Compare again",
    )
    write_whole(folder / "comparison.csv", for_programs(lines).to_csv())
    write_whole(folder / "comparison.md", text)
    write_whole(
        folder / "comparison.tex",
        table.to_latex(caption=f"{title}.", label=label_of("comparison", folder.name)),
    )
    write_whole(folder / "comparison.html", render_page(page))


def _runs(compared: Sequence[ComparedRun], runs: Table) -> Section:
    differing = differing_settings(compared)
    blocks: tuple[Block, ...] = (Text("Apart from their folders, the runs have the same configuration."),)
    if differing is not None:
        summary = f"{counted(len(differing.rows), 'setting')} that differ"
        block = TableBlock("settings", "Settings that differ between the runs.", differing)
        blocks = (Details(summary, (block,), is_open=len(differing.rows) <= _OPEN_SETTINGS),)
    return Section("Runs", (TableBlock("runs", "", runs), *blocks), anchor="runs")


def _results(table: Table) -> TableBlock:
    caption = (
        "Image AUROC in per cent with its 95% interval, the difference from run A in percentage points, "
        "and p values of that difference. The images are the same for every run."
    )
    return TableBlock("results", caption, table)


def _reading() -> tuple[Block, ...]:
    return (
        "An interval covers the AUROC on other images of the same kind with a probability of 95%; "
        "docs/metrics.md says how it is made and how often it really does. It is the interval of the run's "
        "own report. All runs are resampled alike, so a difference can be significant although the intervals "
        "of the runs overlap: use the interval of the difference.",
        "The p value is the probability of so large a difference if neither run were better. Holm's "
        "correction raises it for the number of comparisons in the table; below 0.05 after that, the "
        "difference is significant. The intervals of differences are simultaneous: all of them together "
        "hold with a probability of 95%, and one excludes zero exactly where the difference is significant.",
        "The test is about these models and other images; it says nothing about training the models again "
        "with another seed.",
    )
