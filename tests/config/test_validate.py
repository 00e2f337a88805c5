"""Hints of refused keys name a key of the same script."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from adframe.config.messages import CONF
from adframe.config.validate import check_evaluation, check_values
from adframe.errors import AdframeError

FOLDER_IN_HYDRA = ["hydra.run.dir=/x"]


def test_the_hint_of_evaluate_names_a_key_that_evaluate_has() -> None:
    keys = list(OmegaConf.load(CONF / "evaluate.yaml"))
    with pytest.raises(AdframeError, match=r"hydra\.run\.dir is not read; .* with run=<folder>$"):
        check_evaluation(OmegaConf.create(), overrides=[], hydra_overrides=FOLDER_IN_HYDRA)
    assert "run" in keys
    assert "paths" not in keys


@pytest.mark.parametrize("key", ["paths.run", "output"])
def test_the_hint_of_other_scripts_names_the_key_of_their_folder(key: str) -> None:
    with pytest.raises(AdframeError, match=rf"hydra\.run\.dir is not read; .* with {key}=<folder>$"):
        check_values(OmegaConf.create(), overrides=[], hydra_overrides=FOLDER_IN_HYDRA, folder_key=key)
