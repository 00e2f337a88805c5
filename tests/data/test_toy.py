import errno
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from adframe.errors import AdframeError
from adframe.toy.families import FAMILIES
from adframe.toy.layouts import write_toy
from adframe.toy.render import render_shot

SMALL = {"image_size": 64, "train": 1, "validation": 1, "test_good": 1, "test_bad": 6}
KINDS = [(category, kind) for category, family in FAMILIES.items() for kind in family.kinds]


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def small(root: Path, **changes: object) -> Path:
    write_toy(root, **{"categories": ["tray"], **SMALL, **changes})  # type: ignore[arg-type]
    return root


@pytest.fixture(scope="module")
def loco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small(tmp_path_factory.mktemp("toy") / "loco", layout="mvtec_loco", categories=["tray", "bracket"])


def test_a_picture_depends_on_its_key_alone(tmp_path: Path) -> None:
    few = tree(small(tmp_path / "few", categories=["weave"]))
    many = tree(small(tmp_path / "many", categories=["bracket", "weave"], train=2, test_bad=8))
    assert all(many[name] == few[name] for name in few if name.startswith("weave"))
    other = tree(small(tmp_path / "other", categories=["weave"], seed=0))
    assert not any(other[name] == few[name] for name in few if name.startswith("weave"))


def test_no_two_pictures_are_the_same(loco: Path) -> None:
    pictures = [data for name, data in tree(loco).items() if "good" in name]
    assert len(set(pictures)) == len(pictures) == 6


@pytest.mark.parametrize(("category", "kind"), KINDS)
@pytest.mark.parametrize("condition", ["regular", "underexposed"])
def test_a_defect_changes_its_mask_and_nothing_else(category: str, kind: str, condition: str) -> None:
    for index in range(3):
        take = {
            "size": 64,
            "seed": 3,
            "split": "test",
            "index": index,
            "defect": kind,
            "condition": condition,
        }
        bad, good = render_shot(category, **take), render_shot(category, **take, twin=True)  # type: ignore[arg-type]
        change = np.abs(bad.image.astype(int) - good.image).max(axis=2)
        mask = np.logical_or.reduce([channel.mask for channel in bad.channels])
        assert mask.shape == (64, 64)
        assert all(channel.mask.any() for channel in bad.channels)
        assert change[mask].max() >= 4
        assert change[~mask].max() == 0


@pytest.mark.parametrize("category", list(FAMILIES))
def test_size_changes_the_resolution_and_not_the_scene(category: str) -> None:
    take = {"seed": 5, "split": "train", "index": 0}
    small_one, large = (render_shot(category, size=size, **take).image for size in (64, 160))  # type: ignore[arg-type]
    shrunk = cv2.resize(large, (64, 64), interpolation=cv2.INTER_AREA)
    blur = [cv2.GaussianBlur(image, (0, 0), 2).astype(float) for image in (small_one, shrunk)]
    assert np.abs(blur[0] - blur[1]).mean() < 3


def test_mvtec_ad_layout(tmp_path: Path) -> None:
    names = set(tree(small(tmp_path / "toy")))
    bad = {f"tray/test/{kind}/000.png" for kind in FAMILIES["tray"].kinds}
    masks = {f"tray/ground_truth/{kind}/000_mask.png" for kind in FAMILIES["tray"].kinds}
    good = {"tray/train/good/000.png", "tray/test/good/000.png"}
    assert names == {"toy.json"} | bad | masks | good
    for name in masks:
        mask = cv2.imread(str(tmp_path / "toy" / name), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (64, 64)
        assert set(np.unique(mask)) == {0, 255}


def test_mvtec_loco_layout(loco: Path) -> None:
    names = {name for name in tree(loco) if not re.search(r"ground_truth|toy\.json", name)}
    tray = {f"tray/test/{s}_anomalies/{i:03d}.png" for s in ("logical", "structural") for i in range(3)}
    bracket = {f"bracket/test/structural_anomalies/{i:03d}.png" for i in range(6)}
    both = ("train/good/000.png", "validation/good/000.png", "test/good/000.png", "defects_config.json")
    assert names == tray | bracket | {f"{c}/{name}" for c in ("tray", "bracket") for name in both}
    truths = {p.parent.name for p in loco.glob("tray/ground_truth/logical_anomalies/*/000.png")}
    assert truths == {"000", "001", "002"}
    assert len(list(loco.glob("tray/ground_truth/logical_anomalies/002/*.png"))) == 2  # two swapped parts


def test_loco_channels_hold_one_value_that_the_config_knows(loco: Path) -> None:
    config = {e["pixel_value"]: e for e in json.loads((loco / "tray/defects_config.json").read_text())}
    for path in loco.glob("tray/ground_truth/*/*/*.png"):
        values = set(np.unique(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)).tolist()) - {0}
        assert len(values) == 1
        entry = config[values.pop()]
        assert entry["relative_saturation"] == ("structural" in str(path))
        assert isinstance(entry["saturation_threshold"], float if entry["relative_saturation"] else int)


def test_mvtec_ad2_layout(tmp_path: Path) -> None:
    names = set(tree(small(tmp_path / "toy", layout="mvtec_ad2", test_bad=2)))
    lights = ("regular", "overexposed", "underexposed", "shift_1")
    public = {f"good/000_{light}.png" for light in lights}
    for i in range(2):
        public |= {f"bad/{i:03d}_{light}.png" for light in lights}
        public |= {f"ground_truth/bad/{i:03d}_{light}_mask.png" for light in lights}
    rest = {"train/good/000_regular.png", "validation/good/000_regular.png"}
    rest |= {"test_private/000_regular.png", "test_private_mixed/000_mixed.png"}
    assert names == {"toy.json"} | {f"tray/{n}" for n in rest} | {f"tray/test_public/{n}" for n in public}


def test_a_light_condition_changes_the_light_and_not_the_part() -> None:
    take = {"size": 64, "seed": 1, "split": "test", "index": 0, "defect": "missing"}
    shots = {c: render_shot("tray", **take, condition=c) for c in ("regular", "overexposed", "underexposed")}  # type: ignore[arg-type]
    level = {c: shot.image.mean() for c, shot in shots.items()}
    assert level["underexposed"] < 0.7 * level["regular"] < level["regular"] < 0.8 * level["overexposed"]
    masks = [shot.channels[0].mask for shot in shots.values()]
    assert all((mask == masks[0]).all() for mask in masks)


def test_a_finished_set_is_left_alone(tmp_path: Path) -> None:
    path = small(tmp_path / "toy") / "tray/train/good/000.png"
    before = path.stat().st_mtime_ns
    small(tmp_path / "toy", validation=9)  # this layout has no validation split
    assert path.stat().st_mtime_ns == before
    with pytest.raises(AdframeError, match=r"seed=42, not seed=0; choose another folder"):
        small(tmp_path / "toy", seed=0)


def test_other_files_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(AdframeError, match="not a toy set"):
        small(tmp_path)
    assert tree(tmp_path) == {"thesis.tex": b"years of work"}


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        if path.name == "000_mask.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        with path.open("wb") as file:
            return file.write(data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(AdframeError, match="No space left on device"):
        small(tmp_path / "toy")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": "visa"}, "unknown layout 'visa'; allowed: mvtec_ad, mvtec_loco, mvtec_ad2"),
        ({"categories": ["tray", "screw"]}, "unknown category 'screw'; allowed: weave, bracket, tray"),
        ({"categories": []}, "no category given"),
        ({"image_size": 63}, "image_size=63 is too small; it must be 64 or more"),
        ({"test_bad": 0}, "test_bad=0 is too small"),
    ],
)
def test_what_is_impossible_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(AdframeError, match=message):
        small(tmp_path / "toy", **change)
    assert not (tmp_path / "toy").exists()
