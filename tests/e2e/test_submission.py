"""A submission to the MVTec AD 2 server, from a run on the toy set in that layout."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from adframe.data.base import Source
from adframe.data.masks import read_mask
from adframe.errors import AdframeError
from adframe.io.images import read_size
from adframe.runs.submission import scaled_size
from adframe.runs.submission_files import MAPS, MASKS, MapScale, check_submission, pack_submission
from tests.e2e.scripts import BACKBONE, call, train_here

SETS = ("test_private", "test_private_mixed")


@pytest.fixture(scope="module")
def run(toy_ad2: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose settings know nothing of the private sets."""
    return train_here(
        *BACKBONE, "image_size=64", "num_workers=0", "logger=none", "dataset=mvtec_ad2",
        "category=[tray,weave]", f"dataset.root={toy_ad2.root}",
        f"paths.run={tmp_path_factory.mktemp('ad2') / 'run'}",
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished submission; nobody may change it."""
    folder = tmp_path_factory.mktemp("submitted") / "mine"
    outcome = call("evaluate", f"run={run}", f"submission={folder}")
    assert outcome.code == 0, outcome.err
    assert "checked: every file is there" in outcome.out
    return folder


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_every_private_image_has_a_map_and_a_mask_and_there_is_nothing_else(
    written: Path, toy_ad2: Source
) -> None:
    images = [p.relative_to(toy_ad2.root) for s in SETS for p in Path(toy_ad2.root).glob(f"*/{s}/*.png")]
    wanted = {f"{MAPS}/{p.with_suffix('.tiff').as_posix()}" for p in images}
    wanted |= {f"{MASKS}/{p.as_posix()}" for p in images}
    assert images
    assert files(written) == wanted
    with tarfile.open(f"{written}.tar.gz") as tar:
        assert {member.name for member in tar if member.isfile()} == wanted
    for path in images:
        found = tifffile.imread(written / MAPS / path.with_suffix(".tiff"))
        assert (found.dtype, found.shape) == (np.float16, read_size(Path(toy_ad2.root) / path))


def test_masks_are_the_maps_beyond_one_threshold_that_validation_set(written: Path) -> None:
    facts = json.loads(Path(f"{written}.json").read_text())["objects"]
    assert set(facts) == {"tray", "weave"}
    for name, fact in facts.items():
        assert fact["threshold"] == pytest.approx(fact["mean"] + 3 * fact["std"])
        inside, outside = [], []
        for mask in (written / MASKS / name).rglob("*.png"):
            scores = tifffile.imread(written / MAPS / mask.relative_to(written / MASKS).with_suffix(".tiff"))
            marked = read_mask(mask)
            assert set(np.unique(marked).tolist()) <= {0, 255}
            inside, outside = inside + scores[marked > 0].tolist(), outside + scores[marked == 0].tolist()
        assert inside, "the toy's defects lie above the threshold"
        assert min(inside) >= max(outside)
        assert min(inside) == pytest.approx(3 / 64, rel=0.05)


def test_a_share_of_the_size(run: Path, tmp_path: Path) -> None:
    assert (
        call("evaluate", f"run={run}", "category=tray", "submission=mine", "submission_scale=0.5").code == 0
    )
    assert {tifffile.imread(path).shape for path in (tmp_path / "mine").rglob("*.tiff")} == {(32, 32)}
    assert scaled_size((5, 1), share=0.25) == (1, 1)


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (("submission=taken",), "taken is there already"),
        (("submission=new", "submission_scale=2"), "a share in (0, 1]"),
        (("submission=new", "shift=severe"), "leave out shift="),
        (("submission=new", "dataset.root=public"), "test_private_mixed"),
    ],
)
def test_what_cannot_be_submitted_is_one_line_and_leaves_nothing(
    overrides: tuple[str, ...], word: str, run: Path, toy_ad2: Source, tmp_path: Path
) -> None:
    (tmp_path / "taken").mkdir()
    if "dataset.root=public" in overrides:
        shutil.copytree(toy_ad2.root, "public")
        shutil.rmtree("public/weave/test_private_mixed")
    outcome = call("evaluate", f"run={run}", *overrides)
    assert (outcome.code, outcome.err.splitlines()[-1].startswith("error: ")) == (2, True)
    assert word in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "public") == ["taken"]


def test_a_run_of_another_dataset_is_refused(finished: Path) -> None:
    outcome = call("evaluate", f"run={finished}", "submission=new")
    assert (outcome.code, "dataset=mvtec_ad2" in outcome.err) == (2, True)


@pytest.mark.parametrize("harm", ["extra", "missing", "dtype", "size", "grey"])
def test_the_check_finds_what_is_wrong(harm: str, written: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(written, tmp_path / "copy"))
    sizes = {Path(name): (64, 64) for name in files(folder)}
    file = min(folder.rglob("*.tiff"))
    if harm == "extra":
        file = folder / MAPS / "readme.txt"
        file.touch()
    elif harm == "missing":
        file.unlink()
    elif harm == "grey":
        file = min(folder.rglob("*.png"))
        tifffile.imwrite(file, np.full((64, 64), 7, np.uint8))
    else:
        plane = np.zeros(
            (64, 64) if harm == "dtype" else (64, 63), np.float32 if harm == "dtype" else np.float16
        )
        tifffile.imwrite(file, plane)
    pack_submission(folder, tmp_path / "copy.tar.gz")
    with pytest.raises(AdframeError, match=file.name):
        check_submission(folder, tmp_path / "copy.tar.gz", sizes)


def test_float16_keeps_the_order_of_scores_far_from_zero() -> None:
    raw = np.sort(np.random.default_rng(0).normal(1e5, 2, size=(50, 40)), axis=None).astype(np.float32)
    half = MapScale(mean=1e5, std=2.0).to_half(raw, image=Path("x.png"))
    assert (np.diff(half) >= 0).all()
    assert len(np.unique(half)) > 0.9 * len(np.unique(raw))
    with pytest.raises(AdframeError, match=r"x\.png"):
        MapScale(mean=0, std=1e-6).to_half(raw, image=Path("x.png"))
