"""Maps out and maps in: `save_maps=true`, then `evaluate.py maps=` without a model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from sklearn.metrics import roc_auc_score

from adframe.errors import AdframeError
from adframe.io.anomaly_maps import read_map
from adframe.results.predictions import read_predictions
from tests.e2e.scripts import COUNTS, Outcome, call, metrics_of, train_here

LOCO = (*COUNTS, "dataset.layout=mvtec_loco", "dataset.products=[weave,tray]")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("loco") / "set"


@pytest.fixture(scope="module")
def run(base: list[str], drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose maps nobody may change."""
    folder = tmp_path_factory.mktemp("mapped") / "run"
    return train_here(
        *base, *LOCO, f"dataset.root={drawn}", f"paths.run={folder}", "save_maps=true",
        "callbacks.maps.dtype=float32",
    )  # fmt: skip


@pytest.fixture
def maps(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run / "maps", tmp_path / "maps"))


def scored(maps: Path, drawn: Path, *overrides: str) -> Outcome:
    return call(
        "evaluate", f"maps={maps}", "dataset=toy", *LOCO, f"dataset.root={drawn}", "output=out", *overrides
    )


def refused(outcome: Outcome, *words: str) -> bool:
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    assert [word for word in words if word not in outcome.err] == [], outcome.err
    assert not Path("out").exists()
    return True


def test_our_maps_score_as_our_run_did(run: Path, maps: Path, drawn: Path) -> None:
    outcome = scored(maps, drawn)
    assert (outcome.code, outcome.err) == (0, "")
    ours, theirs = metrics_of(run)["test"], metrics_of(Path("out"))["test"]
    assert set(theirs) == set(ours) == {"tray", "weave", "mean"}
    for category, numbers in ours.items():
        at_a_threshold = ("segf1", "iou")  # foreign maps come without one
        pixel = {k: v for k, v in numbers.items() if "pixel/" in k and not k.endswith(at_a_threshold)}
        assert {name: theirs[category][name] for name in pixel} == pytest.approx(pixel, abs=1e-6, nan_ok=True)
    assert "tray" in outcome.out
    assert f"{maps.parent.name}/maps" in (Path("out") / "report.html").read_text()


def test_image_scores_are_the_maps_maxima_and_nothing_is_decided(maps: Path, drawn: Path) -> None:
    assert scored(maps, drawn, "category=tray").code == 0
    rows = read_predictions(Path("out/predictions.parquet"))
    files = {
        row["path"]: maps / "tray/test" / row["defect"] / f"{Path(row['path']).stem}.tiff" for row in rows
    }
    assert [row["score"] for row in rows] == [float(read_map(files[row["path"]]).max()) for row in rows]
    for subset in ("logical", "structural"):
        part = [row for row in rows if row["subset"] in ("good", subset)]
        own = roc_auc_score([row["label"] for row in part], [row["score"] for row in part])
        assert metrics_of(Path("out"))["test"]["tray"][f"{subset}/image/auroc"] == pytest.approx(own)
    assert {(row["decision"], row["threshold"]) for row in rows} == {(None, None)}


def test_scores_of_a_csv_replace_the_maxima(maps: Path, drawn: Path, tmp_path: Path) -> None:
    images = sorted((drawn / "tray/test").rglob("*.png"))
    lines = [f"{path.relative_to(drawn)},{'good' not in path.parts:d}" for path in images]
    (tmp_path / "scores.csv").write_text("\n".join(["path,score", *lines]))
    assert scored(maps, drawn, "category=tray", f"scores={tmp_path / 'scores.csv'}").code == 0
    assert metrics_of(Path("out"))["test"]["tray"]["image/auroc"] == 1
    (tmp_path / "scores.csv").write_text("\n".join(["path,score", *lines[1:]]))
    shutil.rmtree("out")
    words = ("no score of", str(images[0]))
    assert refused(scored(maps, drawn, "category=tray", f"scores={tmp_path / 'scores.csv'}"), *words)


def test_a_dataset_where_it_lies_by_default(maps: Path, drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn, tmp_path / "data/own")
    overrides = ("dataset=toy", *LOCO, "dataset.root=${paths.data}/own", "output=out")
    assert call("evaluate", f"maps={maps}", *overrides).code == 0


def test_any_ending_and_any_float_will_do(maps: Path, drawn: Path) -> None:
    for file in maps.rglob("*.tiff"):
        tifffile.imwrite(file.with_suffix(".tif"), read_map(file).astype(np.float64))
        file.unlink()
    assert scored(maps, drawn).code == 0


@pytest.mark.parametrize("kind", ["missing", "size", "nan", "broken"])
def test_a_map_that_cannot_be_scored_is_one_line_with_both_files(kind: str, maps: Path, drawn: Path) -> None:
    file = maps / "weave/test/good/001.tiff"
    scores = read_map(file)
    file.unlink()
    if kind == "size":
        tifffile.imwrite(file, scores[1:])
    elif kind == "nan":
        scores[3, 3] = np.nan
        tifffile.imwrite(file, scores)
    elif kind == "broken":
        file.write_bytes(b"II*")
    assert refused(scored(maps, drawn), str(file), *(["good/001.png"] if kind != "broken" else []))


def test_categories_without_maps_are_left_out_of_all_and_refused_by_name(maps: Path, drawn: Path) -> None:
    shutil.rmtree(maps / "weave")
    assert refused(scored(maps, drawn, "category=weave"), "no map of", "weave/test")
    (maps / "tray/test/good/999.tiff").touch()
    outcome = scored(maps, drawn)
    assert outcome.code == 0
    assert "weave" in outcome.err
    assert "999.tiff" in outcome.err
    assert list(metrics_of(Path("out"))["test"]) == ["tray", "mean"]
    assert any(
        "999.tiff" in line for line in json.loads(Path("out/environment.json").read_text())["warnings"]
    )


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (("maps=nowhere", "dataset=toy"), "nowhere is not a folder"),
        (("maps=.", "dataset=toy", "seed=x"), "seed=x"),
        (("maps=.", "dataset=toy", "+foo=1"), "foo"),
        (("maps=.",), "dataset"),
    ],
)
def test_what_cannot_be_is_one_line(overrides: tuple[str, ...], word: str, drawn: Path) -> None:
    known = (*LOCO, f"dataset.root={drawn}") if "dataset=toy" in overrides else ()
    assert refused(call("evaluate", *overrides, *known), word)


def test_float16_is_the_default_and_its_cost_is_noted(base: list[str], tmp_path: Path) -> None:
    run = train_here(*base, "category=tray", f"paths.run={tmp_path / 'run'}", "save_maps=true")
    dtypes = {str(tifffile.imread(file).dtype) for file in (run / "maps/tray/test").rglob("*.tiff")}
    assert dtypes == {"float16"}
    noted = json.loads((run / "environment.json").read_text())["maps"]["tray"]
    assert (noted["files"], noted["kept_float32"]) == (len(list(run.rglob("*.tiff"))), 0)


def test_two_images_that_would_share_a_map_stop_the_run_before_it_starts(
    base: list[str], drawn: Path, tmp_path: Path
) -> None:
    shutil.copytree(drawn, tmp_path / "set")
    good = tmp_path / "set/tray/test/good"
    shutil.copy(good / "000.png", good / "000.jpg")
    with pytest.raises(AdframeError, match="would be one file"):
        train_here(
            *[text for text in base if not text.startswith("dataset.")], "dataset=mvtec_loco",
            f"dataset.root={tmp_path / 'set'}", "category=tray", "save_maps=true",
        )  # fmt: skip
    assert not Path("runs").exists()
