"""What a training that is kept for other runs depends on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf

from adframe.runs.training_cache import stored_training, training_settings
from tests.e2e.scripts import composed
from tests.fakes.pictures import draw
from tests.fakes.sets import set_up, write_set


def settings_of(*overrides: str) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(composed("train", *overrides), resolve=True)
    return training_settings(plain)


@pytest.mark.parametrize("place", ["trainer=ddp_cpu", "trainer.devices=2", "trainer=gpu"])
def test_where_a_training_runs_does_not_matter(place: str) -> None:
    assert settings_of("model=sit", "trainer=cpu", place) == settings_of("model=sit", "trainer=cpu")


@pytest.mark.parametrize(
    "other",
    [
        "+trainer.accumulate_grad_batches=4", "+trainer.limit_train_batches=0.5", "trainer.compile=true",
        "trainer.precision=bf16-mixed", "learning.epochs=3", "mask_ratio=0.5",
    ],
)  # fmt: skip
def test_what_is_learned_otherwise_is_another_training(other: str) -> None:
    assert settings_of("model=sit", "trainer=cpu", other) != settings_of("model=sit", "trainer=cpu")


def test_other_pictures_of_the_penalty_are_another_training(tmp_path: Path) -> None:
    data = set_up(write_set(tmp_path / "set").parent)
    detector = SimpleNamespace(backbone=SimpleNamespace(digest="d"))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    draw(pictures / "one.png", size=(20, 30))

    def place() -> Path:
        given = settings_of("model=efficient_ad", f"model.penalty_images={pictures}", "model.teacher=t")
        return stored_training(tmp_path, given, detector, data).path

    first = place()
    assert place() == first
    draw(pictures / "two.png", size=(20, 30))
    assert place() != first
