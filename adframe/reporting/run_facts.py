"""The title and the facts of a run, for its page."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from adframe.reporting.format import counted
from adframe.reporting.summary import confusion, latency_summary
from adframe.reporting.tables import DASH, shown
from adframe.results.names import MEAN, NO_WEIGHTS, UPDATE, method_of, name_of
from adframe.results.run_folder import RunFolder

DATASETS = {
    "mvtec_ad": "MVTec AD",
    "mvtec_loco": "MVTec LOCO",
    "mvtec_ad2": "MVTec AD 2",
    "mvtec_shift": "MVTec-Shift",
    "visa": "VisA",
    "btad": "BTAD",
}

_LISTED_VALUES = 3  # of a fact in which runs differ
_ROI_KINDS = {"mask": "mask", "boxes": "box", "polygons": "polygon"}  # keys of roi=, in the singular


def method(run: RunFolder) -> str:
    """Returns the name of the method as its paper writes it.

    Args:
        run: the run.

    Returns:
        For example `PatchCore`; `The method` where it is unknown.
    """
    return method_of(run.config, environment=run.environment) or "The method"


def dataset(run: RunFolder) -> str:
    """Returns the name of the dataset as its paper writes it.

    Args:
        run: the run.

    Returns:
        For example `MVTec AD`; "" where the categories come from several datasets.
    """
    name = _chosen_name(run, "dataset")
    return "" if name == "several" else DATASETS.get(name, name)


def tested_categories(run: RunFolder) -> str:
    """Names the categories that a run tested, with their dataset.

    Args:
        run: the run.

    Returns:
        For example `screw (MVTec AD)` or `15 MVTec AD categories`.
    """
    names = run.categories
    count = f"{len(names)} {dataset(run)} categories".replace("  ", " ")
    return count if len(names) != 1 else f"{names[0]} ({dataset(run)})".removesuffix(" ()")


def run_verdict(run: RunFolder, *, weakest: bool = True) -> str:
    """Summarises a run in one sentence: its decisions first, then image AUROC, and the weakest category.

    Args:
        run: the run.
        weakest: whether it names the weakest of several categories.

    Returns:
        The sentence without a full stop. Where the run has decided nothing, the sentence has the
        image AUROC only.
    """
    names, where = run.categories, tested_categories(run)
    counts = {name: confusion([row for row in run.rows if row["category"] == name]) for name in names}
    decided = {name: each.decisions for name, each in counts.items() if each.total}
    values = {name: finite_number(run.test.get(name, {}).get("image/auroc")) for name in names}
    known = {name: value for name, value in values.items() if value is not None}
    mean = finite_number(run.test.get(MEAN, {}).get("image/auroc"))
    if mean is None and known:
        mean = sum(known.values()) / len(known)
    area = f"image AUROC {shown(mean, percent=True)}" if mean is not None else ""
    if not decided:
        if not area:
            if UPDATE in run.environment and not run.rows:
                return f"{method(run)} on {where}: updated without the dataset and not tested"
            return f"{method(run)} scored {where}; there is no image AUROC without labels of both kinds"
        rest = " (mean)" if len(known) > 1 else ""
        if weakest and rest:
            last = min(known, key=lambda name: known[name])
            rest += f"; weakest: {last} {shown(known[last], percent=True)}"
        return f"{method(run)} on {where}: {area}{rest}"
    text = f"{method(run)} on {where}: {confusion(run.rows).decisions}"
    if area:
        text += f"; {'mean ' if len(known) > 1 else ''}{area}"
    if len(decided) < 2 or not weakest:
        return text
    last = min(decided, key=lambda name: counts[name].balanced_accuracy)
    return f"{text}; weakest: {last}, {decided[last]}"


def facts(run: RunFolder) -> list[tuple[str, str]]:
    """Lists the facts for the head of the page.

    Args:
        run: the run.

    Returns:
        (name, value) pairs; unknown ones are left out.
    """
    got = run.environment.get
    shift = _chosen_name(run, "shift")
    pairs = [
        ("method", method(run)),
        ("backbone", "" if _has_no_network(run) else _chosen_name(run, "backbone")),
        ("dataset", dataset(run)),
        ("shift", "" if shift == "none" else shift),
        ("scope", "one model for all" if run.config.get("scope") == "global" else ""),
        ("training images", _training_images(run)),
        ("image size", _joined_text(run.config.get("image_size"))),
        ("tiles", tiling(run)),
        ("region of interest", region_of_interest(run)),
        ("update", str(got(UPDATE) or "")),
        ("seed", _joined_text(run.config.get("seed", got("seed")))),
        ("images tested", f"{len(run.rows)}" if run.rows else ""),
        ("memory bank", memory_bank(run)),
        ("date", str(got("date") or got("started") or got("finished") or "")[:16].replace("T", " ")),
        ("duration", duration(finite_number(got("wall_seconds")))),
        ("most memory used", size(finite_number(got("peak_memory_bytes")))),
    ]
    return [(name, value) for name, value in pairs if value]


def common_facts(runs: Sequence[RunFolder], names: Sequence[str]) -> list[tuple[str, str]]:
    """Lists facts of several runs for the head of a page: the different values of each fact.

    Args:
        runs: the runs, one or more.
        names: of the facts, as in `facts`.

    Returns:
        (name, values) pairs; facts that no run has, or that have more than three values, are left out.
    """
    found = [dict(facts(run)) for run in runs]
    values = {name: list(dict.fromkeys(each[name] for each in found if name in each)) for name in names}
    return [(name, ", ".join(each)) for name, each in values.items() if 0 < len(each) <= _LISTED_VALUES]


def _training_images(run: RunFolder) -> str:
    """Describes `shots=`, `contamination=` and `labelled=`; "" for the unchanged training images."""
    shots, share = run.config.get("shots"), run.config.get("contamination")
    parts = [f"{shots} of each category"] if shots is not None else []
    if share is not None:
        parts.append(f"{100 * share:g}% of them defective")
    if (labelled := run.config.get("labelled")) is not None:
        amount = f"{100 * labelled:g}%" if isinstance(labelled, float) else str(labelled)
        parts.append(f"labelled defects: {amount} of each type")
    return ", ".join(parts)


def tiling(run: RunFolder) -> str:
    """Describes the tiles of a run.

    Args:
        run: the run.

    Returns:
        For example `256 px at 0.5 of the original size`; "" for whole images.
    """
    node = run.config.get("tiling")
    if not isinstance(node, Mapping):
        return ""
    side = node.get("size")
    text = f"{side} px" if isinstance(side, int) else f"{_joined_text(side)} px"
    scale = run.config.get("image_scale", 1)
    where = "the original size" if scale == 1 else f"{scale:g} of the original size"
    return text if run.config.get("image_size") is not None else f"{text} at {where}"


def region_of_interest(run: RunFolder) -> str:
    """Describes the region of interest of a run.

    Args:
        run: the run.

    Returns:
        For example `2 boxes`, `mask roi.png`, `mask by category` or `auto: 56% of bottle`;
        "" where whole images are inspected.
    """
    node = run.config.get("roi")
    if not isinstance(node, Mapping):
        return ""
    if isinstance(node.get("found"), Mapping):
        shares = {name: _covered_share(shapes) for name, shapes in node["found"].items()}
        texts = [f"{share:.0%} of {name}" for name, share in shares.items() if share is not None]
        return f"auto: {', '.join(texts) or 'whole frames'}"
    kind = next((kind for kind in _ROI_KINDS if node.get(kind)), "")
    value = node.get(kind)
    if isinstance(value, Mapping):
        return f"{kind} by category"
    if kind == "mask":
        return f"mask {Path(str(value)).name}"
    return counted(len(value), _ROI_KINDS[kind]) if isinstance(value, list) else ""


def _covered_share(polygons: Sequence[Sequence[Sequence[float]]]) -> float | None:
    """Returns the area of polygons that do not overlap, in shares of the frame; None for the whole frame."""
    areas = []
    for polygon in polygons:
        following = [*polygon[1:], polygon[0]]
        turns = (a[0] * b[1] - b[0] * a[1] for a, b in zip(polygon, following, strict=True))
        areas.append(abs(sum(turns)) / 2)
    return sum(areas) if areas else None


def tiles(run: RunFolder) -> list[tuple[str, str]]:
    """Lists the few numbers that matter most.

    Args:
        run: the run.

    Returns:
        (name, value) pairs; unknown ones are left out.
    """
    row = run.test.get(MEAN) or (run.test.get(run.categories[0], {}) if len(run.categories) == 1 else {})
    ranked = {
        "image/auroc": "image AUROC",
        "pixel/auspro_0.05": "sPRO up to FPR 0.05",
        "pixel/aupro_0.3": "AU-PRO up to FPR 0.3",
        "pixel/auroc": "pixel AUROC",
    }
    known = [
        (text, shown(row[key], percent=True))
        for key, text in ranked.items()
        if finite_number(row.get(key)) is not None
    ]
    counts = confusion(run.rows)
    found = []
    if counts.recall is not None:
        found.append(("anomalous images found", f"{counts.found} of {counts.found + counts.missed}"))
    if counts.fpr is not None:
        alarms = f"{counts.false_alarms} of {counts.false_alarms + counts.passed}"
        found.append(("false alarms", alarms))
    median, _ = latency_summary(run.rows)
    return found + known[:2] + ([("per image, median", f"{shown(median)} ms")] if median is not None else [])


def model_facts(run: RunFolder, category: str) -> dict[str, float]:
    """Returns the size of a fitted model.

    Args:
        run: the run.
        category: its name, or `global` for a model of all categories.

    Returns:
        Fact -> value: the entries `model/<fact>` of metrics.json, such as `rows` and `bytes`.
    """
    both = {**run.test.get(category, {}), **run.val.get(category, {})}
    return {
        key.removeprefix("model/"): value
        for key, value in both.items()
        if key.startswith("model/") and value is not None
    }


def memory_bank(run: RunFolder) -> str:
    """Returns the number of rows of the memory banks, from the smallest to the largest category.

    Args:
        run: the run.

    Returns:
        For example `1,000 to 1,200 patches`; "" for a method without a memory bank.
    """
    rows = [model_facts(run, name).get("rows") for name in (*run.categories, "global")]
    known = sorted({int(value) for value in rows if value is not None})
    if not known:
        return ""
    ends = f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"
    return f"{ends} patches"


def command(run: RunFolder) -> str:
    """Returns the command that repeats the run.

    Args:
        run: the run.

    Returns:
        A shell command; "" where it is unknown.
    """
    value = run.environment.get("command")
    return shlex.join(map(str, value)) if isinstance(value, list) else str(value or "")


def duration(seconds: float | None) -> str:
    """Writes a duration.

    Args:
        seconds: None for an unknown one.

    Returns:
        For example `41 s`, `3 min 05 s` or `2 h 07 min`; "" for an unknown one.

    Example:
        >>> duration(185), duration(7620.0)
        ('3 min 05 s', '2 h 07 min')
    """
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(amount: float | None) -> str:
    """Writes a number of bytes as MB or GB, in powers of ten.

    Args:
        amount: bytes; None for an unknown number.

    Returns:
        For example `74.0 MB`; "" for an unknown number.

    Example:
        >>> size(74e6)
        '74.0 MB'
    """
    if amount is None:
        return ""
    return f"{amount / 1e9:.2f} GB" if amount >= 1e9 else f"{amount / 1e6:.1f} MB"


def flat(value: object, *, name: str = "") -> list[tuple[str, str]]:
    """Flattens a nested mapping into lines.

    Args:
        value: a mapping, or a leaf.
        name: dotted name of the value in the whole.

    Returns:
        (dotted name, text) pairs; durations and sizes also in readable units.
    """
    if isinstance(value, Mapping):
        parts = (flat(item, name=f"{name}.{key}" if name else str(key)) for key, item in value.items())
        return [line for part in parts for line in part]
    number = finite_number(value)
    if name.endswith("seconds") and number is not None:
        return [(name, f"{number:,.1f} ({duration(number)})")]
    if name.endswith("bytes") and number is not None:
        return [(name, f"{number:,.0f} ({size(number)})")]
    return [(name, _joined_text(value) or DASH)]


def _has_no_network(run: RunFolder) -> bool:
    return set(run.environment.get("weights", {}).values()) == {NO_WEIGHTS}


def _chosen_name(run: RunFolder, key: str) -> str:
    """Returns a name that the environment recorded, otherwise the one in the configuration."""
    recorded = run.environment.get(key)
    return recorded if isinstance(recorded, str) else name_of(run.config.get(key))


def _joined_text(value: object) -> str:
    if isinstance(value, list | tuple):
        return " × ".join(map(str, value)) if len(value) == 2 else ", ".join(map(str, value))  # noqa: RUF001
    return "" if value is None else str(value)


def finite_number(value: object) -> float | None:
    """Returns a value as a float where it is a finite number, otherwise None; a bool is no number.

    Args:
        value: anything.

    Returns:
        The number or None.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
