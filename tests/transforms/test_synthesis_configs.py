"""Every conf/synthesis/*.yaml composes, builds and spoils a picture."""

import pytest
from hydra.utils import instantiate

from adframe.config.signatures import check_arguments
from adframe.errors import AdframeError
from tests.transforms.synthesis_scenes import FAMILIES, NAMES, config, donor, synthesis, texture


@pytest.mark.parametrize("name", NAMES)
def test_every_yaml_builds_and_runs(name: str) -> None:
    cfg = config(name)
    check_arguments(cfg, "synthesis")
    built = instantiate(cfg.synthesis, _convert_="all")
    assert (built.name, built.seed, built.normal_share) == (name, 42, 0.5)
    spoilt = [built.training(texture(), donor=donor, index=i, epoch=0).anomalous for i in range(12)]
    assert any(spoilt) == (name != "none")
    if name in FAMILIES:
        assert list(built.families) == [name]


def test_there_is_one_for_every_family_and_every_group() -> None:
    assert set(NAMES) == {*FAMILIES, "none", "default", "stages", "any_size"}
    assert list(synthesis("default").families) == FAMILIES
    assert list(synthesis("stages").families) == ["contextual", "structural", "texture"]


def test_numbers_can_be_overridden_and_families_added_and_removed() -> None:
    built = synthesis(
        "stages",
        "synthesis.families.texture.weight=3",
        "~synthesis.families.structural",
        "+synthesis/family@synthesis.families.nsa=nsa",
        "synthesis.held_out=nsa",
        "synthesis.seed=7",
    )
    assert list(built.trained) == ["contextual", "texture"]
    assert (list(built.validated), built.seed, built.families["texture"].weight) == (["nsa"], 7, 3)


def test_a_misspelt_number_is_found_before_anything_is_built() -> None:
    cfg = config("scar", "+synthesis.families.scar.lenght=1")
    with pytest.raises(AdframeError, match=r"synthesis.families.scar.lenght.*did you mean"):
        check_arguments(cfg, "synthesis")
