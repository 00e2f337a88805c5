import numpy as np
import pytest
import torch
from torch import Tensor

from adframe.errors import AdframeError
from adframe.models.fusion import Adaptive, Concat, Weighted
from adframe.models.memory import Everything, Greedy, Memory, Random
from adframe.models.patch_memory import PatchMemory, Settings

ROWS = torch.randn(400, 12, generator=torch.Generator().manual_seed(0)) + 5
ROWS[:, 4:] *= 10
PLAIN = {
    "coreset": 1.0, "metric": "euclidean", "reduce": "none", "dimensions": 3, "projection": None,
    "limit_mb": 8, "bank_bytes": None, "seed": 0, "spool": None, "neighbourhood": 1,
}  # fmt: skip


def made(
    memory: Memory | None = None, *, fusion: Concat | None = None, rows: Tensor = ROWS, **changes
) -> PatchMemory:
    settings = Settings(**(PLAIN | changes))
    memory = PatchMemory(memory or Everything(), layers=[0, 1], fusion=fusion or Concat(), settings=settings)
    for part in torch.split(rows, 50):
        memory.collect([layer.T[None, :, :, None] for layer in (part[:, :4], part[:, 4:])])  # (1, C, n, 1)
    memory.finalise(progress=None)
    return memory


def distances(memory: PatchMemory, queries: Tensor) -> Tensor:
    return memory.distance(memory.embed(queries))


QUERIES = torch.randn(20, 12, generator=torch.Generator().manual_seed(1)) * 10


def test_plain_features_keep_their_distances() -> None:
    expected = torch.cdist(QUERIES, ROWS).amin(1)
    torch.testing.assert_close(distances(made(), QUERIES), expected, rtol=1e-4, atol=1e-3)


def test_cosine_is_one_minus_the_cosine() -> None:
    unit = torch.nn.functional.normalize
    expected = 1 - (unit(QUERIES, dim=1) @ unit(ROWS, dim=1).T).amax(1)
    torch.testing.assert_close(distances(made(metric="cosine"), QUERIES), expected, rtol=1e-3, atol=1e-5)


def test_weights_scale_a_layers_share_of_the_distance() -> None:
    factors = torch.tensor([4.0] * 4 + [1.0] * 8)
    expected = torch.cdist(QUERIES * factors, ROWS * factors).amin(1)
    torch.testing.assert_close(
        distances(made(fusion=Weighted(layers=[4, 1])), QUERIES), expected, rtol=1e-4, atol=1e-3
    )


def test_adaptive_layers_vary_alike_on_normal_patches() -> None:
    spread = made(fusion=Adaptive()).embed(ROWS).var(0, correction=0)
    assert float(spread[:4].sum()) == pytest.approx(1, rel=1e-4)
    assert float(spread[4:].sum()) == pytest.approx(1, rel=1e-4)


def test_pca_keeps_the_directions_that_vary_most() -> None:
    memory = made(reduce="pca")
    assert memory.memory.bank.shape == (400, 3)
    top = np.linalg.eigvalsh(np.cov(ROWS.double().numpy().T, bias=True))[::-1][:3]
    assert memory.embed(ROWS).var(0, correction=0).double().numpy() == pytest.approx(top, rel=1e-3)


def test_a_random_projection_keeps_distances_in_expectation() -> None:
    ratios = [
        (distances(made(reduce="random", dimensions=8, seed=seed, rows=ROWS[:1]), QUERIES) ** 2
         / torch.cdist(QUERIES, ROWS[:1])[:, 0] ** 2).mean()
        for seed in range(30)
    ]  # fmt: skip
    assert float(torch.stack(ratios).mean()) == pytest.approx(1, abs=0.15)


def test_more_dimensions_than_there_are_change_nothing() -> None:
    assert torch.equal(distances(made(reduce="pca", dimensions=12), QUERIES), distances(made(), QUERIES))


@pytest.mark.parametrize("memory", [Greedy, Random])
def test_a_limit_bounds_what_waits_and_says_so(memory: type[Memory]) -> None:
    limited = made(memory(), bank_bytes=100 * 12 * 4, coreset=0.1)
    assert len(limited._waiting) <= 100
    assert (limited.seen, limited.thinnings >= 3) == (400, True)
    assert len(limited.memory.bank) == 40  # the share is of all that came


def test_thinning_for_cover_still_covers() -> None:
    limited, free = (made(Greedy(), bank_bytes=limit, coreset=0.1) for limit in (100 * 12 * 4, None))
    radius = [float(distances(memory, ROWS).max()) for memory in (limited, free)]
    assert radius[0] < 2 * radius[1]  # a coreset of coresets covers within the sum of both radii


def test_a_draw_stays_fair_however_often_it_is_thinned() -> None:
    numbered = torch.arange(400.0)[:, None].repeat(1, 12)
    means = [
        float((m.memory.bank + m.centre).mean())
        for m in (
            made(Random(), rows=numbered, bank_bytes=100 * 12 * 4, coreset=0.05, seed=s) for s in range(60)
        )
    ]
    assert np.mean(means) == pytest.approx(199.5, abs=4 * np.std(means) / np.sqrt(60))


def test_a_limit_that_holds_nothing_is_refused() -> None:
    with pytest.raises(AdframeError, match="bank_bytes=40 a memory holds no two patch features of 48 bytes"):
        made(bank_bytes=40)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"metric": "manhattan"}, "model.metric .manhattan.; known: euclidean, cosine"),
        ({"reduce": "ica"}, "unknown model.reduce .ica.;.* known: none, random, pca"),
        *(({key: 0}, f"{key}=0") for key in ("dimensions", "projection", "limit_mb", "bank_bytes")),
    ],
)
def test_impossible_settings_are_one_line(changes: dict, word: str) -> None:
    with pytest.raises(AdframeError, match=word):
        Settings(**(PLAIN | changes))


@pytest.mark.parametrize("changes", [{"reduce": "pca"}, {"metric": "cosine"}, {"fusion": Adaptive()}])
def test_it_survives_a_file(changes: dict) -> None:
    memory = made(**changes)
    fresh = PatchMemory(Everything(), layers=[0, 1], fusion=Concat(), settings=memory.settings)
    fresh.load_state_dict(memory.state_dict(), strict=True)
    assert torch.equal(distances(fresh, QUERIES), distances(memory, QUERIES))
