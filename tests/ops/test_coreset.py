import pytest
import torch
from torch import Tensor

from adframe.io.disk_matrix import Spool
from adframe.ops import coreset_search, pruned_distances
from adframe.ops.coreset import greedy_k_centre
from tests.covering import pairwise


def gaussian(n: int = 600) -> Tensor:
    return torch.randn(n, 12)


def low_rank() -> Tensor:
    return torch.randn(600, 3) @ torch.randn(3, 24)


def clusters() -> Tensor:
    """Far apart and tight: float32 loses the distances within a cluster against their norms."""
    return (10 * torch.randn(12, 16)).repeat_interleave(50, 0) + 0.01 * torch.randn(600, 16)


def duplicates() -> Tensor:
    return torch.randn(30, 16)[torch.randint(30, (900,))] + 5


def grid() -> Tensor:
    return torch.randint(0, 4, (900, 3)).float()


ROWS = [gaussian, low_rank, clusters, duplicates, grid]
SIZES = {  # rows of a round, bytes of hot rows
    "one round": (2048, 64 << 20),
    "rounds": (40, 64 << 20),
    "few hot rows": (40, 0),
}
DTYPES = ["float32", "rounded"]  # of the rows that most distances are measured with


def choose(size: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coreset_search, "ROUND", SIZES[size][0])
    monkeypatch.setattr(coreset_search, "HOT_BYTES", SIZES[size][1])
    monkeypatch.setattr(coreset_search, "READ_BYTES", 1 << 14)  # several reads
    monkeypatch.setattr(pruned_distances, "MIN_COLUMNS", 0)
    monkeypatch.setattr(pruned_distances, "multiplies_bfloat16", lambda: dtype == "rounded")


@pytest.fixture
def chosen(size: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sizes and the precision that a case names."""
    choose(size, dtype, monkeypatch)


every_size = pytest.mark.parametrize(("size", "dtype"), pairwise(SIZES, DTYPES))


def pick(rows: Tensor, count: int, seed: int = 0) -> list[int]:
    spool = Spool()
    spool.append(rows)
    return greedy_k_centre(spool, count=count, seed=seed).tolist()


def greedy(rows: Tensor, count: int, first: int) -> list[int]:
    """The plain algorithm in float64, stopping when everything is covered."""
    rows, picks = rows.double(), [first]
    distance = (rows - rows[first]).square().sum(1)
    while len(picks) < count and distance.max() > 0:
        picks.append(int(distance.argmax()))
        distance = torch.minimum(distance, (rows - rows[picks[-1]]).square().sum(1))
    return picks


def radius(rows: Tensor, picks: list[int]) -> float:
    return float(torch.cdist(rows.double(), rows[picks].double()).amin(1).max())


@pytest.mark.parametrize("make", ROWS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_pick_is_the_farthest_row_at_its_time(make, dtype: str, monkeypatch) -> None:
    for size in SIZES:
        choose(size, dtype, monkeypatch)
        torch.manual_seed(1)
        rows = make()
        picks = pick(rows, count=90)
        distance = torch.full((len(rows),), torch.inf, dtype=torch.float64)
        for n, row in enumerate(picks):
            assert n == 0 or distance[row] >= distance.max() * (1 - 1e-4), size
            distance = torch.minimum(distance, (rows.double() - rows[row].double()).square().sum(1))
        reference = greedy(rows, 90, picks[0])
        assert len(picks) == len(set(picks)) == len(reference), size


@pytest.mark.parametrize(("make", "size", "dtype"), pairwise([gaussian, low_rank, clusters], SIZES, DTYPES))
@pytest.mark.usefixtures("chosen")
def test_without_ties_the_picks_are_those_of_the_plain_algorithm(make) -> None:
    torch.manual_seed(2)
    rows = make()
    picks = pick(rows, count=60)
    assert set(picks) == set(greedy(rows, 60, picks[0]))


@pytest.mark.parametrize(("make", "count", "size", "dtype"), pairwise(ROWS, [1, 7, 300], SIZES, DTYPES))
@pytest.mark.usefixtures("chosen")
def test_covers_as_well_as_the_plain_algorithm(make, count: int) -> None:
    torch.manual_seed(3)
    rows = make()
    picks = pick(rows, count)
    scale = float(rows.norm(dim=1).max())
    assert radius(rows, picks) <= radius(rows, greedy(rows, count, picks[0])) * (1 + 1e-5) + 1e-7 * scale


@every_size
@pytest.mark.usefixtures("chosen")
def test_as_many_picks_as_rows_takes_each_row_once() -> None:
    torch.manual_seed(4)
    assert sorted(pick(gaussian(200), count=200)) == list(range(200))


@every_size
@pytest.mark.usefixtures("chosen")
def test_equal_rows_need_one_pick() -> None:
    torch.manual_seed(5)
    for width in (1, 16, 384):
        assert len(pick(torch.randn(1, width).repeat(300, 1), count=50)) == 1, width


def test_more_rows_than_several_rounds() -> None:
    torch.manual_seed(6)
    rows = torch.randn(9000, 3)
    picks = pick(rows, count=400)
    assert set(picks) == set(greedy(rows, 400, picks[0]))


@every_size
@pytest.mark.usefixtures("chosen")
def test_same_seed_same_picks_and_a_shorter_run_is_a_prefix() -> None:
    torch.manual_seed(7)
    rows = gaussian()
    picks = pick(rows, count=80)
    assert pick(rows, count=80) == picks
    assert pick(rows, count=20) == picks[:20]
    assert len({pick(rows, count=1, seed=seed)[0] for seed in range(20)}) > 10


def test_progress_rises_to_the_count() -> None:
    spool, told = Spool(), []
    spool.append(torch.randn(300, 4))
    greedy_k_centre(spool, count=100, seed=0, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (100, 100)


def test_an_impossible_count_is_refused() -> None:
    for count in (0, -1, 5):
        with pytest.raises(ValueError, match=f"cannot pick {count} of 4"):
            pick(torch.randn(4, 2), count=count)


@pytest.mark.parametrize(("wrong", "size", "dtype"), pairwise([torch.nan, torch.inf, 1e30], SIZES, DTYPES))
@pytest.mark.usefixtures("chosen")
def test_rows_beyond_float32_are_never_picked_and_change_nothing(wrong: float) -> None:
    torch.manual_seed(8)
    rows = gaussian(200)
    picks = pick(rows, count=150)
    rows = torch.cat([rows, torch.full((3, 12), wrong)])
    spool = Spool()
    spool.append(rows)
    search = coreset_search.Search(spool, count=203)
    search.add_first(picks[0], rows[picks[0]][None])
    search.run(None)
    assert search.index[:150].tolist() == picks
    assert sorted(search.index[: search.picked].tolist()) == list(range(200))
