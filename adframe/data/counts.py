"""How many images the official datasets have, to notice an incomplete copy.

Every number was checked against at least two public counts of the official archives.

- MVTec AD: Bergmann et al., IJCV 2021: 5354 images, 3629 for training and 1725 for testing.
- MVTec LOCO AD: as counted in the official archive (SHA-256 9e7c84db...), 3651 images. Bergmann et al., IJCV
  2022, print 3644: their table has 354 and 59 images for training and validation of splicing_connectors,
  the archive has 360 and 60.
- MVTec AD 2: Heckler-Kram et al., arXiv 2503.21622. The private test sets, which are read only on
  request, have a table of their own.
- VisA: Zou et al., ECCV 2022: 9621 normal and 1200 anomalous images, split by the authors'
  `split_csv/1cls.csv`.
- BTAD: as counted in the official archive (SHA-256 461c9387...): folder 02 has 399 training images and
  folder 03 has 1000. The readme of the archive swaps these numbers between products 3 and 2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from adframe.contracts import UNLABELLED, Record

# The columns of each table in `COUNTS`: split and subset, by the names that the scanners use.
COUNTED_SUBSETS: dict[str, tuple[tuple[str, str], ...]] = {
    "mvtec_ad": (("train", "good"), ("test", "good"), ("test", "anomaly")),
    "mvtec_loco": (
        ("train", "good"),
        ("val", "good"),
        ("test", "good"),
        ("test", "logical"),
        ("test", "structural"),
    ),
    "mvtec_ad2": (("train", "good"), ("val", "good"), ("test", "good"), ("test", "anomaly")),
    "visa": (("train", "good"), ("test", "good"), ("test", "anomaly")),
    "btad": (("train", "good"), ("test", "good"), ("test", "anomaly")),
}

# fmt: off
COUNTS: dict[str, dict[str, tuple[int, ...]]] = {
    "mvtec_ad": {  # train, test good, test anomalous
        "bottle":     (209, 20,  63),
        "cable":      (224, 58,  92),
        "capsule":    (219, 23, 109),
        "carpet":     (280, 28,  89),
        "grid":       (264, 21,  57),
        "hazelnut":   (391, 40,  70),
        "leather":    (245, 32,  92),
        "metal_nut":  (220, 22,  93),
        "pill":       (267, 26, 141),
        "screw":      (320, 41, 119),
        "tile":       (230, 33,  84),
        "toothbrush":  (60, 12,  30),
        "transistor": (213, 60,  40),
        "wood":       (247, 19,  60),
        "zipper":     (240, 32, 119),
    },
    "mvtec_loco": {  # train, validation, test good, logical, structural
        "breakfast_box":       (351, 62, 102,  83, 90),
        "juice_bottle":        (335, 54,  94, 142, 94),
        "pushpins":            (372, 69, 138,  91, 81),
        "screw_bag":           (360, 60, 122, 137, 82),
        "splicing_connectors": (360, 60, 119, 108, 85),
    },
    "mvtec_ad2": {  # train, validation, public test good, public test bad
        "can":         (412, 46, 72,  90),
        "fabric":      (387, 43, 66,  90),
        "fruit_jelly": (263, 37, 20,  60),
        "rice":        (313, 35, 42,  90),
        "sheet_metal": (137, 19, 24,  90),
        "vial":        (291, 41, 35, 105),
        "wallplugs":   (293, 33, 60,  90),
        "walnuts":     (432, 48, 60,  90),
    },
    "visa": {  # train, test normal, test anomalous
        "candle":     (900, 100, 100),
        "capsules":   (542,  60, 100),
        "cashew":     (450,  50, 100),
        "chewinggum": (453,  50, 100),
        "fryum":      (450,  50, 100),
        "macaroni1":  (900, 100, 100),
        "macaroni2":  (900, 100, 100),
        "pcb1":       (904, 100, 100),
        "pcb2":       (901, 100, 100),
        "pcb3":       (905, 101, 100),
        "pcb4":       (904, 101, 100),
        "pipe_fryum": (450,  50, 100),
    },
    "btad": {  # train ok, test ok, test ko
        "01": (400,   21,  49),
        "02": (399,   30, 200),
        "03": (1000, 400,  41),
    },
}
PRIVATE_COUNTS: dict[str, int] = {  # images in each of MVTec AD 2's two private test sets
    "can": 321, "fabric": 314, "fruit_jelly": 255, "rice": 277, "sheet_metal": 142, "vial": 276,
    "wallplugs": 232, "walnuts": 228,
}
# fmt: on


def mismatches(dataset: str, records: Iterable[Record]) -> list[str]:
    """Compares the number of images of an official dataset with the published number.

    Args:
        dataset: the name that a user types after `dataset=`.
        records: of whole categories. Training images that were held out for validation count as training
            images where the dataset has no validation split of its own.

    Returns:
        One line for each category, split and subset whose number of images differs from the official one;
        none for a dataset or a category that is not in the tables.
    """
    columns = COUNTED_SUBSETS.get(dataset, ())
    own_validation = "val" in {split for split, _ in columns}
    found: dict[str, Counter[tuple[str, str]]] = {}
    for record in records:
        split = "train" if record.split == "val" and not own_validation else record.split
        found.setdefault(record.category, Counter())[split, record.subset] += 1
    return [
        line
        for category, counted in found.items()
        if category in COUNTS.get(dataset, {})
        for line in _category_mismatches(dataset, category, counted)
    ]


def _category_mismatches(dataset: str, category: str, counted: Counter[tuple[str, str]]) -> list[str]:
    official = dict(zip(COUNTED_SUBSETS[dataset], COUNTS[dataset][category], strict=True))
    # The private sets are counted only if the user requested them with dataset.private=true.
    if dataset == "mvtec_ad2" and counted["test", UNLABELLED]:
        official["test", UNLABELLED] = 2 * PRIVATE_COUNTS[category]
    return [
        f"{category}: {counted[key]} images in {' '.join(key)}, the official set has {official.get(key, 0)}"
        for key in [*official, *sorted(counted.keys() - official.keys())]
        if counted[key] != official.get(key, 0)
    ]
