"""MVTec LOCO AD on disk (Bergmann et al., IJCV 2022): logical and structural anomalies, masks by channel."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adframe.contracts import GOOD, Record, Saturation
from adframe.data.base import Source
from adframe.data.listing import Masks, folders_in, images_in
from adframe.errors import AdframeError, unknown


@dataclass(frozen=True, kw_only=True)
class MvtecLoco(Source):
    """`<category>/{train,validation}/good`, `test/<subset>`, `ground_truth/<subset>/<id>/<channel>.png`.

    `defects_config.json` in the folder of the category defines, for the pixel value of every channel, how
    many
    pixels suffice to find the defect. Anomalies lie in the folder of their subset or one level deeper. A mask
    is expected under the relative path of its image, as a folder of channels or as one file, then with
    `_mask`
    after its name.

    Args:
        missing_masks: `error`, or `zero` for an empty mask where none is found.

    Raises:
        AdframeError: if `missing_masks` has another value.

    Example:
        >>> source = MvtecLoco(root=Path("loco"), missing_masks="zero")
        >>> source.saturated
        True
    """

    name: str = "mvtec_loco"
    homepage: str = "https://www.mvtec.com/company/research/datasets/mvtec-loco"
    licence: str = "CC BY-NC-SA 4.0"
    tree: str = (
        "<category>/defects_config.json, <category>/{train,validation}/good/*.png, "
        "<category>/test/{good,logical_anomalies,structural_anomalies}/*.png and "
        "<category>/ground_truth/<anomalies>/<id>/<channel>.png"
    )

    missing_masks: str = "error"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.missing_masks not in ("error", "zero"):
            raise AdframeError(unknown("dataset.missing_masks", self.missing_masks, ("error", "zero")))

    @property
    def saturated(self) -> bool:
        """True: a channel counts as found as soon as its saturation area is."""
        return True

    def scan(self, category: str) -> list[Record]:
        """Lists the images of all splits, with the channel masks of anomalies.

        Args:
            category: name of the category, for example `pushpins`.

        Raises:
            AdframeError: if an anomaly has no mask, or `defects_config.json` cannot be used.
        """
        base = Path(self.root) / category
        records = [
            Record(path=path, category=category, split=split, group=f"{folder}/{path.stem}")
            for split, folder in (("train", "train"), ("val", "validation"))
            for path in images_in(base / folder / GOOD)
        ]
        rules = read_saturations(base / "defects_config.json")
        for subset in folders_in(base / "test"):
            for folder in (subset, *folders_in(subset)):
                flat = Masks(base / "ground_truth" / folder.relative_to(base / "test"))
                records += [self._test_record(path, flat, category, rules) for path in images_in(folder)]
        return records

    def folders_read(self, category: str) -> list[Path]:
        """Lists the folders of the splits, of each subset, and of its masks."""
        base = Path(self.root) / category
        subsets = [folder for name in ("test", "ground_truth") for folder in folders_in(base / name)]
        deeper = [folder for subset in subsets for folder in folders_in(subset)]
        channels = [f for d in deeper if base / "ground_truth" in d.parents for f in folders_in(d)]
        tops = [base / name for name in ("train", "train/good", "validation", "validation/good")]
        return [*tops, base / "test", base / "ground_truth", *subsets, *deeper, *channels]

    def good_masks(self, category: str) -> dict[Path, Path]:
        """Finds masks in `ground_truth/good`, which some datasets of this layout have."""
        base = Path(self.root) / category
        flat = Masks(base / "ground_truth" / GOOD)
        return {path: mask for path in images_in(base / "test" / GOOD) for mask in _channel_files(path, flat)}

    def _test_record(self, path: Path, flat: Masks, category: str, rules: tuple[Saturation, ...]) -> Record:
        place = path.relative_to(Path(self.root) / category / "test")
        defect = place.parts[0]
        group = place.with_suffix("").as_posix()
        if defect == GOOD:
            return Record(path=path, category=category, split="test", group=group)
        return Record(
            path=path,
            category=category,
            split="test",
            defect=defect,
            subset=defect.removesuffix("_anomalies"),
            label=1,
            masks=self._masks(path, flat),
            saturations=rules,
            group=group,
        )

    def _masks(self, image: Path, flat: Masks) -> tuple[Path, ...]:
        found = _channel_files(image, flat)
        if not found and self.missing_masks == "error":
            expected = flat.folder / image.stem / "000.png"
            raise AdframeError(
                f"no ground-truth mask for {image}: expected {expected}; add it, remove the image, or set "
                "dataset.missing_masks=zero"
            )
        return found


def _channel_files(image: Path, flat: Masks) -> tuple[Path, ...]:
    """Returns the files in the folder of channels of an image, or else the one file next to it."""
    if found := images_in(flat.folder / image.stem):
        return tuple(found)
    mask = flat.get(image.stem, f"{image.stem}_mask")
    return () if mask is None else (mask,)


def read_saturations(path: Path) -> tuple[Saturation, ...]:
    """Reads `defects_config.json`: the saturation of each pixel value, in pixels or as a share of the area.

    Args:
        path: the file.

    Returns:
        One entry per pixel value, in the order of the file.

    Raises:
        AdframeError: if the file is missing or no JSON, or has an impossible entry; the message says which.
    """
    try:
        entries = json.loads(path.read_text())
        if not isinstance(entries, list):
            raise ValueError("it is no list")
        found = tuple(_saturation(entry, place) for place, entry in enumerate(entries, start=1))
        for place, saturation in enumerate(found):
            if saturation.pixel_value in [other.pixel_value for other in found[:place]]:
                raise ValueError(f"pixel_value {saturation.pixel_value} has two entries")
    except (OSError, ValueError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise AdframeError(
            f"cannot read {path}: {why}; every LOCO category needs its defects_config.json"
        ) from error
    return found


def _saturation(entry: Any, place: int) -> Saturation:
    names = ("pixel_value", "saturation_threshold", "relative_saturation")
    if not isinstance(entry, dict) or (missing := [name for name in names if name not in entry]):
        lacks = f"lacks {', '.join(missing)}" if isinstance(entry, dict) else "is no object"
        raise ValueError(f"entry {place} {lacks}")
    value, threshold, relative = (entry[name] for name in names)
    top = 1.0 if relative is True else 1e12
    for name, right, wanted in (
        ("pixel_value", _is_number(value) and value in range(1, 65536), "a whole number from 1 to 65535"),
        ("relative_saturation", isinstance(relative, bool), "true or false"),
        (
            "saturation_threshold",
            _is_number(threshold) and 0 < threshold <= top,
            "a share in (0, 1]" if relative is True else "a number of pixels above 0",
        ),
    ):
        if not right:
            raise ValueError(f"entry {place} has {name} {entry[name]!r:.40}, not {wanted}")
    return Saturation(pixel_value=int(value), threshold=float(threshold), relative=relative)


def _is_number(value: Any) -> bool:
    # In Python a bool is an int, and JSON's true would pass for 1.
    return isinstance(value, int | float) and not isinstance(value, bool)
