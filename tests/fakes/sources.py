"""The toy set as small as it gets, read by the scanners of the official layouts."""

from pathlib import Path

from adframe.data.base import Source
from adframe.data.toy_source import READERS
from adframe.toy.layouts import write_toy

CATEGORIES = ("tray", "weave")
TRAIN, VALIDATION, TEST_GOOD, TEST_BAD = 6, 2, 3, 6


def source(root: Path, layout: str) -> Source:
    return READERS[layout](
        name=layout,
        root=root,
        homepage="https://home.page",
        licence="CC0",
        tree="<category>/train/good/*.png",
    )


def toy_source(root: Path, layout: str) -> Source:
    """Writes two products at 64 px under `root`, where they are not there yet."""
    write_toy(
        root,
        layout=layout,
        categories=CATEGORIES,
        image_size=64,
        train=TRAIN,
        validation=VALIDATION,
        test_good=TEST_GOOD,
        test_bad=TEST_BAD,
        seed=7,
    )
    return source(root, layout)
