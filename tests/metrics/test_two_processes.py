"""Two processes that saw different images say what one says that saw them all."""

from __future__ import annotations

import json

import pytest
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from tests.metrics.maps import fed, images_of, loco

BINS = 2048  # few enough that the two states differ in shift


def _images():
    images = [*images_of("twelve_orders", count=5), *images_of("tied", count=4), *loco()]
    lit = zip(images, "ab" * len(images), "112233" * len(images), strict=False)
    return [image._replace(condition=light, group=group) for image, light, group in lit]


def _report(metrics):
    drawn = metrics.resampled(resamples=7, seed=1)
    return [
        metrics.compute(),
        metrics.bound(),
        metrics.per_defect(),
        {key: values.tolist() for key, values in drawn.items()},
    ]


def _worker(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    share = _images()[:6] if rank == 0 else _images()[6:]
    metrics = fed(share, max_bins=BINS, threshold=3.5)
    reports = [_report(metrics)]
    metrics.reset()
    if rank == 0:  # the other process has seen no image
        metrics = fed(_images(), max_bins=BINS, threshold=3.5)
    reports.append(_report(metrics))
    with open(f"{folder}/{rank}.json", "w") as file:  # noqa: PTH123
        json.dump(reports, file)
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_agree_with_one_to_the_last_digit(tmp_path):
    spawn(_worker, args=(str(tmp_path),), nprocs=2)
    alone = json.dumps(_report(fed(_images(), max_bins=BINS, threshold=3.5)))
    for rank in range(2):
        reports = json.loads((tmp_path / f"{rank}.json").read_text())
        assert [json.dumps(report) for report in reports] == [alone, alone]
