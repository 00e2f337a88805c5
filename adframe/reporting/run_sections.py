"""The sections of a run's page about the whole run: thresholds, decisions, probabilities, learning, time."""

from __future__ import annotations

from adframe.calibration.rules import rate_text
from adframe.metrics.image_shares import image_share_interval
from adframe.reporting import run_facts, threshold_summary
from adframe.reporting.document import (
    Block,
    Card,
    CardGallery,
    Code,
    Details,
    Picture,
    Section,
    TableBlock,
    Text,
)
from adframe.reporting.feature_figures import feature_figures
from adframe.reporting.figure_reliability import reliability_panels
from adframe.reporting.format import counted, span
from adframe.reporting.probability_summary import calibrations
from adframe.reporting.summary import confusion, latency_summary
from adframe.reporting.tables import Cell, Column, Table
from adframe.reporting.training_curves import TrainingCurve, training_curves
from adframe.results.run_files import config_text
from adframe.results.run_folder import RunFolder

_SHOWN_FIRST = 3  # trainings, or categories, whose figures are shown at once; the others are folded
_GROUP = "Run"


def calibration_section(run: RunFolder) -> Section:
    """Shows the thresholds, the rules that chose them, and the number of images behind them.

    Args:
        run: the run.

    Returns:
        The section.
    """
    name = threshold_summary.calibration_name(run)
    lines = threshold_summary.category_thresholds(run)
    blocks: list[Block] = [f"Rule: {name}."] if name else []
    blocks.append(
        "Thresholds are set on validation images, never on the test images; an image or pixel with a higher "
        "score than its threshold is called anomalous."
    )
    supported = all(line.is_supported for line in lines)
    sentences = threshold_summary.promise_sentences(run)
    blocks += sentences if supported else [Text(sentence, "note") for sentence in sentences]
    rule = threshold_summary.pixel_rule(run)
    columns = [
        Column("category", "category"),
        Column("threshold", "image threshold, raw score"),
        Column("images", "validation images"),
        Column("floor", "lowest FPR that they can guarantee, %", True),
        Column("seen", "FPR on test images, %", True),
    ]
    rows: list[tuple[Cell, ...]] = [
        (line.category, line.threshold, line.images, line.floor, line.test_fpr) for line in lines
    ]
    if any(line.pixel_threshold is not None for line in lines):
        columns += [
            Column("pixel_threshold", "pixel threshold" + (f", {rule}" if rule else "")),
            Column("pixels", "normal pixels behind it"),
        ]
        rows = [
            (*row, line.pixel_threshold, None if line.pixels is None else f"{line.pixels:,}")
            for row, line in zip(rows, lines, strict=True)
        ]
    if promised := next((line.promised for line in lines if line.promised is not None), None):
        columns.insert(3, Column("needed", f"images needed for an FPR of {rate_text(promised)}"))
        rows = [(*row[:3], line.needed, *row[3:]) for row, line in zip(rows, lines, strict=True)]
    blocks.append(TableBlock("thresholds", "", Table(tuple(columns), tuple(rows))))
    return Section("Calibration", tuple(blocks), anchor="calibration")


def decisions_section(run: RunFolder) -> Section:
    """Compares decisions with labels, for each category and, where there are several, for all images.

    Args:
        run: the run.

    Returns:
        The section.
    """
    decided = [row for row in run.rows if row["label"] is not None and row["decision"] is not None]
    rows_of = {name: [row for row in decided if row["category"] == name] for name in run.categories}
    rows_of = {name: rows for name, rows in rows_of.items() if rows}
    if not rows_of:
        text = Text("There is nothing to count, because no image has both a label and a decision.", "absent")
        return Section("Decisions at the threshold", (text,), anchor="decisions")
    if len(rows_of) > 1:
        rows_of["all images"] = decided
    lines = [(name, confusion(rows)) for name, rows in rows_of.items()]
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
    rows = tuple(
        (
            name, count.found, count.missed, count.false_alarms, count.passed,
            count.f1, count.precision, count.recall, count.fpr,
        )
        for name, count in lines
    )  # fmt: skip
    notes: dict[tuple[int, int], str] = {}
    for place, own in enumerate(rows_of.values()):
        called = [row["decision"] for row in own]
        for rate, label in ((rates[2], 1), (rates[3], 0)):
            among = [row["label"] == label for row in own]
            if any(among):
                ends = span(*image_share_interval(own, counted=called, among=among))
                notes[place, 1 + len(titles) + rates.index(rate)] = f"({ends})"
    caption = "Images by decision; rates in per cent. In brackets: the 95% interval of the rate."
    table = TableBlock("decisions", caption, Table(columns, rows), notes=notes, total="all images")
    return Section("Decisions at the threshold", (table,), anchor="decisions")


def probabilities_section(run: RunFolder) -> Section | None:
    """Shows how well the probabilities are calibrated.

    Args:
        run: the run.

    Returns:
        The section; None where there are no probabilities.
    """
    found = calibrations(run)
    if not found:
        return None
    columns = (
        *(Column("category", "category"), Column("images", "images")),
        *(Column("ece", "ECE, %", True), Column("brier", "Brier score")),
    )
    rows = tuple((each.name, each.images, each.error, f"{each.brier:.3f}") for each in found)
    caption = (
        "ECE (expected calibration error) is the mean distance between predicted probabilities and observed "
        "shares of the bins, weighted by their images. The Brier score is the mean squared error of the "
        "probabilities: 0 is perfect, and a probability of 50% for every image scores 0.25."
    )
    text = (
        "Probabilities are calibrated if, for example, three in ten images with a probability of 30% are "
        "anomalous: then the dots lie on the diagonal. The probabilities depend on the share of anomalous "
        "images: on a production line where defects are rarer, they are too high."
    )
    diagram = (
        "Share of anomalous images by predicted probability, with 95% intervals; below: the images per bin."
    )
    panels = {each.name: {"": each.bins} for each in found}
    shown_first = dict(list(panels.items())[:_SHOWN_FIRST])
    blocks: list[Block] = [
        text,
        TableBlock("probabilities", caption, Table(columns, rows), total="all images"),
        reliability_panels("reliability", caption=diagram, panels=shown_first),
    ]
    if len(panels) > _SHOWN_FIRST:
        rest = {name: panel for name, panel in panels.items() if name not in shown_first}
        more = reliability_panels("reliability_more", caption=diagram, panels=rest)
        blocks.append(Details(f"{len(rest)} more", (more,)))
    return Section("Probabilities", tuple(blocks), anchor="probabilities")


def learning_section(run: RunFolder) -> Section | None:
    """Shows losses by epoch and pictures of each training.

    Args:
        run: the run.

    Returns:
        The section; None for a method without training.
    """
    trainings = training_curves(run.path)
    if not trainings:
        return None
    text = (
        "Training losses are means over an epoch; the held-out images were not used for training. The "
        "weights of the epoch with the lowest held-out loss were tested."
    )
    pictures = (
        "Pictures from left to right: the image; the image with hidden patches; the reconstruction; the "
        "error, brightest where it is largest. A good model reconstructs normal images whichever patches "
        "are hidden."
    )
    blocks: list[Block] = [text, *([Text(pictures)] if any(each.grid for each in trainings) else [])]
    for each in trainings[:_SHOWN_FIRST]:
        blocks += _training_blocks(each)
    if trainings[_SHOWN_FIRST:]:
        more = tuple(block for each in trainings[_SHOWN_FIRST:] for block in _training_blocks(each))
        blocks.append(Details(f"{len(trainings) - _SHOWN_FIRST} more", more))
    blocks.append(Text("The folder learning/ has all loss terms, learning rates and times of every epoch."))
    return Section("Learning", tuple(blocks), anchor="learning", group=_GROUP)


def features_section(run: RunFolder) -> Section | None:
    """Shows test images as points before and after adaptation.

    Args:
        run: the run.

    Returns:
        The section; None for a method without adaptation.
    """
    figures = list(feature_figures(run.path, run.categories).values())
    if not figures:
        return None
    text = (
        "Each point is the feature vector of a whole test image, before and after this run adapted the "
        "network."
    )
    remark = (
        "The silhouette compares distances between the groups with distances inside them, in all "
        "dimensions: 1 means separate groups, 0 means overlapping groups; below 0.25 there is hardly any "
        "structure. It only describes these figures; nothing was chosen by it. PCA keeps distances as well "
        "as a plane can; in t-SNE only neighbourhoods have a meaning, not distances between clusters."
    )
    more = figures[_SHOWN_FIRST:]
    folded = [Details(f"{len(more)} more", tuple(more))] if more else []
    return Section(
        "Features before and after adaptation",
        (text, *figures[:_SHOWN_FIRST], *folded, Text(remark)),
        anchor="features",
        group=_GROUP,
    )


def time_section(run: RunFolder) -> Section:
    """Shows milliseconds per image, and the size of the model.

    Args:
        run: the run.

    Returns:
        The section.
    """
    parts = [(name, [row for row in run.rows if row["category"] == name]) for name in run.categories]
    timings = {name: (len(rows), *latency_summary(rows)) for name, rows in parts if rows}
    if not timings:
        text = Text("No image was timed.", "absent")
        return Section("Time and memory", (text,), anchor="time", group=_GROUP)
    titles = ("category", "images", "median, ms", "95th percentile, ms", "images per second")
    sizes = {name: _model_size(run, name) for name in timings}
    columns = [*titles, *(["size of the model"] if any(sizes.values()) else [])]
    rows = [
        (name, images, median, slowest, 1000 / median if median else None)
        + ((sizes[name] or None,) if any(sizes.values()) else ())
        for name, (images, median, slowest) in timings.items()
    ]
    table = Table(tuple(Column(title, title) for title in columns), tuple(rows))
    block = TableBlock("time", "Time per test image, and size of the model.", table)
    return Section("Time and memory", (block,), anchor="time", group=_GROUP)


def configuration_section(run: RunFolder) -> Section:
    """Shows the resolved configuration, folded.

    Args:
        run: the run.

    Returns:
        The section.
    """
    block: Block = Text("The run's folder has no config.yaml.", "absent")
    if run.config:
        block = Details("config.yaml, with all values", (Code(config_text(run.config)),))
    return Section("Configuration", (block,), anchor="configuration", group=_GROUP)


def environment_section(run: RunFolder) -> Section:
    """Shows versions, hardware and data, folded.

    Args:
        run: the run.

    Returns:
        The section.
    """
    hidden = ("command", "warnings")
    pairs = run_facts.flat({key: value for key, value in run.environment.items() if key not in hidden})
    block: Block = Text("The run's folder has no environment.json.", "absent")
    if pairs:
        table = Table((Column("name", "name"), Column("value", "value")), tuple(pairs))
        block = Details("Versions, hardware, data", (TableBlock("environment", "", table, total=""),))
    return Section("Environment", (block,), anchor="environment", group=_GROUP)


def _training_blocks(training: TrainingCurve) -> list[Block]:
    blocks: list[Block] = [training.figure] if training.figure else []
    if training.grid:
        columns = (
            "one row per image; the columns are the input, the input with hidden patches, the "
            "reconstruction, the error"
        )
        title = f"{training.unit}: held-out normal images after epoch {training.epoch}"
        blocks.append(CardGallery((Card((Picture(training.grid, alt=f"{title}: {columns}."),), title),)))
    return blocks


def _model_size(run: RunFolder, category: str) -> str:
    """Writes the size of a category's model: `74.0 MB, 12,000 patches of 384 numbers`."""
    facts = run_facts.model_facts(run, category)
    width = f" of {facts['width']:,.0f} numbers" if "width" in facts else ""
    rows, seen = facts.get("rows", 0), facts.get("seen", 0)
    texts = {
        "bytes": run_facts.size(facts.get("bytes")),
        "rows": f"{rows:,.0f} patches{width}" + (f", chosen from {seen:,.0f}" if seen > rows else ""),
        "thinnings": f"a random part of these dropped {counted(int(facts.get('thinnings', 0)), 'time')}",
        "positions": f"{facts.get('positions', 0):,.0f} positions{width}",
        "parameters": f"{facts.get('parameters', 0):,.0f} trained parameters",
        "steps": f"{facts.get('steps', 0):,.0f} training steps",
    }
    told = (*texts, "width", "seen")  # the last two stand next to the number of patches
    others = {key: f"{value:,.10g} {key}" for key, value in facts.items() if key not in told}
    return ", ".join(text for key, text in {**texts, **others}.items() if facts.get(key))
