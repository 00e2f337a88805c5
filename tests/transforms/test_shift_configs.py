"""Every conf/shift/*.yaml composes, builds and shifts a picture."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from adframe.config.signatures import check_arguments
from adframe.transforms.shift.shift import ORDER, Shift

CONF = Path(__file__).parents[2] / "conf"
NAMES = sorted(path.stem for path in (CONF / "shift").glob("*.yaml"))


def config(name: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(overrides=["+seed=42", f"+shift={name}", *overrides])


def shift(name: str, *overrides: str) -> Shift:
    built: Shift = instantiate(config(name, *overrides).shift)
    return built


def picture(side: int = 64) -> np.ndarray:
    noise = np.random.default_rng(1).random((side, side, 3), dtype=np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.uint8((smooth - smooth.min()) / np.ptp(smooth) * 180 + 30)


@pytest.mark.parametrize("name", NAMES)
def test_every_yaml_builds_and_runs(name: str) -> None:
    cfg = config(name)
    check_arguments(cfg, "shift")
    built, image = instantiate(cfg.shift), picture()
    assert (built.name, built.seed, built.splits) == (name, 42, ("test",))
    changed = [not np.array_equal(built(image, [], index=index)[0], image) for index in range(8)]
    assert any(changed) == (name != "none")
    if name in ORDER:
        assert list(built.transforms) == [name]
        assert sum(changed) >= 7  # a blur of 1 or the like does not exist, a crop of 100 % nearly does not


def test_there_is_one_for_every_transform_and_every_group() -> None:
    groups = {"none", "mild", "moderate", "severe", "geometric", "photometric", "illumination"}
    assert set(NAMES) == {*ORDER, *groups}


@pytest.mark.slow
def test_presets_are_ordered_by_strength() -> None:
    image = picture(128)
    mild, moderate, severe = (
        np.mean([np.abs(shift(name)(image, [], index=i)[0].astype(int) - image) for i in range(12)])
        for name in ("mild", "moderate", "severe")
    )
    assert 1 < mild < moderate < severe


def test_the_groups_are_the_parts_of_moderate() -> None:
    whole = shift("moderate").draw(7)
    parts = [shift(name).draw(7) for name in ("geometric", "photometric", "illumination")]
    assert {name: params for part in parts for name, params in part.items()} == whole


def test_numbers_can_be_overridden_and_transforms_added_and_removed() -> None:
    built = shift(
        "severe",
        "shift.transforms.rotation.degrees=7",
        "~shift.transforms.noise",
        "+shift/transform@shift.transforms.jpeg=jpeg",
        "shift.splits=[val,test]",
        "shift.seed=1",
    )
    assert built.draw(0)["rotation"] == {"degrees": 7.0}
    assert "noise" not in built.transforms
    assert list(built.transforms)[-1] == "jpeg"
    assert (built.seed, built.splits) == (1, ("val", "test"))
    assert shift("corruption_noise", "shift.transforms.corruption_noise.severity=5").draw(0) != {}
