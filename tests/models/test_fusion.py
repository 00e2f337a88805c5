import pytest

from adframe.errors import AdframeError
from adframe.models.fusion import Adaptive, Concat, Mean, Single, Weighted

LAYERS = ["layer1", "layer2", "layer3"]


def test_concat_takes_all_as_they_are() -> None:
    assert (Concat().choose(LAYERS), Concat().weights([4.0, 9.0])) == ([0, 1, 2], [1.0, 1.0])


def test_a_mean_takes_all_layers_with_equal_weights() -> None:
    assert Mean().choose(["a", "b"]) == [0, 1]
    assert Mean().averages
    assert Mean().weights([1.0]) == [1.0]


def test_single_takes_the_deepest_or_the_one_named() -> None:
    assert Single().choose(LAYERS) == [2]
    assert Single(layer="layer2").choose(LAYERS) == [1]
    with pytest.raises(AdframeError, match=r"fusion\.layer.*layer2"):
        Single(layer="layer22").choose(LAYERS)


def test_weights_by_hand_leave_out_what_weighs_nothing() -> None:
    fusion = Weighted(layers=[1, 0, 0.5])
    assert (fusion.choose(LAYERS), fusion.weights([4.0, 9.0])) == ([0, 2], [1, 0.5])


@pytest.mark.parametrize("weights", [[0, 0, 0], [1, -1, 1], [float("nan"), 1, 1]])
def test_impossible_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(AdframeError, match=r"fusion\.layers="):
        Weighted(layers=weights)


def test_a_weight_for_each_layer_is_needed() -> None:
    with pytest.raises(AdframeError, match="must have 3 weights, one for each of layer1, layer2, layer3"):
        Weighted(layers=[1, 1]).choose(LAYERS)


def test_adaptive_divides_by_the_spread() -> None:
    assert Adaptive().weights([4.0, 0.25, 0.0]) == [0.5, 2.0, 1.0]
