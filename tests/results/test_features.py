"""Vectors of images as planes, numbers, words and drawings."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import silhouette_score

from adframe.contracts import Record
from adframe.errors import AdframeError
from adframe.reporting.feature_figures import feature_figure, write_feature_figure
from adframe.reporting.figure_render import svg
from adframe.reporting.run_page import write_page
from adframe.results.features import (
    Features,
    describe_features,
    features_finding,
    read_features,
    write_features,
)
from tests.fakes.run_folder import write_run


def made(count: int = 24, *, apart: float = 3.0, name: str = "0.png") -> Features:
    """Half of the images good, half logical; before they are one cloud, afterwards two."""
    rng = np.random.default_rng(0)
    bad = np.arange(count) >= count // 2
    records = [
        Record(Path(name), "c", "test", defect="missing" if b else "good", subset="logical" if b else "good",
               label=int(b)) for b in bad
    ]  # fmt: skip
    vectors = {
        "before": rng.normal(size=(count, 8)).astype(np.float32),
        "after": (rng.normal(size=(count, 8)) + apart * bad[:, None]).astype(np.float32),
    }
    return describe_features(vectors, records, seed=3)


def test_the_sentence_says_what_the_numbers_say() -> None:
    features = made()
    expected = [silhouette_score(view.vectors, features.labels) for view in features.views]
    assert [view.silhouette for view in features.views] == pytest.approx(expected)
    assert features_finding(features).startswith(
        "Good and anomalous test images lie further apart after than before"
    )
    assert f"{expected[1]:.2f} after" in features_finding(features)
    assert "about as far apart after as before" in features_finding(made(apart=0.0))
    turned = Features(
        features.views[::-1], features.paths, features.defects, features.subsets, features.labels
    )
    assert "closer together before than after" in features_finding(turned)
    assert "nothing can be said" in features_finding(made(3))


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    features = made()
    write_features(tmp_path, features, category="c")
    found = read_features(tmp_path, category="c")
    assert found is not None
    assert (found.paths, found.subsets, features_finding(found)) == (
        features.paths,
        features.subsets,
        features_finding(features),
    )
    for old, new in zip(features.views, found.views, strict=True):
        np.testing.assert_allclose(new.vectors, old.vectors, rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(new.tsne, old.tsne)
    with np.load(tmp_path / "features/c.npz") as stored:
        assert stored["after"].dtype == np.float16
    assert read_features(tmp_path, category="other") is None


def test_planes_repeat_with_their_seed() -> None:
    np.testing.assert_array_equal(made().views[1].tsne, made().views[1].tsne)


def texts(features: Features) -> str:
    return svg(feature_figure(features, name="f", caption="c"))


def test_few_images_have_no_tsne_and_equal_ones_no_plane() -> None:
    few = texts(made(8))
    assert few.count("No t-SNE: fewer than 10 images.") == 2
    assert few.count("% of the variance across") == 2
    records = [Record(Path("0.png"), "c", "test")] * 12
    same = describe_features({"before": np.ones((12, 4), np.float32)}, records, seed=1)
    assert texts(same).count("No plane: there are too few images, or all are alike.") == 2


def test_an_image_that_is_not_finite_is_left_out() -> None:
    vectors = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    vectors[3, 1] = np.nan
    records = [Record(Path(f"{i}.png"), "c", "test") for i in range(12)]
    found = describe_features({"before": vectors}, records, seed=1)
    assert len(found.paths) == len(found.views[0].vectors) == 11
    assert "3.png" not in found.paths


def test_kinds_have_their_counts_and_every_image_is_a_mark(tmp_path: Path) -> None:
    write_feature_figure(tmp_path, made(24), category="c")
    drawing = ElementTree.parse(tmp_path / "features/c.svg").getroot()
    uses = [each for each in drawing.iter() if each.tag.endswith("}use")]
    assert len(uses) == 4 * 24 + 2  # and the legend's
    said = {"".join(each.itertext()) for each in drawing.iter() if each.tag.endswith("}text")}
    assert {"good (12)", "logical (12)", "Before: PCA", "After: t-SNE"} <= said
    with Image.open(tmp_path / "features/c.png") as picture:
        assert picture.height > 800
        assert len(picture.getcolors(1 << 20) or []) > 50


def test_the_page_shows_them_where_they_are(tmp_path: Path) -> None:
    run = write_run(tmp_path, categories=("bolt", "tray"))
    assert 'id="features"' not in write_page(run).read_text()
    write_features(run, made(name="<img src=x>"), category="tray")
    text = write_page(run).read_text()
    (section,) = re.findall(r'<section id="features">.*?</section>', text, flags=re.S)
    assert section.count("<svg") == 1
    assert features_finding(made()) in section
    assert "Category: tray." in section
    assert "Category: bolt" not in section
    assert "<img src=x" not in text


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    for content in (b"PK no archive", b"PK\x03\x04 an archive that was cut off"):
        (tmp_path / "features/c.npz").write_bytes(content)
        with pytest.raises(AdframeError, match=r"features/c\.npz"):
            read_features(tmp_path, category="c")
