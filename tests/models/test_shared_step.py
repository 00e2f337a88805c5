"""Random draws for the images of a step that several processes share."""

from __future__ import annotations

import pytest
import torch

from adframe.io.processes import Processes
from adframe.models import shared_step as module
from adframe.models.shared_step import drawn_for_all, images_of_step, shared_step


@pytest.mark.parametrize("parts", [1, 3])
def test_each_process_has_the_draws_of_its_images(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = torch.arange(5 * parts).view(5, parts)
    for rank, weight in ((0, 3 * 2 / 5), (1, 2 * 2 / 5)):
        monkeypatch.setattr(module, "current_processes", lambda rank=rank: Processes(rank, 2))
        images = len(range(rank, 5, 2))
        with shared_step(weight, images=images):
            assert images_of_step(images) == 5
            own = drawn_for_all(torch.arange, images=images * parts)
        assert own.tolist() == whole[rank::2].flatten().tolist()


def test_images_that_are_not_dealt_in_turn_have_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The only known image of a step may be that of the last process."""
    monkeypatch.setattr(module, "current_processes", lambda: Processes(2, 3))
    with shared_step(3.0, images=1):
        assert drawn_for_all(torch.zeros, images=1).shape == (1,)
