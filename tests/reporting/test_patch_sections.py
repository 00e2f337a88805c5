"""Clouds, layers, distances and attention as sections: every patch named for what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adframe.errors import AdframeError
from adframe.reporting import patch_embeddings, patch_sections
from adframe.reporting.document import Figure, Pictures, TableBlock
from adframe.results.layer_distances import layer_distances
from adframe.results.patch_samples import PatchSample
from tests.fakes.patches import layer, sample


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Panels of each cloud; planes are the first two channels."""
    seen: list[dict[str, Any]] = []

    def cloud(name: str, *, caption: str, panels: dict[str, Any]) -> Figure:
        seen.append(panels)
        return Figure(name, caption, (1, 1), lambda canvas: None)

    monkeypatch.setattr(patch_embeddings, "cloud", cloud)
    monkeypatch.setattr(patch_embeddings, "plane", lambda vectors, **_: vectors[:, :2])
    return seen


def test_each_point_is_named_for_its_patch(drawn: list[dict[str, Any]]) -> None:
    own = sample("tray")
    patch_embeddings.kinds_figure(own, name="n", method="tsne", seed=0)
    assert list(drawn[0]) == ["layer1", "layer2"]
    points, names = drawn[0]["layer1"]
    assert {name: names.count(name) for name in names} == {
        "training": 40, "test, normal": 40, "dent": 20, "scratch": 20
    }  # fmt: skip
    odd = np.isin(names, ["dent", "scratch"])
    assert points[odd].min() > points[~odd].mean()  # these were moved by 4
    patch_embeddings.categories_figure(
        {"tray": own, "weave": sample("weave")}, name="n", method="umap", seed=0
    )
    assert sorted(set(drawn[1]["layer2"][1])) == ["tray", "weave"]


def test_the_rarest_of_many_defects_share_a_name(drawn: list[dict[str, Any]]) -> None:
    one = layer("x", images=9)
    many = PatchSample(
        "c", "tiny", (one,), ("p",) * 27, ("good",) * 18 + tuple("aabbccddefg"[:9]), 0.5, 9, 18, 1.0
    )
    patch_embeddings.kinds_figure(many, name="n", method="tsne", seed=0)
    names = drawn[0]["x"][1]
    assert set(names) == {"training", "test, normal", "a", "b", "c", "d", "e"}
    few = PatchSample("c", "tiny", (one,), ("p",) * 27, ("good",) * 18 + tuple("abcdefghi"), 0.5, 9, 18, 1.0)
    patch_embeddings.kinds_figure(few, name="n", method="tsne", seed=0)
    assert drawn[1]["x"][1].count("other defects") == 4 * 5


def test_planes_keep_neighbours_and_the_seed_repeats_them() -> None:
    vectors = np.random.default_rng(0).normal(0, 0.1, (40, 5)).astype(np.float32)
    vectors[20:] += 5
    points = patch_embeddings.plane(vectors, method="tsne", seed=1)
    assert points is not None
    np.testing.assert_array_equal(points, patch_embeddings.plane(vectors, method="tsne", seed=1))
    middle = [points[:20].mean(0), points[20:].mean(0)]
    spread = max(points[:20].std(), points[20:].std())
    assert np.linalg.norm(middle[0] - middle[1]) > 2 * spread
    assert patch_embeddings.plane(vectors[:5], method="umap", seed=0) is None


def test_without_umap_a_sentence_says_how_to_get_it(
    drawn: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    found = patch_sections.planes_section({"v": {"tray": sample("tray")}}, seed=0)
    assert found.blocks[0] == patch_embeddings.NO_UMAP
    assert "pip install 'adframe[umap]'" in patch_embeddings.NO_UMAP
    assert len(found.blocks) == 2
    assert len(drawn) == 1


def test_layers_have_their_values_with_intervals() -> None:
    section = patch_sections.layers_section({"v": {"tray": sample("tray")}})
    table = next(block for block in section.blocks if isinstance(block, TableBlock))
    assert [row[2:6] for row in table.table.rows] == [
        ("layer1", "7 x 9", "80.0 (78.0 to 82.0)", "80.0 (78.0 to 82.0)"),
        ("layer2", "7 x 9", "90.0 (88.0 to 92.0)", "90.0 (88.0 to 92.0)"),
    ]
    assert table.raw is not None
    assert [len(row) for row in table.raw.rows] == [len(table.raw.columns)] * 2
    assert sum(isinstance(block, Figure) for block in section.blocks) == 2


def test_distances_are_a_table_and_from_three_classes_on_matrices() -> None:
    samples = {name: sample(name, layer("x")) for name in "abc"}
    for count, figures in ((2, 0), (3, 1)):
        few = dict(list(samples.items())[:count])
        section = patch_sections.drift_section(layer_distances(few, permutations=9), variant="v", number=0)
        assert sum(isinstance(block, Figure) for block in section.blocks) == figures
        (table,) = (block for block in section.blocks if isinstance(block, TableBlock))
        assert len(table.table.rows) == count * (count + 1) // 2


def test_roll_outs_are_read_and_a_missing_picture_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / patch_sections.ATTENTION
    (folder / "tray").mkdir(parents=True)
    entry = '{"path": "/a/1.png", "defect": "dent", "label": 1, "stem": "tray/dent_1"}'
    (folder / "tray.json").write_text(f'{{"class_token": false, "images": [{entry}]}}')
    with pytest.raises(AdframeError, match=r"tray\.json"):
        patch_sections.attention_section([("v", tmp_path, "tray")])
    for kind in ("truth", "rollout"):
        (folder / f"tray/dent_1_{kind}.jpg").write_bytes(kind.encode())
    section = patch_sections.attention_section([("v", tmp_path, "tray"), ("v", tmp_path, "weave")])
    assert section is not None
    (pictures,) = (block for block in section.blocks if isinstance(block, Pictures))
    assert [picture.content for picture in pictures.rows[0][1]] == [b"truth", b"rollout"]
    assert "the mean over patch tokens" in pictures.caption
    assert patch_sections.attention_section([("v", tmp_path, "weave")]) is None
