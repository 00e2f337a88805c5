"""A sweep over the coreset with a store beside one run of its largest share: what do the others cost?

    python benchmarks/coreset_sweep.py                                  # drawn images, random weights
    python benchmarks/coreset_sweep.py --root <mvtec_ad> --category screw --checkpoint <resnet18 weights>

Each run does what `train.py` does with a model, without loading images and writing reports: collect
80 % of the normals, select, score the others, collect those as well, select again, score the test
images. Both sides run in turn in one process; the store starts empty. Seconds are of the processor:
on a machine that others use as well, OMP_NUM_THREADS=1 keeps threads from waiting for each other.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from adframe.contracts import IMAGE
from adframe.data.dataset import ImageDataset, View
from adframe.data.mvtec_ad import MvtecAd
from adframe.io.disk_matrix import Spool
from adframe.io.feature_cache import Store
from adframe.models.backbones import TimmBackbone
from adframe.models.patchcore import PatchCore
from adframe.ops.coreset_cache import Traversal

Seconds = dict[str, float]


def drawn(count: int, *, seed: int) -> Tensor:
    """Smooth random pictures (count, 3, 256, 256)."""
    coarse = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, size=(256, 256), mode="bicubic").clamp(0, 1)


def on_disk(root: Path, category: str, *, split: str, limit: int) -> Tensor:
    source = MvtecAd(name="mvtec_ad", root=root, homepage="", licence="", tree="")
    records = [record for record in source.scan(category) if record.split == split][:limit]
    dataset = ImageDataset(records, view=View(size=(256, 256)), truth=False)
    return torch.stack([dataset[i][IMAGE] for i in range(len(dataset))])


@contextmanager
def clock(spent: Seconds, stage: str) -> Iterator[None]:
    start = time.process_time()
    yield
    spent[stage] += time.process_time() - start


def run(
    backbone: TimmBackbone, normal: Tensor, test: Tensor, *, share: float, store: Store | None
) -> tuple[Seconds, Tensor]:
    """Processor seconds by stage of one run, and its scores."""
    spent: Seconds = defaultdict(float)
    model = PatchCore(backbone, coreset=share, store=store)
    train, held_out = normal.split([len(normal) * 4 // 5, len(normal) - len(normal) * 4 // 5])
    for images, then in ((train, held_out), (held_out, test)):
        with clock(spent, "features"):
            for batch in images.split(8):
                model.collect(batch)
        with clock(spent, "selection"):
            model.finalise()
        with clock(spent, "scoring"), torch.no_grad():
            scores = torch.cat([model(batch).score for batch in then.split(8)])
    model.release()
    return spent, scores


def hashing(rows: int, width: int, store: Store) -> float:
    """Seconds that knowing so many rows again takes; twice in a run."""
    spool = Spool()
    for _ in range(0, rows, 8192):
        spool.append(torch.randn(8192, width))
    start = time.process_time()
    Traversal(store, rows=spool, constants=[0])
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="a dataset in MVTec AD's layout")
    parser.add_argument("--category", default="screw")
    parser.add_argument("--checkpoint", type=Path, help="weights of a ResNet18; random ones otherwise")
    parser.add_argument("--train", type=int, default=320, help="normal images")
    parser.add_argument("--test", type=int, default=160, help="test images")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.05, 0.1])
    options = parser.parse_args()
    if options.root is None:
        normal, test = drawn(options.train, seed=0), drawn(options.test, seed=1)
    else:
        normal = on_disk(options.root, options.category, split="train", limit=options.train)
        test = on_disk(options.root, options.category, split="test", limit=options.test)
    backbone = TimmBackbone(
        "resnet18", layers=["layer2", "layer3"], source="random", checkpoint=options.checkpoint
    )
    largest = max(options.shares)
    alone, scores = run(backbone, normal, test, share=largest, store=None)
    columns = [(f"{largest:g} alone", alone)]
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        for share in options.shares:
            spent, found = run(backbone, normal, test, share=share, store=store)
            columns.append((f"{share:g}", spent))
            assert share != largest or torch.equal(found, scores), "a store must not change a score"
        known = hashing(1024 * len(normal), 384, store)
    table = Table(
        title=f"processor seconds; {len(normal)} + {len(test)} images, {torch.get_num_threads()} threads"
    )
    for heading in ("stage", *(title for title, _ in columns)):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage in alone:
        table.add_row(stage, *(f"{spent[stage]:.1f}" for _, spent in columns))
    Console().print(table)
    one, *several = (sum(spent.values()) for _, spent in columns)
    Console().print(
        f"the sweep: {sum(several):.1f} s, {sum(several) / one:.2f} times one run of {one:.1f} s; "
        f"hashing the rows of a selection: {known:.1f} s"
    )


if __name__ == "__main__":
    main()
