"""Loading beside the network: do two loading processes keep up with a ResNet18?

    python benchmarks/loading.py                                   # toy pictures of 512 pixels
    python benchmarks/loading.py --root <mvtec_ad> --category screw

Three rates in one run, images a second: loading alone, the network alone on images in memory, and
both together as a run has them. Weights are random: time does not depend on them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader

from adframe.contracts import IMAGE
from adframe.data.dataset import ImageDataset, View, collate
from adframe.data.mvtec_ad import MvtecAd
from adframe.models.backbones import TimmBackbone
from adframe.toy.layouts import write_toy


def loader(
    root: Path, category: str, *, size: int, workers: int, limit: int
) -> DataLoader[dict[str, Tensor]]:
    source = MvtecAd(name="mvtec_ad", root=root, homepage="", licence="", tree="")
    records = [record for record in source.scan(category) if record.split == "train"][:limit]
    dataset = ImageDataset(records, view=View(size=(size, size)), truth=False)
    return DataLoader(dataset, batch_size=8, num_workers=workers, collate_fn=collate)  # type: ignore[arg-type]


def rate(batches: Iterable[Tensor], use: Callable[[Tensor], object]) -> float:
    """Images a second, from the first batch on: processes start only once in a run."""
    iterator = iter(batches)
    next(iterator)
    count, start = 0, time.perf_counter()
    for batch in iterator:
        use(batch)
        count += len(batch)
    return count / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="a dataset in MVTec AD's layout")
    parser.add_argument("--category", default="bracket")
    parser.add_argument("--size", type=int, default=256, help="the network's view, pixels")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=int, default=200, help="images")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = options.root or Path(folder) / "toy"
        if options.root is None:
            write_toy(
                root, categories=["bracket"], image_size=512, train=options.limit, test_good=1, test_bad=3
            )
        source = loader(
            root, options.category, size=options.size, workers=options.workers, limit=options.limit
        )
        network = TimmBackbone("resnet18", layers=["layer2", "layer3"], source="random")
        images = [batch[IMAGE] for batch in source]
        turns = [
            (
                rate((batch[IMAGE] for batch in source), len),
                rate(images, network),
                rate((batch[IMAGE] for batch in source), network),
            )
            for _ in range(options.repeats)
        ]
    loading, forward, both = (statistics.median(column) for column in zip(*turns, strict=True))
    table = Table(title=f"{len(images) * 8} images, view {options.size}, {options.workers} workers")
    for heading in ("", "images a second", "beside the network"):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_row("loading alone", f"{loading:.0f}", f"{loading / forward:.2f}x")
    table.add_row("network alone", f"{forward:.0f}", "1.00x")
    table.add_row("both together", f"{both:.0f}", f"{both / forward:.2f}x")
    Console().print(table)


if __name__ == "__main__":
    main()
