"""Chooses the pictures of the page for people who decide, from the gallery of a run."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from adframe.reporting.format import capitalised, counted
from adframe.reporting.summary import Confusion
from adframe.reporting.tables import shown
from adframe.results.gallery import GalleryEntry, picture_bytes
from adframe.results.run_folder import RunFolder

_PICTURES = 3  # images of each kind
_DECISIONS = {  # (label, decision) -> the decision in words
    (1, True): "found",
    (1, False): "missed",
    (0, True): "false alarm",
    (0, False): "passed",
}


@dataclass(frozen=True, slots=True)
class Shot:
    """The pictures of one image.

    Attributes:
        pictures: (h, w, 3) uint8: the image with its annotated defect and the heatmap, or one panel of all.
        caption: the decision, the type of defect, and the category where there are several.
        detail: file name, score and threshold.
        verdict: `right`, `wrong` or `open`.

    Example:
        >>> Shot((np.zeros((8, 8, 3), np.uint8),), "Found: bent", "000.png", "right").verdict
        'right'
    """

    pictures: tuple[np.ndarray, ...]
    caption: str
    detail: str
    verdict: str


def decision_words(entry: GalleryEntry) -> str:
    """Names the decision about an image.

    Args:
        entry: the image in the gallery.

    Returns:
        `found`, `missed`, `false alarm` or `passed`; without a label `called anomalous` or `called normal`.
    """
    if entry.decision is None:
        return "not decided"
    without_label = "called anomalous" if entry.decision else "called normal"
    return without_label if entry.label is None else _DECISIONS[entry.label, entry.decision]


def by_mistakes(run: RunFolder) -> list[str]:
    """Sorts the categories of a run by their mistakes.

    Args:
        run: the run.

    Returns:
        Their names, most mistakes first.
    """
    wrong = Counter(
        row["category"]
        for row in run.rows
        if None not in (row["label"], row["decision"]) and bool(row["label"]) != row["decision"]
    )
    return sorted(run.categories, key=lambda name: -wrong[name])


def picture_groups(run: RunFolder, counts: Confusion) -> tuple[tuple[str, tuple[Shot, ...]], ...]:
    """Chooses pictures of right and of wrong decisions from the gallery of a run.

    Args:
        run: the run.
        counts: its decisions.

    Returns:
        A heading and up to three images of each kind, from the categories with most mistakes. Without any
        mistake the closest decisions take their place; a group without pictures is left out.
    """
    entries = [entry for entry in run.gallery if entry.category in run.categories]
    best = [entry for entry in entries if entry.kind == "best"]
    worst = [
        entry for entry in entries if entry.kind == "worst"
    ]  # mistakes, then the closest right decisions
    clearest = [*best, *reversed(worst)]
    order = by_mistakes(run)
    good = _in_turn([entry for entry in clearest if entry.verdict != "wrong"], order, defects_first=True)
    right = _shots(run, good)
    mistakes = _shots(run, _in_turn([entry for entry in (*worst, *best) if entry.verdict == "wrong"], order))
    heading, title = "Right decisions", "Mistakes"
    if counts.total:
        heading = f"Right: {counts.found:,} found, {counts.passed:,} passed"
        title = f"Mistakes: {counts.missed:,} missed, {counted(counts.false_alarms, 'false alarm')}"
    if counts.total and not counts.missed + counts.false_alarms:
        title = "No mistake; the closest decisions"
        used = {entry.path for entry in good[:_PICTURES]}
        closest = [entry for entry in worst if entry.verdict == "right" and entry.path not in used]
        mistakes = _shots(run, _in_turn(closest, order))
    return tuple((text, shots) for text, shots in ((heading, right), (title, mistakes)) if shots)


def _in_turn(
    entries: Iterable[GalleryEntry], order: Sequence[str], *, defects_first: bool = False
) -> list[GalleryEntry]:
    """Sorts entries so that categories, and kinds of decision within a category, take turns."""
    unique = {entry.path: entry for entry in reversed(list(entries))}  # the first entry of an image stays
    by_kind = _numbered(list(unique.values())[::-1], lambda entry: (entry.category, entry.label))
    by_kind.sort(key=lambda each: (each[0], each[1].label != 1))
    by_category = _numbered([entry for _, entry in by_kind], lambda entry: (entry.category,))
    by_category.sort(
        key=lambda each: (defects_first and each[1].label != 1, each[0], order.index(each[1].category))
    )
    return [entry for _, entry in by_category]


def _numbered(
    entries: Iterable[GalleryEntry], group: Callable[[GalleryEntry], object]
) -> list[tuple[int, GalleryEntry]]:
    """Numbers entries within their groups."""
    places: Counter[object] = Counter()
    numbered = []
    for entry in entries:
        numbered.append((places[group(entry)], entry))
        places[group(entry)] += 1
    return numbered


def _shots(run: RunFolder, entries: Iterable[GalleryEntry]) -> tuple[Shot, ...]:
    """Reads the pictures of the first entries that have any."""
    found: list[Shot] = []
    for entry in entries:
        files = entry.files[1:] if entry.has_tiles else entry.files
        pictures = [_pixels(picture_bytes(run.path, file)) for file in files]
        if pictures and all(picture is not None for picture in pictures):
            kept = tuple(picture for picture in pictures if picture is not None)
            found.append(Shot(kept, _caption(run, entry), _detail(entry), entry.verdict))
        if len(found) == _PICTURES:
            break
    return tuple(found)


def _pixels(content: bytes) -> np.ndarray | None:
    try:
        with Image.open(io.BytesIO(content)) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError):
        return None


def _caption(run: RunFolder, entry: GalleryEntry) -> str:
    kind = "normal image" if entry.label == 0 else entry.defect.replace("_", " ")
    where = f", {entry.category}" if len(run.categories) > 1 else ""
    return capitalised(f"{decision_words(entry)}: {kind}{where}")


def _detail(entry: GalleryEntry) -> str:
    name = entry.path.replace("\\", "/").rpartition("/")[2]
    threshold = "" if entry.threshold is None else f", threshold {shown(entry.threshold)}"
    return f"{name}, score {shown(entry.score)}{threshold}"
