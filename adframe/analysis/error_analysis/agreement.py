"""Whether runs make the same mistakes: agreement, McNemar's test, and the images that no run gets right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adframe.analysis.compare import is_significant
from adframe.analysis.compared_runs import ComparedRun, Key, parts_of
from adframe.analysis.error_analysis.common import (
    DEPENDENT_IMAGES,
    Analysed,
    categories_of,
    deviations_above_threshold,
    is_wrong,
    keys_of,
    margin,
    without_constant_names,
)
from adframe.analysis.error_analysis.misclassified import heatmap_picture, truth_pictures
from adframe.analysis.error_analysis.thumbnails import Thumbnails
from adframe.metrics.image_shares import image_share_interval
from adframe.reporting.document import Block, Picture, Pictures, Section, TableBlock
from adframe.reporting.format import counted, p_equals, p_value, percent, signed, span
from adframe.reporting.tables import Column, table_of_columns
from adframe.stats.proportions import mcnemar
from adframe.stats.significance import holm

_PICTURES_PER_CATEGORY = 10
_PICTURES_IN_ALL = 40
_AGREEMENT_COLUMNS = (
    Column("category", "category"),
    Column("pair", "runs"),
    Column("images", "images"),
    Column("both", "both right"),
    Column("first", "only the first"),
    Column("last", "only the second"),
    Column("none", "none"),
    Column("p", "p (McNemar)"),
    Column("holm", "p (Holm)"),
)
_TYPE_COLUMNS = (
    Column("category", "category"),
    Column("type", "defect type"),
    Column("images", "images"),
    Column("all", "wrong by all"),
    Column("share", "share", True),
    Column("interval", "95% interval"),
)


def analyse_agreement(runs: Sequence[ComparedRun], *, thumbnails: Thumbnails) -> Analysed:
    """Compares the decisions of each run with those of the first, and shows what every run misclassifies.

    Args:
        runs: two or more runs on the same images.
        thumbnails: gives the pictures.
    """
    pairs = [_count_agreement(runs[0], run, category) for category in categories_of(runs) for run in runs[1:]]
    corrected = holm([pair["p_value"] for pair in pairs])
    rows = [
        pair | {"pair": " and ".join(pair["names"]), "p": p_value(pair["p_value"]), "holm": p_value(adjusted)}
        for pair, adjusted in zip(pairs, corrected, strict=True)
    ]
    images, parts = parts_of(runs[0])
    caption = (
        "Decisions of each run at its own threshold, in images. McNemar's exact test asks whether the two "
        "runs are equally often right; Holm's correction is for all comparisons of the table."
    ) + (DEPENDENT_IMAGES if images > parts else "")
    table = without_constant_names(table_of_columns(_AGREEMENT_COLUMNS, rows))
    blocks: list[Block] = [
        TableBlock("agreement", caption, table),
        *_shared_blocks(runs, thumbnails=thumbnails),
    ]
    findings = [
        _agreement_sentence(pair, adjusted)
        for pair, adjusted in zip(pairs, corrected, strict=True)
        if is_significant(adjusted) and images == parts
    ]
    return Section("Where the runs agree, and where all fail", tuple(blocks)), findings


def wrong_in_all_runs(runs: Sequence[ComparedRun], category: str) -> list[Key]:
    """Returns the images that every run misclassifies, the clearest mistakes first.

    Args:
        runs: runs on the same images.
        category: name of the category.
    """
    keys = [key for key in keys_of(runs, category) if all(is_wrong(run.images[key]) for run in runs)]
    largest = {key: max(_comparable_margin(run, key) for run in runs) for key in keys}
    return sorted(keys, key=lambda key: largest[key])


def _comparable_margin(run: ComparedRun, key: Key) -> float:
    """A margin in a unit that runs share: validation deviations where known, else the threshold's size."""
    row = run.images[key]
    distance = deviations_above_threshold(run, key[0])[key]
    sign = 1 if row["label"] == 1 else -1
    return sign * distance if math.isfinite(distance) else margin(run, key) / (abs(row["threshold"]) or 1.0)


def _count_agreement(first: ComparedRun, last: ComparedRun, category: str) -> dict[str, Any]:
    keys = keys_of([first], category)
    right = [(not is_wrong(first.images[key]), not is_wrong(last.images[key])) for key in keys]
    only_first, only_last = right.count((True, False)), right.count((False, True))
    return {
        "category": category,
        "names": (first.name, last.name),
        "images": len(right),
        "both": right.count((True, True)),
        "first": only_first,
        "last": only_last,
        "none": right.count((False, False)),
        "p_value": mcnemar(only_first, only_last),
    }


def _shared_blocks(runs: Sequence[ComparedRun], *, thumbnails: Thumbnails) -> list[Block]:
    every = {category: wrong_in_all_runs(runs, category) for category in categories_of(runs)}
    found = {category: keys for category, keys in every.items() if keys}
    if not found:
        return ["No image is misclassified by every run."]
    limit = min(_PICTURES_PER_CATEGORY, max(2, _PICTURES_IN_ALL // len(found)))
    return [
        _types_table(runs, found),
        *(
            _shared_pictures(runs, category, keys, thumbnails=thumbnails, limit=limit)
            for category, keys in found.items()
        ),
    ]


def _types_table(runs: Sequence[ComparedRun], found: Mapping[str, Sequence[Key]]) -> TableBlock:
    rows: list[dict[str, Any]] = []
    for category, wrong in found.items():
        keys, shared = keys_of(runs, category), set(wrong)
        images = [runs[0].images[key] for key in keys]
        is_shared = [key in shared for key in keys]
        all_types = [row["defect"] for row in images]
        wrong_types = [runs[0].images[key]["defect"] for key in wrong]
        shares = {name: wrong_types.count(name) / all_types.count(name) for name in wrong_types}
        for name in sorted(shares, key=lambda name: (-shares[name], name)):
            ends = image_share_interval(
                images, counted=is_shared, among=[defect == name for defect in all_types]
            )
            rows.append(
                {
                    "category": category,
                    "type": name,
                    "images": all_types.count(name),
                    "all": wrong_types.count(name),
                    "share": shares[name],
                    "interval": span(*ends),
                }
            )
    text = "Images that every run misclassifies at its own threshold, with the interval of their share."
    return TableBlock("wrong_by_all", text, without_constant_names(table_of_columns(_TYPE_COLUMNS, rows)))


def _shared_pictures(
    runs: Sequence[ComparedRun], category: str, keys: Sequence[Key], *, thumbnails: Thumbnails, limit: int
) -> Pictures:
    distances = [deviations_above_threshold(run, category) for run in runs]
    listed = list(keys[:limit])
    every = [[thumbnails.tiles(run, key) for run in runs] for key in listed]
    truths = truth_pictures(runs[0], listed, [tiles[0] for tiles in every])
    rows = []
    for place, (key, tiles) in enumerate(zip(listed, every, strict=True)):
        row = runs[0].images[key]
        mistake = "a defect that every run misses" if row["label"] == 1 else "a false alarm of every run"
        pictures = [Picture(tiles[0][0], mistake), *truths[place : place + 1]]
        for own, each in zip(distances, tiles, strict=True):
            picture = heatmap_picture(each)
            text = f"{signed(own[key])} SD from the threshold" if math.isfinite(own[key]) else ""
            pictures.append(
                Picture(picture.content, "; ".join(part for part in (text, picture.caption) if part))
            )
        rows.append((f"{row['defect']} {Path(key[1]).name}", tuple(pictures)))
    left = f"; {len(keys) - limit} more are left out" if len(keys) > limit else ""
    caption = (
        f"{counted(len(keys), 'image')} of {category} that every run misclassifies, the clearest first{left}."
    )
    truth = ("annotated defect",) if truths else ()
    columns = ("image", *truth, *(f"heatmap of run {run.name}" for run in runs))
    return Pictures(caption, columns, tuple(rows))


def _agreement_sentence(pair: Mapping[str, Any], p: float) -> str:
    better, other = pair["names"] if pair["first"] > pair["last"] else pair["names"][::-1]
    more, fewer = max(pair["first"], pair["last"]), min(pair["first"], pair["last"])
    return (
        f"At their own thresholds run {better} decides more images of {pair['category']} correctly than run "
        f"{other}: {counted(more, 'image')} only {better} gets right, {fewer} only {other}, "
        f"{percent((pair['both'] + more) / pair['images'])} compared with "
        f"{percent((pair['both'] + fewer) / pair['images'])} in all "
        f"(McNemar's exact test: {p_equals(p)} after Holm's correction)."
    )
