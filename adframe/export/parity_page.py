"""Says in words and in a table how a bundle differs from the run that it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adframe.reporting.document import Page, Section, TableBlock
from adframe.reporting.format import counted, percent
from adframe.reporting.tables import Column, table_of_columns


def parity_sentences(parity: Mapping[str, Any]) -> list[str]:
    """Writes what the comparison found.

    Args:
        parity: the content of `parity.json`.

    Returns:
        Sentences.
    """
    compared = parity["images"]
    if not compared:
        return ["The dataset was not there, so that nothing was compared with the run."]
    lines = []
    for name, facts in compared.items():
        relative = facts["largest_score_difference"] / max(facts["largest_score"], 1e-12)
        changed = counted(facts["decisions_changed"], "decision")
        line = (
            f"{counted(facts['images'], 'image')} ({name}): {changed} changed; "
            f"scores differ by at most {relative:.1e} of the highest score."
        )
        if "image/auroc" in facts:
            before, after = facts["image/auroc"]
            line += f" Image AUROC {percent(before)} before, {percent(after)} after."
        lines.append(line)
    before, after = (parity["milliseconds"][name] for name in ("before", "after"))
    lines.append(
        f"An image by itself takes {after['p50']:.1f} ms (median; 95th percentile {after['p95']:.1f} ms), "
        f"and {before['p50']:.1f} ms ({before['p95']:.1f} ms) with torch, where it was packed."
    )
    script = parity["script"]
    line = (
        f"predict.py, a program of its own, changed {script['decisions_changed']} of {script['images']} "
        f"decisions, and needed {_needs(script)} for these images, its start included"
    )
    if "before" in script:
        line += f"; adframe predict needed {_needs(script['before'])}"
    return [*lines, f"{line}."]


def _needs(facts: Mapping[str, Any]) -> str:
    memory = facts["memory_mib"]
    return f"{facts['seconds']:.1f} s" + ("" if memory is None else f" and {memory:.0f} MiB of memory")


def parity_page(parity: Mapping[str, Any], *, about: Mapping[str, Any]) -> Page:
    """Builds the page of the comparison.

    Args:
        parity: the content of `parity.json`.
        about: where the model comes from.

    Returns:
        The page.
    """
    columns = (
        Column("images", "Images"),
        Column("count", "Number"),
        Column("changed", "Decisions changed"),
        Column("score", "Score differs by"),
        Column("map", "Heatmap differs by"),
        Column("rank", "Rank correlation"),
        Column("image", "Image AUROC"),
        Column("pixel", "Pixel AUROC"),
    )
    rows = [
        {
            "images": name,
            "count": str(facts["images"]),
            "changed": str(facts["decisions_changed"]),
            "score": f"{facts['largest_score_difference']:.1e} of {facts['largest_score']:.3g}",
            "map": f"{facts['largest_map_difference']:.1e} of {facts['largest_map_value']:.3g}",
            "rank": None if facts["rank_correlation"] is None else f"{facts['rank_correlation']:.6f}",
            "image": _pair(facts.get("image/auroc")),
            "pixel": _pair(facts.get("pixel/auroc")),
        }
        for name, facts in parity["images"].items()
    ]
    changed = sum(facts["decisions_changed"] for facts in parity["images"].values())
    total = sum(facts["images"] for facts in parity["images"].values())
    caption = (
        "Before: the model of the run, in torch. After: the bundle. Of raw scores and of heatmaps the "
        "largest difference, next to the largest value; of metrics both values, before and after."
    )
    return Page(
        title=f"The bundle changes {changed} of {counted(total, 'decision')}",
        facts=[
            *((name, str(value)) for name, value in about.items()),
            ("size", f"{parity['bytes'] / 1e6:.1f} MB"),
            ("threshold", f"{parity['threshold']:.6g}"),
        ],
        findings=parity_sentences(parity),
        sections=[Section("Comparison", (TableBlock("parity", caption, table_of_columns(columns, rows)),))],
        source="parity.json",
    )


def _pair(values: list[float | None] | None) -> str | None:
    if values is None or None in values:
        return None
    return ", ".join(percent(value) for value in values if value is not None)
