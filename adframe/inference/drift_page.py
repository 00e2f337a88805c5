"""The page and the table of a drift report."""

from __future__ import annotations

from adframe.inference.drift_report import AlarmRate, DriftReport
from adframe.reporting.document import Page, Section, TableBlock
from adframe.reporting.figure_drift import capital_figure, rate_figure, scores_figure
from adframe.reporting.format import counted, p_equals, p_value, percent, span
from adframe.reporting.tables import Column, Table, table_of_columns
from adframe.stats.alarm_rate import anytime_interval

_COLUMNS = (Column("measure", "measure"), Column("value", "value"), Column("meaning", "meaning"))
_DIRECTIONS = {"up": "higher scores", "down": "lower scores", "both": "any change"}


def drift_table(report: DriftReport) -> Table:
    """Lists the measures with their meaning in plain words.

    Args:
        report: the report.

    Returns:
        Three columns: measure, value, meaning.
    """
    shift, alpha = report.shift, f"{100 * report.settings.alpha:g}%"
    rows = [
        ("drift", "found" if report.alarm_at else "not found", _drift_meaning(report)),
        (
            "p value at any time",
            p_value(report.anytime_p),
            f"there is an alarm at {alpha} or below, however often one looks",
        ),
        ("alarm rate", _rate_text(report.rate), _rate_meaning(report.rate, alpha=alpha)),
        (
            "median",
            f"{shift.median_shift:+.2f} SD",
            "shift of the median, in standard deviations of the reference",
        ),
        ("spread", f"{shift.spread_ratio:.2f} times", "interquartile range, compared with the reference"),
        (
            "PSI",
            f"{shift.psi:.3f}",
            f"population stability index, {shift.psi_bins} bins; {shift.psi_expected:.3f} without drift",
        ),
        (
            "Kolmogorov-Smirnov",
            f"{shift.ks:.3f}",
            f"largest distance of the distributions; {p_equals(shift.ks_p)} for a single look",
        ),
    ]
    return Table(_COLUMNS, tuple(rows))


def drift_page(report: DriftReport, *, run: str, command: str = "") -> Page:
    """Builds the page.

    Args:
        report: the report.
        run: name of the run.
        command: the command that makes the page again.

    Returns:
        The page.
    """
    log, settings = report.log, report.settings
    intervals = [
        anytime_interval(alarms, block.last, alpha=settings.alpha)
        for alarms, block in zip(_running_alarms(report), report.blocks, strict=True)
    ]
    alpha = f"{100 * settings.alpha:g}%"
    figures = (
        capital_figure(
            "capital",
            caption=(
                "Capital of a bettor against `nothing changes`, who starts with 1. While nothing changes, it "
                f"ever reaches the dashed line with a chance of at most {alpha}. It falls again after a "
                "change, because later images are compared with the changed ones as well."
            ).replace("`", "'"),
            log_capital=report.log_capital,
            log_limit=report.log_limit,
            blocks=report.blocks,
            alarm_at=report.alarm_at,
        ),
        scores_figure(
            "scores",
            caption="Raw scores of consecutive images, compared with those of the reference.",
            scores=log.scores,
            blocks=report.blocks,
            reference=report.reference.scores,
            threshold=log.thresholds[0] if len(log.thresholds) == 1 else None,
            alarm_at=report.alarm_at,
        ),
        rate_figure(
            "alarm_rate",
            caption=(
                "Share of images that were called anomalous. The band is the interval of the rate up to each "
                f"moment; it misses the true rate at any of them with a chance of at most {alpha}."
            ),
            blocks=report.blocks,
            intervals=intervals,
            promised=report.rate.promised,
        ),
    )
    columns = [
        Column("images", "images"), Column("time", "time of the last image"), Column("median", "median"),
        Column("shift", "shift of the median, SD"), Column("alarms", "called anomalous"),
        Column("psi", "PSI"), Column("ks", "KS"),
    ]  # fmt: skip
    rows = [
        {
            "images": f"{block.first} to {block.last}",
            "time": "" if block.time is None else f"{block.time:%Y-%m-%d %H:%M}",
            "median": f"{block.median:.4g}",
            "shift": f"{block.median_shift:+.2f}",
            "alarms": str(block.alarms),
            "psi": f"{block.psi:.2f}",
            "ks": f"{block.ks:.2f}",
        }
        for block in report.blocks
    ]
    parts = TableBlock(
        "parts",
        "The images in the order of the log, in parts of equal length, each compared with the reference.",
        table_of_columns(columns, rows),
    )
    measures = TableBlock("drift", "The measures of drift, and what each of them says.", drift_table(report))
    form = "conformal test martingale"
    if settings.share:
        form = "martingale of scores above levels of the reference, robust to anomalies"
    return Page(
        report.headline,
        [
            ("model", f"{report.reference.model} of {run}"),
            ("images", f"{len(log.scores):,}"),
            ("reference", report.reference.source),
            ("looked for", _DIRECTIONS[settings.direction]),
            ("chance of a false alarm", f"at most {alpha} over the whole future"),
            ("test", form),
        ],
        [
            Section("Result", (measures,)),
            Section("Over time", figures),
            Section("Parts", (parts,)),
        ],
        notes=report.notes,
        command=command,
        source="drift.json and the log",
    )


def _running_alarms(report: DriftReport) -> list[int]:
    total, found = 0, []
    for block in report.blocks:
        total += block.alarms
        found.append(total)
    return found


def _drift_meaning(report: DriftReport) -> str:
    reference = f"the {report.reference.source}"
    if report.alarm_at is None:
        return f"nothing says that the scores are unlike those of {reference}"
    chance = f"{100 * report.settings.alpha:g}%"
    return (
        f"at image {report.alarm_at:,} the scores were no longer like those of {reference}; the chance that "
        f"this is a false alarm is at most {chance}"
    )


def _rate_text(rate: AlarmRate) -> str:
    return f"{percent(rate.alarms / rate.images)} ({rate.alarms} of {counted(rate.images, 'image')})"


def _rate_meaning(rate: AlarmRate, *, alpha: str) -> str:
    exact = f"exact 95% interval {span(*rate.exact)}%"
    anytime = f"at any time {span(*rate.anytime)}% (wrong with a chance of {alpha})"
    if rate.promised is None or rate.exact_p is None:
        return f"the threshold promises no rate; {exact}; {anytime}"
    verdict = "above the promise" if rate.exceeds else "the promise is not refuted"
    return (
        f"promised at most {percent(rate.promised)}: {verdict}; {exact}, {p_equals(rate.exact_p)} for a "
        f"single look; {anytime}"
    )
