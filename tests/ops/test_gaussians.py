import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis as one_distance
from torch import Tensor

from adframe.errors import AdframeError
from adframe.ops import gaussians
from adframe.ops.gaussians import BLOCK_IMAGES, Moments, inverse_factors, mahalanobis


def images(count: int, *, seed: int = 0, positions: int = 6, width: int = 5) -> Tensor:
    """(count, positions, width): correlated channels, and a mean of its own at every position."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(positions, width, width, generator=generator)
    noise = torch.randn(count, positions, width, generator=torch.Generator().manual_seed(seed + 1))
    return torch.einsum("npd,pde->npe", noise, mix) + torch.randn(positions, width, generator=generator)


def fitted(rows: Tensor, *, batch: int = 4, regularisation: float = 0.01) -> tuple[Tensor, Tensor]:
    moments = Moments()
    for part in torch.split(rows, batch):
        moments.add(part)
    return moments.gaussians(regularisation=regularisation)


def by_hand(train: Tensor, query: Tensor, *, regularisation: float) -> np.ndarray:
    """The definition: one position after the other, numpy's covariance and scipy's distance."""
    found = np.empty(query.shape[:2])
    for position in range(train.shape[1]):
        seen = train[:, position].double().numpy()
        covariance = np.cov(seen, rowvar=False) + regularisation * np.eye(seen.shape[1])
        inverse = np.linalg.inv(covariance)
        for i, row in enumerate(query[:, position].double().numpy()):
            found[i, position] = one_distance(row, seen.mean(0), inverse)
    return found


@pytest.mark.parametrize(
    "count", [2, 3, BLOCK_IMAGES, BLOCK_IMAGES + 1, 3 * BLOCK_IMAGES + 7]
)  # fewer images than channels, too
@pytest.mark.parametrize("regularisation", [0.01, 1.0])
def test_distances_are_those_of_a_loop_over_positions(count: int, regularisation: float) -> None:
    train, query = images(count), images(9, seed=5)
    mean, whitening = fitted(train, regularisation=regularisation)
    expected = by_hand(train, query, regularisation=regularisation)
    found = mahalanobis(query, mean=mean, whitening=whitening)
    np.testing.assert_allclose(found, expected, rtol=2e-4)


def test_the_matrix_is_the_inverse_cholesky_factor() -> None:
    train = images(40)
    mean, whitening = fitted(train)
    torch.testing.assert_close(mean, train.mean(0), rtol=1e-5, atol=1e-6)
    assert torch.equal(whitening, whitening.tril())
    covariance = torch.stack([torch.cov(part.T) for part in train.transpose(0, 1)]) + 0.01 * torch.eye(5)
    white = whitening @ covariance @ whitening.mT
    torch.testing.assert_close(white, torch.eye(5).expand_as(white), rtol=0, atol=1e-4)


@pytest.mark.parametrize("width", [1, 32, 33, 100, 131])
def test_factors_are_lapacks_for_any_width(width: int) -> None:
    rows = images(200, positions=3, width=width).double().transpose(0, 1)  # (3, 200, width)
    matrices = rows.mT @ rows / 200 + 0.01 * torch.eye(width)
    found, failed = inverse_factors(matrices)
    expected = torch.linalg.inv(torch.linalg.cholesky(matrices))
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)
    assert failed.tolist() == [False] * 3
    matrices[1, -1, -1] = -1.0
    assert inverse_factors(matrices)[1].tolist() == [False, True, False]
    matrices[2, 0, 0] = -1.0
    assert inverse_factors(matrices)[1].tolist() == [False, True, True]


@pytest.mark.parametrize("batch", [1, 5, BLOCK_IMAGES - 1, 200])
def test_batches_do_not_change_a_bit(batch: int) -> None:
    train = images(2 * BLOCK_IMAGES + 3)
    for one, other in zip(fitted(train, batch=8), fitted(train, batch=batch), strict=True):
        assert torch.equal(one, other)


def test_parts_of_positions_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    train = images(20)
    whole = fitted(train)[1]
    monkeypatch.setattr(gaussians, "FACTOR_BYTES", 8 * 5**2 * 4)  # four positions, then two
    assert torch.equal(fitted(train)[1], whole)


def test_large_features_that_vary_little_do_not_cancel() -> None:
    near, far = images(90), images(90) + 4096.0  # a plain sum of squares would keep no digit of the variance
    torch.testing.assert_close(fitted(far)[1], fitted(near)[1], rtol=0.02, atol=0.02)


def test_more_images_may_come_after_the_gaussians_were_made() -> None:
    train = images(50)
    moments = Moments()
    moments.add(train[:19])
    first = moments.gaussians(regularisation=0.01)
    torch.testing.assert_close(first, fitted(train[:19]))
    moments.add(train[19:])
    for one, other in zip(moments.gaussians(regularisation=0.01), fitted(train), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    assert moments.images == 50


def test_what_was_added_is_not_changed() -> None:
    train = images(BLOCK_IMAGES)
    before = train.clone()
    fitted(train, batch=BLOCK_IMAGES)
    assert torch.equal(train, before)


def test_one_image_has_no_covariance() -> None:
    with pytest.raises(AdframeError, match="requires at least 2 training images, but there is 1"):
        fitted(images(1))


def test_a_covariance_beyond_float32_asks_for_regularisation() -> None:
    with pytest.raises(AdframeError, match=r"no Cholesky factor at 6 positions; raise model.regularisation"):
        fitted(torch.full((4, 6, 5), torch.nan))
