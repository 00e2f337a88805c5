"""What images are to a method is collected in test order, in bounded memory, whatever the batch size."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from adframe.callbacks.embeddings import Embeddings, evenly_spread
from adframe.contracts import IMAGE, INDEX, RECORD, Embedded, Record
from adframe.errors import AdframeError
from adframe.results.features import Features, read_features
from tests.fakes.adapted import tiny_lora
from tests.fakes.masked import images, tiny_sit

COUNT = 14


def record(place: int) -> Record:
    bad = place >= COUNT // 2
    subset, defect = ("logical", "missing") if bad else ("good", "good")
    return Record(Path(f"{place}.png"), "c", "test", defect=defect, subset=subset, label=int(bad))


def seen(model: Any, run: Path, *, batch: int, most: int = 1000) -> Features | None:
    """A test of `COUNT` images in batches, as the trainer would show them, and what it left."""
    observer, pictures = Embeddings(images=most), images(COUNT)
    plugin = SimpleNamespace(forward_context=nullcontext)
    trainer: Any = SimpleNamespace(
        test_dataloaders=SimpleNamespace(dataset=range(COUNT)), precision_plugin=plugin
    )
    observer.on_test_start(trainer, model)
    for places in torch.arange(COUNT).split(batch):
        items = {IMAGE: pictures[places], INDEX: places, RECORD: [record(int(i)) for i in places]}
        observer.on_test_batch_end(trainer, SimpleNamespace(detector=model), {}, items, 0)  # type: ignore[arg-type]
    observer.write(run, category="c", seed=1)
    return read_features(run, category="c")


def test_the_same_vectors_whatever_the_batch_size(tmp_path: Path) -> None:
    model = tiny_lora().eval()
    with torch.no_grad():  # as if it had learned: at the start adapters change nothing
        for name, weight in model.named_parameters():
            weight += 0.2 * torch.randn_like(weight) if "lora_" in name else 0.0
    one, many = (seen(model, tmp_path / str(size), batch=size) for size in (1, 5))
    assert one is not None
    assert many is not None
    assert one.paths == many.paths == tuple(f"{i}.png" for i in range(COUNT))
    for a, b in zip(one.views, many.views, strict=True):
        np.testing.assert_allclose(a.vectors, b.vectors, atol=2e-3)  # kept in float16
        assert a.vectors.shape == (COUNT, model.vit.width)
    before, after = (view.vectors for view in many.views)
    with torch.no_grad():
        np.testing.assert_allclose(after, model.tokens(images(COUNT))[0], atol=5e-3)
    assert np.abs(after - before).max() > 0.05


def test_adapters_that_have_learned_nothing_change_nothing(tmp_path: Path) -> None:
    found = seen(tiny_lora().eval(), tmp_path, batch=4)
    assert found is not None
    assert [view.name for view in found.views] == ["before", "after"]
    np.testing.assert_array_equal(found.views[0].vectors, found.views[1].vectors)


def test_so_many_images_at_most_evenly_spread_over_the_test(tmp_path: Path) -> None:
    found = seen(tiny_lora().eval(), tmp_path, batch=4, most=7)
    assert found is not None
    assert found.paths == tuple(f"{i}.png" for i in range(1, COUNT, 2))
    for most in (1, 10, 999, 1000, 5000):
        assert int(evenly_spread(torch.arange(1000), total=1000, most=most).sum()) == min(most, 1000)


def test_a_method_without_vectors_and_a_count_of_none_leave_nothing(tmp_path: Path) -> None:
    assert not isinstance(tiny_sit(), Embedded)
    assert seen(tiny_sit(), tmp_path, batch=4) is None
    assert seen(tiny_lora().eval(), tmp_path, batch=4, most=0) is None
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(AdframeError, match=r"callbacks\.embeddings\.images=-1"):
        Embeddings(images=-1)
