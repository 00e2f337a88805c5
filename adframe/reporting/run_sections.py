"""Sections of a run's page about the run as a whole: thresholds, decisions, probabilities, learning, time."""

from __future__ import annotations

from adframe.reporting import run_facts, threshold_summary
from adframe.reporting.document import (
    Block,
    Card,
    Code,
    Details,
    Gallery,
    Picture,
    Section,
    TableBlock,
    Text,
)
from adframe.reporting.feature_figures import feature_figures
from adframe.reporting.figure_reliability import reliability_panels
from adframe.reporting.format import percent, span
from adframe.reporting.probability_summary import calibrations
from adframe.reporting.summary import Confusion, confusion, interval, timing
from adframe.reporting.tables import Cell, Column, Table
from adframe.reporting.training_curves import Learned, learned
from adframe.results.run_files import config_text
from adframe.results.run_folder import RunFolder

_SHOWN = 3  # trainings, or categories, whose figures are shown at once
_GROUP = "Run"


def calibration(run: RunFolder) -> Section:
    """The thresholds, how they were chosen, and what they rest on."""
    name = threshold_summary.calibration_name(run)
    lines = threshold_summary.calibrated(run)
    asked, broken = threshold_summary.asked_rate(run), threshold_summary.unsupported_fpr(run, lines)
    blocks: list[Block] = [f"Rule: {name}."] if name else []
    blocks.append(
        "Thresholds are set on validation images, never on the images that are tested here; what scores "
        "above a threshold is called anomalous. From n normal images, no false-positive rate below 1/(n + "
        "1) can be promised."
    )
    if broken and asked is not None:
        where = f" of {', '.join(broken)}" if len(broken) < len(lines) else ""
        blocks.append(
            Text(
                f"A false-positive rate of {percent(asked)} was asked for. It is lower than the validation "
                f"images{where} can support: read such a threshold as “above every normal image seen”.",
                "note",
            )
        )
    rule = threshold_summary.pixel_rule(run)
    columns = [
        Column("category", "category"),
        Column("threshold", "image threshold, raw score"),
        Column("images", "validation images"),
        Column("floor", "lowest supported FPR, %", True),
        Column("seen", "FPR in test, %", True),
    ]
    rows: list[tuple[Cell, ...]] = [
        (line.category, line.threshold, line.images, line.floor, line.seen) for line in lines
    ]
    if any(line.pixel_threshold is not None for line in lines):
        columns += [
            Column("pixel_threshold", "pixel threshold" + (f", {rule}" if rule else "")),
            Column("pixels", "normal pixels for it"),
        ]
        rows = [
            (*row, line.pixel_threshold, None if line.pixels is None else f"{line.pixels:,}")
            for row, line in zip(rows, lines, strict=True)
        ]
    blocks.append(TableBlock("thresholds", "", Table(tuple(columns), tuple(rows))))
    return Section("Calibration", tuple(blocks), anchor="calibration")


def decisions(run: RunFolder) -> Section:
    """Decisions compared with labels, for each category and, where there are several, for all images."""
    counts = [
        (name, confusion([row for row in run.rows if row["category"] == name])) for name in run.categories
    ]
    lines = [(name, count) for name, count in counts if count.total]
    if not lines:
        text = Text("There is nothing to count: no image has both a label and a decision.", "absent")
        return Section("Decisions at the threshold", (text,), anchor="decisions")
    if len(lines) > 1:
        lines.append(("all images", confusion(run.rows)))
    titles = (
        ("found", "anomalous, found"), ("missed", "anomalous, missed"), ("alarms", "normal, false alarms"),
        ("passed", "normal, passed"),
    )  # fmt: skip
    rates = (("f1", "F1"), ("precision", "precision"), ("recall", "recall"), ("fpr", "FPR"))
    columns = (
        Column("category", "category"),
        *(Column(*pair) for pair in titles),
        *(Column(*pair, True) for pair in rates),
    )
    rows = tuple((name, *_counts(count)) for name, count in lines)
    notes: dict[tuple[int, int], str] = {}
    for place, (_, count) in enumerate(lines):
        notes |= {
            (place, 1 + len(titles) + rates.index(rate)): f"({span(*ends)})"
            for rate, ends in (
                (rates[2], interval(count.found, count.found + count.missed)),
                (rates[3], interval(count.false_alarms, count.false_alarms + count.passed)),
            )
            if ends is not None
        }
    caption = "Images by decision; rates in per cent. In brackets: the 95% interval of the rate (Wilson)."
    table = TableBlock("decisions", caption, Table(columns, rows), notes=notes, total="all images")
    return Section("Decisions at the threshold", (table,), anchor="decisions")


def probabilities(run: RunFolder) -> Section | None:
    """How well the probabilities are calibrated; None where there are none."""
    found = calibrations(run)
    if not found:
        return None
    columns = (
        *(Column("category", "category"), Column("images", "images")),
        *(Column("ece", "ECE, %", True), Column("brier", "Brier score")),
    )
    rows = tuple((each.name, each.images, each.error, f"{each.brier:.3f}") for each in found)
    caption = (
        "ECE (expected calibration error) is the mean distance between predicted and observed shares over "
        "the images of all bins. The Brier score is the mean squared error of the probabilities: 0 is "
        "perfect, and a probability of 50% for every image scores 0.25."
    )
    text = (
        "Probabilities are calibrated if, of all images with a probability of 30%, three in ten are "
        "anomalous: then the dots lie on the diagonal. The share of anomalous images belongs to the test "
        "set: on a production line where defects are rarer, the same probability is too high."
    )
    diagram = (
        "Share of anomalous images by predicted probability, with 95% intervals; below: the images per bin."
    )
    panels = {each.name: {"": each.bins} for each in found}
    shown_first = dict(list(panels.items())[:_SHOWN])
    blocks: list[Block] = [
        text,
        TableBlock("probabilities", caption, Table(columns, rows), total="all images"),
        reliability_panels("reliability", caption=diagram, panels=shown_first),
    ]
    if len(panels) > _SHOWN:
        rest = {name: panel for name, panel in panels.items() if name not in shown_first}
        more = reliability_panels("reliability_more", caption=diagram, panels=rest)
        blocks.append(Details(f"{len(rest)} more", (more,)))
    return Section("Probabilities", tuple(blocks), anchor="probabilities")


def learning(run: RunFolder) -> Section | None:
    """Losses by epoch and pictures of each training; None for a method without them."""
    lessons = learned(run.path)
    if not lessons:
        return None
    text = (
        "Losses are means over an epoch; the held-out images took no part in training. The epoch with the "
        "lowest held-out loss is the one that was tested."
    )
    pictures = (
        "Pictures from left to right: the image; what was hidden of it; what was reconstructed from the "
        "rest; the error, brightest where it is largest. A good model reconstructs normal images whatever "
        "was hidden."
    )
    blocks: list[Block] = [text, *([Text(pictures)] if any(each.grid for each in lessons) else [])]
    for each in lessons[:_SHOWN]:
        blocks += _lesson(each)
    if lessons[_SHOWN:]:
        more = tuple(block for each in lessons[_SHOWN:] for block in _lesson(each))
        blocks.append(Details(f"{len(lessons) - _SHOWN} more", more))
    blocks.append(Text("The folder learning/ has all loss terms, learning rates and times of every epoch."))
    return Section("Learning", tuple(blocks), anchor="learning", group=_GROUP)


def features(run: RunFolder) -> Section | None:
    """Test images as points before and after adaptation; None for a method without adaptation."""
    figures = list(feature_figures(run.path, run.categories).values())
    if not figures:
        return None
    text = (
        "Each point is a test image, placed by the feature vector of the whole image: as it was before "
        "this run adapted the network, and as it is now."
    )
    remark = (
        "The silhouette compares distances between the groups with distances inside them, in all "
        "dimensions: 1 is far apart, 0 is one inside the other; below 0.25 there is hardly a structure. It "
        "describes these figures, and nothing was chosen by it. PCA keeps distances as well as a plane "
        "can; in t-SNE only neighbourhoods have a meaning, not the distances between clusters."
    )
    more = figures[_SHOWN:]
    folded = [Details(f"{len(more)} more", tuple(more))] if more else []
    return Section(
        "Features before and after adaptation",
        (text, *figures[:_SHOWN], *folded, Text(remark)),
        anchor="features",
        group=_GROUP,
    )


def time_and_memory(run: RunFolder) -> Section:
    """Milliseconds per image, and what the model holds."""
    parts = [(name, [row for row in run.rows if row["category"] == name]) for name in run.categories]
    timings = [timing(rows, name=name) for name, rows in parts if rows]
    if not timings:
        text = Text("No image was timed.", "absent")
        return Section("Time and memory", (text,), anchor="time", group=_GROUP)
    titles = ("category", "images", "median, ms", "95th percentile, ms", "images per second")
    held = {each.name: _held(run, each.name) for each in timings}
    columns = [*titles, *(["the model holds"] if any(held.values()) else [])]
    rows = [
        (each.name, each.images, each.median, each.slowest, each.per_second)
        + ((held[each.name] or None,) if any(held.values()) else ())
        for each in timings
    ]
    table = Table(tuple(Column(title, title) for title in columns), tuple(rows))
    block = TableBlock("time", "Time per test image, and size of the model.", table)
    return Section("Time and memory", (block,), anchor="time", group=_GROUP)


def configuration(run: RunFolder) -> Section:
    """The resolved configuration, folded away."""
    block: Block = Text("There is no config.yaml in the run's folder.", "absent")
    if run.config:
        block = Details("config.yaml, resolved", (Code(config_text(run.config)),))
    return Section("Configuration", (block,), anchor="configuration", group=_GROUP)


def environment(run: RunFolder) -> Section:
    """Versions, hardware and data, folded away."""
    hidden = ("command", "warnings")
    pairs = run_facts.flat({key: value for key, value in run.environment.items() if key not in hidden})
    block: Block = Text("There is no environment.json in the run's folder.", "absent")
    if pairs:
        table = Table((Column("name", "name"), Column("value", "value")), tuple(pairs))
        block = Details("Versions, hardware, data", (TableBlock("environment", "", table, total=""),))
    return Section("Environment", (block,), anchor="environment", group=_GROUP)


def _counts(count: Confusion) -> tuple[Cell, ...]:
    numbers = (count.found, count.missed, count.false_alarms, count.passed)
    return *numbers, count.f1, count.precision, count.recall, count.fpr


def _lesson(lesson: Learned) -> list[Block]:
    blocks: list[Block] = [lesson.figure] if lesson.figure else []
    if lesson.grid:
        columns = (
            "one row per image; the columns are the input, what was hidden, the reconstruction, the error"
        )
        title = f"{lesson.unit}: held-out normal images after epoch {lesson.epoch}"
        blocks.append(Gallery((Card((Picture(lesson.grid, alt=f"{title}: {columns}."),), title),)))
    return blocks


def _held(run: RunFolder, category: str) -> str:
    """What the model of a category holds: `74.0 MB, 12,000 rows`."""
    held = run_facts.model_facts(run, category)
    texts = [
        run_facts.size(value) if key == "bytes" else f"{value:,.10g} {key}" for key, value in held.items()
    ]
    return ", ".join(texts)
