"""The map writer: a file for every test image, the scores that the pixel metrics rank."""

from pathlib import Path

import numpy as np
import pytest
import torch

from adframe.callbacks.maps import MapWriter
from adframe.contracts import RECORD, Geometry, Record
from adframe.data.base import Source
from adframe.errors import AdframeError
from adframe.io.anomaly_maps import map_paths, read_map
from adframe.ops.geometry import restore
from tests.fakes.runs import fit, measure, system_of


def batch_of(heatmaps: list[np.ndarray], view: tuple[int, int, int, int]) -> tuple[dict, dict]:
    records = [Record(path=Path(f"{i}.png"), category="c", split="test") for i in range(len(heatmaps))]
    frames = [restore(heatmap, Geometry((40, 30), view)) for heatmap in heatmaps]
    return {"frames": frames}, {RECORD: records}


def test_a_file_for_every_test_image_and_no_other(toy_ad: Source, tmp_path: Path) -> None:
    system, writer = fit(system_of(), toy_ad), MapWriter(folder=tmp_path, dtype="float32")
    measure(system, toy_ad, writer)
    tested = [record for record in toy_ad.scan("tray") if record.split == "test"]
    expected = set(map_paths(tested).values())
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()} == expected
    assert {read_map(tmp_path / place).shape for place in expected} == {(64, 64)}
    assert writer.facts() == {
        "files": len(tested), "dtype": "float32", "kept_float32": 0, "scores_merged": 0, "share_merged": 0
    }  # fmt: skip
    assert writer.warnings() == []


def test_a_map_lies_in_the_original_frame(tmp_path: Path) -> None:
    writer = MapWriter(folder=tmp_path)
    heatmap = torch.rand(5, 5).numpy() + 1
    writer.on_test_batch_end(None, None, *batch_of([heatmap], (10, 5, 20, 20)), 0)  # type: ignore[arg-type]
    found = read_map(tmp_path / "c/test/good/0.tiff")
    assert found.shape == (40, 30)
    assert (found[:10] == found.min()).all()
    assert found[10:30, 5:25].max() > found.min()


def test_what_float16_costs_is_told(tmp_path: Path) -> None:
    writer = MapWriter(folder=tmp_path)
    narrow = np.linspace(1000, 1001, 400, dtype=np.float32).reshape(20, 20)
    writer.on_test_batch_end(None, None, *batch_of([narrow, narrow * 100], (0, 0, 40, 30)), 0)  # type: ignore[arg-type]
    overflow, coarse = writer.warnings()
    assert "1 maps were kept in float32" in overflow
    assert "in 1 of 2 maps" in coarse
    with pytest.raises(AdframeError, match="float16 or float32"):
        MapWriter(folder=tmp_path, dtype="int8")
