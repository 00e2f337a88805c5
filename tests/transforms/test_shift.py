import json
from collections.abc import Callable
from multiprocessing import get_context

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adframe.errors import AdframeError
from adframe.transforms.shift.camera import ChannelGain, Exposure, Jpeg, Vignetting
from adframe.transforms.shift.geometric import Crop, Rotation, Translation
from adframe.transforms.shift.illumination import LIGHT_KINDS, Gradient
from adframe.transforms.shift.photometric import Blur, Brightness, Contrast, Noise, Saturation
from adframe.transforms.shift.shift import ORDER, Shift
from adframe.transforms.shift.transform import Transform

RANGES = {
    "rotation.degrees": (-10, 10), "crop.area": (0.9, 1), "crop.top": (0, 1), "crop.left": (0, 1),
    "translation.down": (-0.02, 0.02), "translation.right": (-0.02, 0.02),
    "gradient.strength": (0.4, 0.7), "gradient.y": (0.25, 0.75), "gradient.x": (0.25, 0.75),
    "blur.kernel": (3, 5), "vignetting.strength": (0.2, 0.5), "exposure.stops": (-1, 1),
    "channel_gain.red": (0.8, 1.2), "channel_gain.blue": (0.8, 1.2), "brightness.factor": (0.7, 1.3),
    "contrast.factor": (0.7, 1.3), "saturation.factor": (0.7, 1.3), "noise.sigma": (0.01, 0.05),
    "noise.field": (0, 2**32), "jpeg.quality": (30, 70),
}  # fmt: skip


def gradient(*, probability: float = 0.5, **changed: object) -> Gradient:
    given: dict = {"strength": (0.4, 0.7), "kinds": LIGHT_KINDS, "centre": (0.25, 0.75)}
    return Gradient(**{**given, "sigma": 80, "reference": 900, "probability": probability, **changed})


def transforms() -> dict[str, Transform]:
    return {
        "rotation": Rotation(degrees=[-10, 10]),
        "crop": Crop(area=[0.9, 1]),
        "translation": Translation(share=[-0.02, 0.02]),
        "gradient": gradient(),
        "blur": Blur(kernel=[3, 5]),
        "vignetting": Vignetting(strength=[0.2, 0.5]),
        "exposure": Exposure(stops=[-1, 1]),
        "channel_gain": ChannelGain(gain=[0.8, 1.2]),
        "brightness": Brightness(factor=[0.7, 1.3]),
        "contrast": Contrast(factor=[0.7, 1.3]),
        "saturation": Saturation(factor=[0.7, 1.3]),
        "noise": Noise(sigma=[0.01, 0.05]),
        "jpeg": Jpeg(quality=[30, 70]),
    }


def shift(only: str = "", *, seed: int = 42, **changed: Transform) -> Shift:
    chosen = {name: t for name, t in transforms().items() if not only or name in only.split()}
    return Shift({**chosen, **changed}, name="tested", seed=seed)


def picture(height: int = 48, width: int = 64, *, dtype: type = np.uint8, grey: bool = False) -> np.ndarray:
    noise = np.random.default_rng(1).random((height, width, 1 if grey else 3), dtype=np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3).reshape(height, width, -1)
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 0.6 + 0.2
    return (np.broadcast_to(smooth, (height, width, 3)) * np.iinfo(dtype).max).astype(dtype)


def shifted(index: int) -> tuple[bytes, str]:
    image, _, facts = shift()(picture(), [], index=index)
    return image.tobytes(), json.dumps(facts)


def test_the_picture_depends_on_seed_and_index_only() -> None:
    here = [shifted(index) for index in range(4)]
    with get_context("spawn").Pool(1) as pool:  # a process with another hash seed, in another order
        assert pool.map(shifted, reversed(range(4)))[::-1] == here
    assert len(set(here)) == 4
    assert shift(seed=43)(picture(), [], index=0)[2] != shift()(picture(), [], index=0)[2]


def test_the_order_of_the_mapping_does_not_matter() -> None:
    backwards = Shift(dict(reversed(transforms().items())), name="tested", seed=42)
    assert np.array_equal(backwards(picture(), [], index=3)[0], shift()(picture(), [], index=3)[0])


@given(index=st.integers(0, 10_000), seed=st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_what_is_drawn_lies_in_its_range(index: int, seed: int) -> None:
    _, _, facts = shift(seed=seed)(picture(16, 16), [], index=index)
    for key, value in facts.items():
        if key == "gradient.kind":
            assert value in (*LIGHT_KINDS, "none")
        else:
            assert RANGES[key][0] <= value <= RANGES[key][1], key
    assert facts["blur.kernel"] in (3, 5)
    assert json.loads(json.dumps(facts)) == facts


def test_taking_one_out_leaves_the_others_draws() -> None:
    whole = shift().draw(5)
    for out in transforms():
        rest = Shift(transforms(), name="", seed=42)
        del rest.transforms[out]
        assert rest.draw(5) == {name: params for name, params in whole.items() if name != out}, out


def test_a_wider_range_scales_the_same_draw() -> None:
    wide = shift("rotation", rotation=Rotation(degrees=[-20, 20]))
    assert wide.draw(3)["rotation"]["degrees"] == pytest.approx(2 * shift().draw(3)["rotation"]["degrees"])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_dtype_and_shape_are_kept_and_the_input_too(dtype: type) -> None:
    image, mask = picture(dtype=dtype), np.zeros((48, 64), np.uint8)
    before = image.copy()
    for only in ("", *transforms()):
        strong = gradient(probability=1)
        changing = shift(only, gradient=strong) if only in ("", "gradient") else shift(only)
        new, masks, _ = changing(image, [mask], index=0)
        assert (new.dtype, new.shape) == (dtype, image.shape), only
        assert (masks[0].dtype, masks[0].shape) == (np.uint8, mask.shape), only
        assert np.array_equal(image, before), only
        assert not np.array_equal(new, image), only


def test_no_transforms_give_the_very_objects_back() -> None:
    image, masks = picture(), [np.zeros((48, 64), np.uint8)]
    new, same, facts = Shift({}, name="none", seed=0)(image, masks, index=1)
    assert new is image
    assert same is masks
    assert facts == {}


NOTHING: dict[str, Callable[[], Transform]] = {
    "rotation": lambda: Rotation(degrees=0),
    "crop": lambda: Crop(area=1),
    "translation": lambda: Translation(share=0),
    "gradient": lambda: gradient(probability=0),
    "blur": lambda: Blur(kernel=1),
    "vignetting": lambda: Vignetting(strength=0),
    "exposure": lambda: Exposure(stops=0),
    "channel_gain": lambda: ChannelGain(gain=1),
    "brightness": lambda: Brightness(factor=1),
    "contrast": lambda: Contrast(factor=1),
    "saturation": lambda: Saturation(factor=1),
    "noise": lambda: Noise(sigma=0),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_strength_of_nothing_changes_nothing(dtype: type) -> None:
    image = picture(dtype=dtype)
    for name, weakest in NOTHING.items():
        assert np.array_equal(Shift({name: weakest()}, name="", seed=0)(image, [], index=0)[0], image), name


def test_grey_stays_grey() -> None:
    grey = picture(61, 83, grey=True)
    for name in transforms().keys() - {"channel_gain"}:
        # Blur and warp come before noise.
        only = shift(f"{name} blur rotation", gradient=gradient(probability=1))
        new, _, _ = only(grey, [], index=0)
        assert np.array_equal(new[..., 0], new[..., 1]), name
        assert np.array_equal(new[..., 0], new[..., 2]), name


def test_saturation_leaves_grey_images_alone() -> None:
    grey = picture(grey=True)
    assert np.array_equal(shift("saturation")(grey, [], index=0)[0], grey)


def test_nothing_is_clipped_before_the_end() -> None:
    image = picture()
    up_and_down = Shift(
        {"exposure": Exposure(stops=2.2), "brightness": Brightness(factor=0.5)}, name="", seed=0
    )
    assert np.array_equal(up_and_down(image, [], index=0)[0], image)  # 2^(2.2 / 2.2) * 0.5 = 1


def test_the_gradient_falls_from_where_it_says() -> None:
    flat = np.full((90, 120, 3), 200, np.uint8)
    for kind, axis, first in (("left", 1, 0), ("right", 1, -1), ("top", 0, 0), ("bottom", 0, -1)):
        lit = gradient(probability=1, kinds=[kind], strength=0.5)
        line = Shift({"gradient": lit}, name="", seed=0)(flat, [], index=0)[0][..., 0].mean(axis=1 - axis)
        falling = line if first == 0 else line[::-1]
        assert (np.diff(falling) <= 0).all()
        assert falling[0] == pytest.approx(200, abs=5)
        assert falling[-1] == pytest.approx(100, abs=5)


def test_a_gradient_comes_on_as_many_images_as_asked_and_looks_the_same_at_any_size() -> None:
    kinds = [gradient().draw(np.random.default_rng(seed))["kind"] for seed in range(400)]
    assert 160 < kinds.count("none") < 240
    assert set(kinds) == {"none", *LIGHT_KINDS}
    small, large = (np.full((side, side, 3), 250, np.uint8) for side in (100, 700))
    lit = Shift({"gradient": gradient(probability=1, kinds=["radial"])}, name="", seed=0)
    one, other = lit(small, [], index=2)[0], lit(large, [], index=2)[0]
    assert np.abs(one.astype(int) - cv2.resize(other, (100, 100), interpolation=cv2.INTER_AREA)).max() <= 1


def test_noise_has_the_sigma_that_was_asked_for() -> None:
    flat = np.full((200, 200, 3), 32768, np.uint16)
    new, _, facts = shift("noise")(flat, [], index=0)
    assert new.std() / 65535 == pytest.approx(facts["noise.sigma"], rel=0.03)


@pytest.mark.parametrize(
    ("make", "key", "value"),
    [
        (lambda: Rotation(degrees=[10, -10]), "rotation.degrees", "[10,-10]"),
        (lambda: Rotation(degrees=float("nan")), "rotation.degrees", "nan"),
        (lambda: Crop(area=[0, 1]), "crop.area", "[0,1]"),
        (lambda: Translation(share=0.6), "translation.share", "0.6"),
        (lambda: Brightness(factor=[1, 2, 3]), "brightness.factor", "[1,2,3]"),
        (lambda: Blur(kernel=[3, 4]), "blur.kernel", "[3,4]"),
        (lambda: Blur(kernel=3.5), "blur.kernel", "3.5"),
        (lambda: Noise(sigma=-0.1), "noise.sigma", "-0.1"),
        (lambda: gradient(probability=2), "gradient.probability", "2"),
        (lambda: gradient(kinds=[]), "gradient.kinds", "[]"),
        (lambda: Jpeg(quality=[0, 50]), "jpeg.quality", "[0,50]"),
        (lambda: Jpeg(quality=50.5), "jpeg.quality", "50.5"),
    ],
)
def test_an_impossible_value_is_one_line(make: Callable[[], Transform], key: str, value: str) -> None:
    with pytest.raises(AdframeError) as caught:
        make()
    text = str(caught.value)
    assert text.startswith(f"shift.transforms.{key}={value} is not possible; shift.transforms.{key} must be ")
    assert "\n" not in text


def test_unknown_names_and_a_negative_seed_are_one_line() -> None:
    with pytest.raises(
        AdframeError, match=r"unknown transform 'nois' in shift.transforms; did you mean 'noise'"
    ):
        Shift({"nois": Noise(sigma=0.1)}, name="", seed=0)
    with pytest.raises(AdframeError, match="unknown split 'tests'"):
        Shift({}, name="", seed=0, splits=["tests"])
    with pytest.raises(AdframeError, match=r"shift.seed=-1 must be 0 or more"):
        Shift({}, name="", seed=-1)
    with pytest.raises(AdframeError, match="unknown light 'lft'"):
        gradient(kinds=["lft"])
    with pytest.raises(
        AdframeError, match=r"shift.transforms.noise=None is not possible.*~shift.transforms.noise"
    ):
        Shift({"noise": None}, name="", seed=0)  # type: ignore[dict-item]


def test_every_transform_has_its_place() -> None:
    assert set(transforms()) <= set(ORDER)
    assert len(set(ORDER)) == len(ORDER)
