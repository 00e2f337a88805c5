from multiprocessing import get_context

import numpy as np
import pytest

from adframe.contracts import GOOD
from adframe.errors import AdframeError
from adframe.transforms.synthesis.foreground import foreground_of
from adframe.transforms.synthesis.stages import Contextual
from adframe.transforms.synthesis.synthesis import Synthesis, Synthesised
from tests.transforms.synthesis_scenes import FAMILIES, donor, part, synthesis, texture


def made(index: int, *, epoch: int = 0, name: str = "default") -> Synthesised:
    return synthesis(name, "synthesis.normal_share=0").training(
        texture(), donor=donor, index=index, epoch=epoch
    )


def drawn(place: tuple[int, int]) -> tuple[bytes, bytes, str]:
    index, epoch = place
    result = made(index, epoch=epoch)
    return result.image.tobytes(), result.mask.tobytes(), result.family


@pytest.mark.slow
def test_seed_image_and_epoch_decide_and_nothing_else() -> None:
    places = [(index, epoch) for index in range(3) for epoch in range(2)]
    here = [drawn(place) for place in places]
    with get_context("spawn").Pool(1) as pool:  # a process with another hash seed, in another order
        assert pool.map(drawn, reversed(places))[::-1] == here
    assert len({image for image, _, _ in here}) == len(places)
    other = synthesis("default", "synthesis.normal_share=0", "synthesis.seed=1")
    assert other.training(texture(), donor=donor, index=0, epoch=0).image.tobytes() != here[0][0]


def test_validation_has_no_epoch_and_is_not_training() -> None:
    built = synthesis("perlin", "synthesis.normal_share=0")
    first, again = (built.validation(texture(), donor=donor, index=3) for _ in range(2))
    assert np.array_equal(first.image, again.image)
    assert first.anomalous
    trained = [built.training(texture(), donor=donor, index=3, epoch=epoch).image for epoch in range(3)]
    shown = built.example(texture(), family="perlin", donor=donor, index=3).image
    assert not any(np.array_equal(first.image, image) for image in (*trained, shown))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8])
def test_as_many_images_stay_normal_as_asked(share: float) -> None:
    built = synthesis("structural", f"synthesis.normal_share={share}")
    results = [built.training(texture(), donor=donor, index=i, epoch=2) for i in range(200)]
    normal = [result for result in results if not result.anomalous]
    assert len(normal) / 200 == pytest.approx(share, abs=0.1)
    assert all(np.array_equal(result.image, texture()) and not result.mask.any() for result in normal)
    assert {result.family for result in normal} <= {GOOD}


@pytest.mark.parametrize("kept", ["scar", "nsa"])
def test_a_held_out_family_is_all_of_validation_and_none_of_training(kept: str) -> None:
    built = synthesis("default", f"synthesis.held_out={kept}", "synthesis.normal_share=0")
    image = texture()
    trained = {built.training(image, donor=donor, index=i, epoch=0).family for i in range(80)}
    assert trained == set(FAMILIES) - {kept}
    assert {built.validation(image, donor=donor, index=i).family for i in range(10)} == {kept}


def test_weights_say_how_often_a_family_comes() -> None:
    none = [f"synthesis.families.{name}.weight=0" for name in ("nsa", "perlin")]
    more = ["synthesis.families.cutpaste.weight=6", "synthesis.held_out=null"]
    built = synthesis("default", "synthesis.normal_share=0", *none, *more)
    names = [built.training(texture(), donor=donor, index=i, epoch=0).family for i in range(150)]
    assert not {"nsa", "perlin"} & set(names)
    assert names.count("cutpaste") / 150 == pytest.approx(0.6, abs=0.12)  # of 6 + 1 + 1 + 1 + 1


def test_without_families_every_image_is_the_very_object() -> None:
    image = texture()
    assert synthesis("none").training(image, donor=donor, index=0, epoch=0).image is image


def test_what_never_shows_leaves_the_image_normal() -> None:
    flat = np.full((64, 64, 3), 0.5, np.float32)
    built = synthesis("contextual", "synthesis.normal_share=0")
    asked: list[int] = []

    def same(generator: np.random.Generator) -> np.ndarray:
        asked.append(1)
        return flat

    result = built.training(flat, donor=same, index=0, epoch=0)
    assert (result.family, result.mask.any(), len(asked)) == (GOOD, False, built.attempts)
    assert np.array_equal(result.image, flat)


def test_a_mask_is_as_large_as_asked() -> None:
    small, large = (
        synthesis("scar", "synthesis.normal_share=0", f"synthesis.smallest={share}", "synthesis.attempts=20")
        for share in (0, 0.005)
    )
    shares = [
        [b.training(texture(), donor=donor, index=i, epoch=0).mask.mean() for i in range(30)]
        for b in (small, large)
    ]
    assert 0 < min(shares[0]) < 0.004
    assert min(share for share in shares[1] if share) >= 0.005


def test_a_part_is_told_from_an_even_ground_and_a_texture_has_none() -> None:
    image, inside = part()
    found = foreground_of(image)
    assert found is not None
    assert (found & inside).sum() / (found | inside).sum() > 0.85
    assert foreground_of(1 - image) is not None  # a dark part before a bright ground
    assert all(foreground_of(texture(seed)) is None for seed in range(10))
    assert foreground_of(np.full((64, 64, 3), 0.3, np.float32)) is None
    faint, dot = (np.full((96, 96, 3), 0.3, np.float32) for _ in range(2))
    faint[30:60, 30:60] += 0.03
    dot[50:54, 50:54] = 0.9
    assert foreground_of(faint) is foreground_of(dot) is None
    few = np.full((96, 96, 3), 0.1, np.float32)
    few[10:30, 10:30] = few[10:30, 60:80] = few[60:80, 30:50] = 0.8  # several parts: none of them is the part
    assert foreground_of(few) is None
    halves = np.full((96, 96, 3), 0.1, np.float32)
    halves[:, 50:] = 0.7  # neither is the ground
    assert foreground_of(halves) is None


@pytest.mark.parametrize("name", FAMILIES)
def test_anomalies_touch_the_part(name: str) -> None:
    image, inside = part()
    on, anywhere = (
        synthesis(name, "synthesis.normal_share=0", f"synthesis.foreground={said}")
        for said in ("true", "false")
    )

    def touching(built: Synthesis) -> float:
        results = [
            built.training(image, donor=lambda g: part(int(g.integers(1, 9)))[0], index=i, epoch=0)
            for i in range(24)
        ]
        return float(np.mean([(r.mask & inside).any() for r in results if r.anomalous]))

    assert touching(on) == 1
    assert touching(anywhere) < 1


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("synthesis.held_out=scars", r"unknown family 'scars' in synthesis.held_out; did you mean 'scar'"),
        ("synthesis.normal_share=1", "synthesis.normal_share=1 must be 0 or more, and below 1"),
        ("synthesis.normal_share=nan", "synthesis.normal_share=nan"),
        ("synthesis.smallest=-0.1", "synthesis.smallest=-0.1"),
        ("synthesis.attempts=0", "synthesis.attempts=0 must be 1 or more"),
        ("synthesis.seed=-1", "synthesis.seed=-1 must be 0 or more"),
        ("synthesis.families.nsa=null", "synthesis.families.nsa=None is not .*~synthesis.families.nsa"),
    ],
)
def test_bad_settings_are_one_line(override: str, said: str) -> None:
    with pytest.raises(AdframeError, match=said) as caught:
        synthesis("default", override)
    assert "\n" not in str(caught.value)


def test_what_is_held_out_must_leave_something_to_train_on() -> None:
    family = Contextual(area=0.1, patches=1, shapes=["ellipse"])
    with pytest.raises(AdframeError, match=r"^synthesis.held_out=only leaves no family"):
        Synthesis({"only": family}, name="n", seed=0, held_out="only")


def test_settings_tell_two_syntheses_apart() -> None:
    one, other = synthesis("default"), synthesis("default", "synthesis.families.scar.jitter=0.5")
    assert one.settings() == synthesis("default").settings() != other.settings()
