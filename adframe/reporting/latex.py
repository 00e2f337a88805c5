"""Tables of results for papers, for the LaTeX packages booktabs and siunitx."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adframe.reporting.format import capitalised
from adframe.reporting.tables import latex_text
from adframe.stats.estimates import Estimate

_PREAMBLE = "% \\usepackage{booktabs,siunitx}\n"
_ALIKE = "{$^{*}$}"  # in braces, because siunitx would read it as part of the number
_NO_LABEL = re.compile(r"[^A-Za-z0-9.:+-]+")


@dataclass(frozen=True, slots=True)
class PaperColumn:
    """A column of numbers.

    Attributes:
        title: its heading.
        values: row -> the number as a share in [0, 1]; a missing row has no number.
        alike: rows that do not differ significantly from the best one; None where this was not tested.
        lowest: whether the lowest number is the best one.

    Example:
        >>> PaperColumn("image AUROC", {"0.1": Estimate(0.987), "0.2": Estimate(0.981)}).best
        ['0.1']
    """

    title: str
    values: Mapping[str, Estimate]
    alike: frozenset[str] | None = None
    lowest: bool = False

    @property
    def best(self) -> list[str]:
        """The rows with the best number, as it is printed; several may have the same."""
        known = {row: round(100 * each.value, 1) for row, each in self.values.items() if each.known}
        if not known:
            return []
        extreme = (min if self.lowest else max)(known.values())
        return [row for row, value in known.items() if value == extreme]

    @property
    def has_spread(self) -> bool:
        """Whether the numbers are means over several seeds."""
        return any(math.isfinite(each.spread) for each in self.values.values())


def paper_table(
    first: str, rows: Sequence[str], columns: Sequence[PaperColumn], *, caption: str, label: str
) -> str:
    """Writes a table with aligned percentages: the best of a column is bold, `*` marks its equals.

    Args:
        first: the heading of the first column.
        rows: the names of the rows, in order.
        columns: the columns of numbers.
        caption: what the numbers are; sentences on marks and deviations are added.
        label: of the table, such as `tab:memory:results`.

    Returns:
        LaTeX text.
    """
    sides = "l" + "".join(f"\n  {_format(column)}" for column in columns)
    heading = " & ".join([latex_text(first), *(_spanned(latex_text(each.title), each) for each in columns)])
    lines = [
        " & ".join([_first_cell(row), *(_cell(row, each, many=len(rows) > 1) for each in columns)])
        for row in rows
    ]
    body = "".join(f"{line} \\\\\n" for line in lines)
    return (
        f"{_PREAMBLE}\\begin{{table}}\n\\centering\n"
        f"\\caption{{{latex_text(caption + _legend(columns, many=len(rows) > 1))}}}\n\\label{{{label}}}\n"
        f"\\begin{{tabular}}{{{sides}}}\n\\toprule\n{heading} \\\\\n\\midrule\n{body}\\bottomrule\n"
        "\\end{tabular}\n\\end{table}\n"
    )


def label_of(study: str, table: str) -> str:
    """Returns the label of a table, which no table of another study has.

    Args:
        study: the name of the study, such as `memory`.
        table: the name of the table in it.

    Returns:
        `tab:<study>:<table>`, with a hyphen for everything that a label cannot have.

    Example:
        >>> label_of("mask_ratio", "results")
        'tab:mask-ratio:results'
    """
    return ":".join(["tab", *(_NO_LABEL.sub("-", part).strip("-") for part in (study, table))])


def study_of(command: str, *, default: str) -> str:
    """Returns a name for the study that a command runs.

    Args:
        command: a command line with overrides.
        default: the name where the command has neither an experiment nor swept keys.

    Returns:
        The experiment, or the keys that have several values.

    Example:
        >>> study_of("python sweep.py -m model.coreset=0.1,0.2 seed=0,1", default="study")
        'coreset-seed'
    """
    if found := re.search(r"\bexperiment=(\w+)", command):
        return found[1]
    swept = re.findall(r"(?:^|\s)'?\+*([\w./@]+)=[^\s\[{,]+,", command)
    return "-".join(key.rpartition(".")[2] for key in swept) or default


def _format(column: PaperColumn) -> str:
    """Returns the columns of a `tabular`: one of means, and one of deviations where there are some."""
    known = [each for each in column.values.values() if each.known]
    means = [f"{100 * each.value:.1f}" for each in known]
    spreads = [f"{100 * each.spread:.1f}" for each in known if math.isfinite(each.spread)]
    # Without `detect-weight`, which versions 2 and 3 of siunitx take, a bold number would not be bold.
    after = ",table-space-text-post={*}" if column.alike else ""
    if not column.has_spread:
        return f"S[table-format={_digits(means)}.1,detect-weight=true{after}]"
    # siunitx's own uncertainties would leave out a deviation of 0.0, and print only a part of them bold.
    return (
        f"S[table-format={_digits(means)}.1,detect-weight=true,table-number-alignment=right]@{{${{}}\\pm{{}}$}}"
        f"S[table-format={_digits(spreads)}.1,detect-weight=true,table-number-alignment=left{after}]"
    )


def _digits(numbers: Sequence[str]) -> int:
    """Returns the largest number of digits before the decimal point."""
    return max((len(number) - 2 for number in numbers), default=2)


def _cell(row: str, column: PaperColumn, *, many: bool) -> str:
    each = column.values.get(row)
    if each is None or not each.known:
        return _spanned("--", column)
    parts = [f"{100 * each.value:.1f}"]
    if column.has_spread:
        parts.append(f"{100 * each.spread:.1f}" if math.isfinite(each.spread) else "{--}")
    if many and row in column.best:
        parts = [f"\\bfseries {part}" for part in parts]
    elif column.alike and row in column.alike:
        parts[-1] += _ALIKE
    return " & ".join(parts)


def _spanned(text: str, column: PaperColumn) -> str:
    return f"\\multicolumn{{2}}{{c}}{{{text}}}" if column.has_spread else f"{{{text}}}"


def _first_cell(row: str) -> str:
    text = latex_text(row)
    return "{}" + text if text.startswith(("[", "*")) else text  # `\\` would read it as its argument


def _legend(columns: Sequence[PaperColumn], *, many: bool) -> str:
    parts = ["mean ± standard deviation over seeds"] if any(each.has_spread for each in columns) else []
    if many:
        parts.append("bold: best")
    if any(each.alike for each in columns):
        tested = [each.title for each in columns if each.alike is not None]
        where = f" (tested for {' and '.join(tested)})" if len(tested) < len(columns) else ""
        parts.append(f"*: not significantly different from the best{where}")
    return f" {capitalised('; '.join(parts))}." if parts else ""
