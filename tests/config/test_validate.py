"""Hints of refused keys name a key of the same script."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from adframe.config.messages import CONF
from adframe.config.validate import check_evaluation, check_values, unread_overrides
from adframe.errors import AdframeError
from tests.composing import composed

FOLDER_IN_HYDRA = ["hydra.run.dir=/x"]


def test_the_hint_of_evaluate_names_a_key_that_evaluate_has() -> None:
    keys = list(OmegaConf.load(CONF / "evaluate.yaml"))
    with pytest.raises(AdframeError, match=r"hydra\.run\.dir is not read; .* with run=<folder>$"):
        check_evaluation(OmegaConf.create(), overrides=[], hydra_overrides=FOLDER_IN_HYDRA)
    assert "run" in keys
    assert "paths" not in keys


@pytest.mark.parametrize("model", ["sit", "dinov2_lora", "dinomaly", "efficient_ad", "patchcore"])
def test_only_methods_that_checkpoint_take_the_setting(model: str) -> None:
    typed = [f"model={model}", "dataset=toy", "paths.run=x", "trainer.gradient_checkpointing=true"]
    if model == "efficient_ad":
        typed.append("model.teacher=teacher.safetensors")
    cfg = composed("train", *typed)
    if model in ("dinomaly", "efficient_ad"):
        with pytest.raises(AdframeError, match=r"only sit and dinov2_lora can; set it to false"):
            check_values(cfg, overrides=typed)
        cfg.trainer.gradient_checkpointing = False
    check_values(cfg, overrides=typed)
    unread = f"trainer.gradient_checkpointing was given, but model={model} does not read it"
    found = unread_overrides(cfg, overrides=typed, model=model)
    assert (unread in found) == (model not in ("sit", "dinov2_lora"))


@pytest.mark.parametrize(
    ("model", "reads"), [("sit", True), ("dinomaly", True), ("padim", True), ("rad", False), ("musc", False)]
)
def test_a_store_keeps_trainings_or_features_or_is_not_read(model: str, reads: bool) -> None:
    cfg = composed("train", f"model={model}", "store=disk")
    found = unread_overrides(cfg, overrides=["store=disk"], model=model)
    assert found == ([] if reads else [f"store was given, but model={model} does not read it"])


@pytest.mark.parametrize("key", ["paths.run", "output"])
def test_the_hint_of_other_scripts_names_the_key_of_their_folder(key: str) -> None:
    with pytest.raises(AdframeError, match=rf"hydra\.run\.dir is not read; .* with {key}=<folder>$"):
        check_values(OmegaConf.create(), overrides=[], hydra_overrides=FOLDER_IN_HYDRA, folder_key=key)
