"""What the tests of synthetic anomalies share: small pictures, and every family as configured."""

from pathlib import Path

import cv2
import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from adframe.config.build import build
from adframe.transforms.synthesis.synthesis import Synthesis

CONF = Path(__file__).parents[2] / "conf"
NAMES = sorted(path.stem for path in (CONF / "synthesis").glob("*.yaml"))
FAMILIES = sorted(path.stem for path in (CONF / "synthesis/family").glob("*.yaml") if path.stem != "base")


def config(name: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(overrides=["+seed=42", f"+synthesis={name}", *overrides])


def synthesis(name: str, *overrides: str) -> Synthesis:
    built: Synthesis = build(config(name, *overrides), "synthesis")
    return built


def texture(seed: int = 0, *, side: int = 96, grey: bool = False) -> np.ndarray:
    """(side, side, 3) float32: smooth noise all over."""
    noise = np.random.default_rng(seed).random((side, side, 1 if grey else 3), dtype=np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2).reshape(side, side, -1)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return np.ascontiguousarray(np.broadcast_to(smooth, (side, side, 3)))


def part(seed: int = 0, *, side: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """A textured disk before an even ground, and where it is (side, side) bool."""
    rows, columns = np.mgrid[:side, :side]
    inside = (rows - 0.4 * side) ** 2 + (columns - 0.6 * side) ** 2 < (0.2 * side) ** 2
    ground = np.full((side, side, 3), 0.1, np.float32)
    ground += np.random.default_rng(seed).normal(0, 0.005, ground.shape).astype(np.float32)
    return np.where(inside[..., None], 0.4 + 0.5 * texture(seed, side=side), ground), inside


def donor(generator: np.random.Generator) -> np.ndarray:
    return texture(int(generator.integers(1, 9)))
