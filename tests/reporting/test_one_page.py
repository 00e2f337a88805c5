"""The page for people who decide: its numbers are those of the run, and everything fits on it."""

from __future__ import annotations

import io
import itertools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text
from PIL import Image

from adframe.cli.page import run_page, write_overlays
from adframe.errors import AdframeError
from adframe.io.files import write_json
from adframe.metrics.image_shares import image_share_interval
from adframe.reporting.figure_render import pdf
from adframe.reporting.format import percent, span
from adframe.reporting.one_page import OnePage, one_page
from adframe.reporting.one_page_figure import A4, lines_of, page_figure
from adframe.results.predictions import read_predictions, write_predictions
from adframe.results.run_folder import RunFolder
from tests.fakes.run_folder import write_run

PAGES = re.compile(rb"/Type /Page\b")
LONG = [f"category_{number:02d}_with_a_long_name" for number in range(18)]


def content(run: Path, category: str | None = None) -> OnePage:
    return one_page(RunFolder.read(run), category=category)


def changed(run: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Changes the rows of the predictions and the entries of the gallery in the same way."""
    rows, index = read_predictions(run / "predictions.parquet"), run / "heatmaps" / "index.json"
    entries = json.loads(index.read_text())
    for each in (*rows, *entries):
        change(each)
    write_predictions(run / "predictions.parquet", rows)
    write_json(index, entries)
    return run


def with_facts(run: Path, **facts: Any) -> Path:
    path = run / "environment.json"
    write_json(path, json.loads(path.read_text()) | facts)
    return run


def stretched(run: Path, width: int, height: int) -> Path:
    for path in (run / "heatmaps").rglob("*.jpg"):
        Image.open(path).resize((width, height)).save(path)
    return run


def drawn(page: OnePage) -> Canvas:
    figure = page_figure(page)
    canvas = Canvas(figsize=figure.size)
    FigureCanvasAgg(canvas)
    figure.draw(canvas)
    return canvas


def check_layout(page: OnePage) -> None:
    """Nothing leaves the sheet, and no text covers another text or a picture."""
    canvas = drawn(page)
    renderer = canvas.canvas.get_renderer()  # type: ignore[attr-defined]
    texts = [text for text in canvas.findobj(Text) if text.get_text()]
    boxes = [text.get_window_extent(renderer) for text in texts]
    boxes += [axes.get_window_extent(renderer) for axes in canvas.axes]
    sheet = np.array(A4) * canvas.dpi
    for box in boxes:
        assert min(box.width, box.height) > 3
        assert box.x0 >= 0.07 * sheet[0]
        assert box.x1 <= 0.93 * sheet[0]
        assert box.y0 >= 0.02 * sheet[1]
        assert box.y1 <= 0.98 * sheet[1]
    # Boxes of letters include some empty space above and below.
    for one, other in itertools.combinations(boxes, 2):
        across = min(one.x1, other.x1) - max(one.x0, other.x0)
        down = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert across <= 0.5 or down <= 3, (one, other)


def test_counts_title_and_pictures_are_those_of_the_predictions(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", categories=["tray"], pictures=6)
    rows = read_predictions(run / "predictions.parquet")
    for row in rows[:3]:
        row["decision"] = True
    write_predictions(run / "predictions.parquet", rows)
    index = run / "heatmaps" / "index.json"
    entries = json.loads(index.read_text())
    entries[0] |= {"label": 0, "defect": "good", "decision": True}
    write_json(index, entries)

    page = content(run)
    kinds = [(row["label"], row["decision"]) for row in rows]
    found, missed, alarms, passed = (
        kinds.count(kind) for kind in ((1, True), (1, False), (0, True), (0, False))
    )
    assert min(found, missed, alarms, passed) > 0
    assert [count.number for count in page.counts] == [found, missed, alarms, passed]
    assert page.title == (
        f"Tray (toy): found {found} of 42 defects, false alarms on {alarms} of 30 normal images"
    )
    for count, label in ((page.counts[0], 1), (page.counts[2], 0)):
        among = [row["label"] == label for row in rows]
        ends = image_share_interval(rows, counted=[row["decision"] for row in rows], among=among)
        assert count.share == f"{percent(count.number / sum(among))} ({span(*ends)})"
    (right, good), (wrong, bad) = page.groups
    assert right == f"Right: {found} found, {passed} passed"
    assert wrong == f"Mistakes: {missed} missed, {alarms} false alarms"
    assert [len(good), len(bad)] == [3, 3]
    assert {shot.verdict for shot in good} == {"right"}
    assert {shot.caption.partition(":")[0] for shot in bad} == {"Missed", "False alarm"}
    assert "72 test images (42 with a defect, 30 without)" in page.inspected
    assert "PatchCore with the features of wide_resnet50_2. 14 March 2026." in page.inspected
    assert "needs 199 normal validation images, but there are only 37" in dict(page.paragraphs)["Threshold"]
    shown = [text.get_text() for text in drawn(page).findobj(Text)]
    for count in page.counts:
        assert {f"{count.number}", count.name, count.whole, count.share} <= set(shown)
    check_layout(page)


def test_several_categories_have_a_table_with_most_mistakes_first(tmp_path: Path) -> None:
    run = with_facts(
        write_run(tmp_path, categories=LONG, pictures=2), unlike_validation=dict.fromkeys(LONG[:5], 0.001),
        images={name: {"count": 100} for name in LONG},
    )  # fmt: skip
    page = content(run)
    assert page.title.startswith("18 toy categories: found ")
    assert "1,800 normal training images, threshold set on 666 normal validation images" in page.inspected
    assert len(page.rows) == 15
    assert page.rows[-1][0] == "4 other categories"
    numbers = [[int(cell) for cell in re.findall(r"\d+", f"{row[1]} {row[3]}")] for row in page.rows]
    assert np.sum(numbers, axis=0).tolist() == [page.counts[0].number, 756, page.counts[2].number, 540]
    mistakes = [whole - part + alarms for part, whole, alarms, _ in numbers[:-1]]
    assert mistakes == sorted(mistakes, reverse=True)
    shown = [shot.caption.rpartition(", ")[2] for shot in page.groups[1][1]]
    assert len(set(shown)) == 3
    caution = dict(page.paragraphs)["Caution"]
    assert f"{LONG[0]}, {LONG[1]}, {LONG[2]} and 2 more do not look like" in caution
    check_layout(page)
    single = content(run, LONG[3])
    assert single.title.startswith(f"C{LONG[3][1:]} (toy): found ")
    assert single.rows == ()
    assert "Caution" in dict(single.paragraphs)
    with pytest.raises(AdframeError, match="unknown category 'none'"):
        content(run, "none")


def test_thresholds_that_differ_are_summarised(tmp_path: Path) -> None:
    run = write_run(tmp_path, categories=["bolt", "tray"])
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["val"]["tray"] |= {"calibration/threshold": 9.0, "calibration/n": 250}
    write_json(run / "metrics.json", metrics)
    text = dict(content(run).paragraphs)["Threshold"]
    assert text.startswith("Each category has its own threshold, chosen from the scores of 37 to 250 normal ")
    assert "199 normal validation images: 1 of 2 categories have as many; in the others up to 2.63%" in text


def test_a_run_without_mistakes_shows_its_closest_decisions(tmp_path: Path) -> None:
    run = write_run(tmp_path, categories=["bolt"], pictures=6)
    page = content(changed(run, lambda each: each.update(decision=each["label"] == 1)))
    assert [heading for heading, _ in page.groups] == [
        "Right: 42 found, 30 passed",
        "No mistake; the closest decisions",
    ]
    assert {shot.verdict for _, shots in page.groups for shot in shots} == {"right"}
    check_layout(page)


def test_a_run_without_labels_counts_alarms_only(tmp_path: Path) -> None:
    run = write_run(tmp_path, categories=["bolt"], pictures=0)
    page = content(changed(run, lambda each: each.update(label=None, defect="", subset="unlabelled")))
    flagged = sum(row["decision"] for row in read_predictions(run / "predictions.parquet"))
    assert page.title.startswith(f"Bolt (toy): {flagged} of 72 images called anomalous; without labels")
    assert (page.counts, page.rows, page.groups) == ((), (), ())
    assert page.remark == "There are no pictures, because the test images have no labels."
    check_layout(page)


def test_what_a_run_lacks_is_said(tmp_path: Path) -> None:
    run = write_run(tmp_path, categories=["bolt"])
    shutil.rmtree(run / "heatmaps" / "0")  # the index still names the files
    page = content(run)
    assert page.groups == ()
    assert "There are no pictures in the folder of this run" in page.remark
    check_layout(page)
    for name in ("predictions.parquet", "heatmaps/index.json", "environment.json", "config.yaml"):
        (run / name).unlink()
    page = content(run)
    assert "image AUROC" in page.title
    check_layout(page)


@pytest.mark.parametrize("size", [(512, 96), (128, 192), (16, 16)])
@pytest.mark.parametrize("categories", [["bolt"], LONG])
def test_pictures_of_any_shape_fit(size: tuple[int, int], categories: list[str], tmp_path: Path) -> None:
    page = content(stretched(write_run(tmp_path, categories=categories, pictures=4), *size))
    check_layout(page)
    ratios = [axes.bbox.width / axes.bbox.height for axes in drawn(page).axes]
    assert len(ratios) == 12
    assert ratios == pytest.approx([size[0] / size[1]] * 12, rel=1e-3)


def test_long_names_are_shortened(tmp_path: Path) -> None:
    name = "x" * 200
    run = write_run(tmp_path, categories=["bolt"], pictures=4)
    changed(
        run, lambda each: each.update(defect=name if each["label"] else "good", path=f"{each['path']}{name}")
    )
    check_layout(content(run))
    assert lines_of("a bb", width=0.01, size=10) == ["…", "…"]


def test_the_file_has_exactly_one_page_and_is_reproducible(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", categories=["a$b$", "日本"])
    path = run_page(run)
    assert path == run / "summary.pdf"
    assert len(PAGES.findall(path.read_bytes())) == 1
    assert b"/MediaBox [ 0 0 595.44 841.68 ]" in path.read_bytes()
    assert path.read_bytes() == pdf(page_figure(content(run)))
    assert str(path) in capsys.readouterr().out
    assert run_page(run, category="a$b$") == run / "summary_a-b.pdf"
    with Image.open(run_page(run, out=tmp_path / "page.png")) as picture:
        assert picture.size == (1654, 2338)
    with pytest.raises(AdframeError, match=r"must end in \.pdf or \.png"):
        run_page(run, out=tmp_path / "page.html")


def test_overlays_are_written_with_readable_names(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", categories=["bolt", "tray"], pictures=3)
    changed(run, lambda each: each.update(path=re.sub(r"\d+\.png", "0.png", each["path"]) + f"?{id(each)}"))
    index = run / "heatmaps" / "index.json"
    entries = json.loads(index.read_text())
    for entry in entries:
        entry["path"] = f"{entry['rank']}{entry['kind']}/{entry['path'].partition('?')[0]}"
    write_json(index, entries)
    written = write_overlays(RunFolder.read(run), tmp_path / "out")
    assert sorted(written) == sorted((tmp_path / "out").iterdir())
    assert len(written) == 12
    for path in written:
        assert re.fullmatch(
            r"(bolt|tray)_(good|scratch|hole|stain)_0_(found|missed|passed|false-alarm)(_\d)?\.png", path.name
        )
    source = cv2.imread(str(run / entries[0]["tiles"]["heatmap"]))[..., ::-1]
    with Image.open(io.BytesIO(written[-1].read_bytes())) as picture:
        assert picture.size == source.shape[1::-1]
    assert write_overlays(RunFolder.read(write_run(tmp_path / "bare", pictures=0)), tmp_path / "none") == []
