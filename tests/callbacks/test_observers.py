"""Recorder, gallery, progress and profiler watch a run; they never change it."""

import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from adframe.callbacks.gallery import Gallery
from adframe.callbacks.profile import Profiler, peak_memory
from adframe.callbacks.progress import StageProgress
from adframe.callbacks.record import Recorder
from adframe.callbacks.stages import StageTree
from adframe.contracts import GEOMETRY, IMAGE, RECORD, REGIONS, Decision, Geometry, Record
from adframe.data.base import Source
from adframe.systems.training_free import TrainingFreeSystem
from tests.fakes.runs import fit, measure, paths_to_test, system_of

COLUMNS = {
    "path",
    "category",
    "split",
    "subset",
    "defect",
    "part",
    "condition",
    "group",
    "shift",
    "label",
    "score",
    "decision",
}


@pytest.fixture(scope="module")
def fitted(toy_ad: Source) -> TrainingFreeSystem:
    return fit(system_of(), toy_ad)


def test_a_row_for_every_test_image_with_everything_in_it(fitted: TrainingFreeSystem, toy_ad: Source) -> None:
    recorder = Recorder()
    measure(fitted, toy_ad, recorder)
    assert {Path(row["path"]) for row in recorder.rows} == paths_to_test(toy_ad)
    assert len(recorder.rows) == len(paths_to_test(toy_ad))
    assert [row["score"] for row in recorder.rows] == [each.score for each in fitted.tested.decisions]
    for row in recorder.rows:
        assert set(row) == COLUMNS | {
            *("threshold", "normalised", "probability", "reported", "by_zones"),
            *("milliseconds", "height", "width", "defect_area", "defect_border"),
        }
        assert row["decision"] == (row["score"] > row["threshold"])
        assert (row["normalised"] is not None, row["probability"], row["by_zones"]) == (True, None, None)
        assert row["label"] == int(f"/test/{row['defect']}/" in row["path"] and row["defect"] != "good")
        assert (row["height"], row["width"], row["split"], row["category"]) == (64, 64, "test", "tray")
        assert row["milliseconds"] > 0
        assert (row["defect_area"] is not None) == (row["defect_border"] is not None) == bool(row["label"])
    covered = np.mean([cv2.imread(str(path), 0) > 0 for path in masks_of(toy_ad)], axis=(1, 2))
    assert sorted(row["defect_area"] for row in recorder.rows if row["label"]) == pytest.approx(
        sorted(covered)
    )


def masks_of(source: Source) -> list[Path]:
    return [path for record in source.scan("tray") if record.split == "test" for path in record.masks]


def test_a_second_test_starts_from_nothing(fitted: TrainingFreeSystem, toy_ad: Source) -> None:
    recorder, gallery = Recorder(), Gallery(pictures=3)
    for _ in range(2):
        measure(fitted, toy_ad, recorder, gallery)
        assert len(recorder.rows) == len(paths_to_test(toy_ad))
        assert len(gallery._worst) == 3


def test_watching_changes_no_number(toy_ad: Source) -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    progress, recorder, profiler = StageProgress(title="tray", console=console), Recorder(), Profiler()
    alone, watched = fit(system_of(), toy_ad), fit(system_of(), toy_ad, progress, profiler)
    results = measure(alone, toy_ad)
    assert measure(watched, toy_ad, progress, profiler, recorder, Gallery()) == results
    assert [each.score for each in alone.tested.decisions] == [row["score"] for row in recorder.rows]
    assert alone.calibrator.fitted == watched.calibrator.fitted
    assert all(seconds > 0 for seconds in profiler.seconds.values())
    assert {"seconds/fit", "seconds/test"} <= set(profiler.seconds)
    assert peak_memory()["peak_memory_bytes"] > 50 << 20


def test_progress_names_every_stage_on_a_terminal_and_is_silent_elsewhere(toy_ad: Source) -> None:
    shown, piped = io.StringIO(), io.StringIO()
    for console in (Console(file=shown, force_terminal=True, width=80), Console(file=piped)):
        system, progress = system_of(), StageProgress(title="tray", console=console, stages=StageTree())
        measure(fit(system, toy_ad, progress), toy_ad, progress)
        drawn = io.StringIO()
        Console(file=drawn, width=80).print(progress.stages)
        for stage in ("training images", "coreset", "validation", "test"):
            assert stage in drawn.getvalue()
    assert "tray" in shown.getvalue()
    assert piped.getvalue() == ""


def offered(gallery: Gallery, scores: list[float], labels: list[int], *, batch: int = 2) -> Gallery:
    """Shows a gallery test images with these scores; the threshold is 0."""
    gallery.on_test_start(None, None)  # type: ignore[arg-type]
    for start in range(0, len(scores), batch):
        part = slice(start, start + batch)
        size = len(scores[part])
        records = [
            replace(
                Record(path=Path(f"{start + i}.png"), category="c", split="test"), label=labels[start + i]
            )
            for i in range(size)
        ]
        outputs = {
            "decisions": [Decision(score=score, threshold=0.0) for score in scores[part]],
            "maps": list(np.zeros((size, 16, 16), np.float32)),
        }
        items = {
            IMAGE: torch.rand(size, 3, 16, 16),
            RECORD: records,
            GEOMETRY: [Geometry(original=(24, 32), view=(0, 0, 24, 32))] * size,
            REGIONS: [[]] * size,
        }
        gallery.on_test_batch_end(None, None, outputs, items, 0)  # type: ignore[arg-type]
    return gallery


def entries(gallery: Gallery, run: Path, kind: str) -> list[dict[str, object]]:
    return [
        entry
        for entry in gallery.write(run, category="c", normal_median=0.0, normal_max=0.5)
        if entry["kind"] == kind
    ]


def test_the_worst_are_the_mistakes_largest_first(tmp_path: Path) -> None:
    scores = [-1.0, 0.5, 3.0, -2.0, 1.0, -0.5]
    labels = [0, 0, 0, 1, 1, 1]  # mistakes: 0.5 and 3.0 accused, -2.0 and -0.5 missed
    worst = entries(offered(Gallery(pictures=5), scores, labels), tmp_path, "worst")
    assert [entry["score"] for entry in worst] == [3.0, -2.0, 0.5, -0.5, -1.0] or [
        entry["score"] for entry in worst
    ] == [3.0, -2.0, 0.5, -0.5, 1.0]
    assert [entry["rank"] for entry in worst] == list(range(5))
    assert [entry["decision"] != bool(entry["label"]) for entry in worst] == [True] * 4 + [False]


def test_the_best_are_of_both_kinds_surest_first_and_never_among_the_worst(tmp_path: Path) -> None:
    scores = [float(s) for s in (*range(-10, 0), *range(1, 11))]
    gallery = offered(Gallery(pictures=4), scores, [0] * 10 + [1] * 10)
    best, worst = entries(gallery, tmp_path, "best"), entries(gallery, tmp_path, "worst")
    assert sorted(float(entry["score"]) for entry in best) == [-10, -9, 9, 10]  # type: ignore[arg-type]
    assert not {entry["path"] for entry in best} & {entry["path"] for entry in worst}


def test_pictures_are_written_at_the_frames_shape(tmp_path: Path) -> None:
    gallery = offered(Gallery(pictures=2, width=32), [1.0, -1.0, 2.0, -2.0, 3.0], [1, 0, 1, 0, 0])
    written = gallery.write(tmp_path, category="c", normal_median=0.0, normal_max=0.5)
    files = {file for entry in written for file in entry["tiles"].values()}  # type: ignore[attr-defined]
    assert len(files) == 3 * len(written) == 12
    for file in files:
        with Image.open(tmp_path / file) as image:
            assert image.size == (32, 24)


@pytest.mark.parametrize("pictures", [0, 1, 5])
def test_it_keeps_few_candidates_however_many_images_pass(pictures: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    gallery = offered(
        Gallery(pictures=pictures), rng.normal(size=200).tolist(), rng.integers(0, 2, 200).tolist()
    )
    held = [*gallery._worst, *gallery._best[0], *gallery._best[1]]
    assert len(held) <= 3 * pictures
    for candidate in held:  # a view of a batch would keep the whole batch in memory
        for array in (candidate.image, candidate.heatmap):
            base = array.base if array.base is not None else array
            assert base.nbytes <= array.nbytes  # `base` is an array or a tensor
    written = gallery.write(tmp_path, category="c", normal_median=0.0, normal_max=0.5)
    assert len([entry for entry in written if entry["kind"] == "worst"]) == pictures
    assert len(written) <= 2 * pictures
