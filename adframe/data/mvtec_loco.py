"""MVTec LOCO AD on disk (Bergmann et al., IJCV 2022): logical and structural anomalies, masks by channel."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from adframe.contracts import GOOD, AdframeError, Record, Saturation
from adframe.data.source import Source, images_in
from adframe.ops.names import unknown


@dataclass(frozen=True, kw_only=True)
class MvtecLoco(Source):
    """`<category>/{train,validation}/good`, `test/<subset>`, `ground_truth/<subset>/<id>/<channel>.png`.

    `defects_config.json` beside them says for every channel's pixel value how many pixels suffice.
    Anomalies lie flat in their subset's folder or one level deeper. A mask is looked for under the
    image's relative path, as a folder of channels or as one file, then with `_mask` after its name.

    Args:
        missing_masks: `error`, or `zero` for an empty mask where none is found.
    """

    missing_masks: str = "error"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.missing_masks not in ("error", "zero"):
            raise AdframeError(unknown("dataset.missing_masks", self.missing_masks, ("error", "zero")))

    @property
    def saturated(self) -> bool:
        """True: a channel counts as found once its saturation area is."""
        return True

    def scan(self, category: str) -> list[Record]:
        """Records of all splits; an anomaly without a channel mask is an error."""
        base = Path(self.root) / category
        records = [
            Record(path=path, category=category, split=split, group=f"{folder}/{path.stem}")
            for split, folder in (("train", "train"), ("val", "validation"))
            for path in images_in(base / folder / GOOD)
        ]
        rules = read_saturations(base / "defects_config.json")
        for subset in sorted(p for p in (base / "test").glob("*") if p.is_dir()):
            deeper = sorted(p for p in subset.iterdir() if p.is_dir())
            for path in [image for folder in (subset, *deeper) for image in images_in(folder)]:
                records.append(self._test_record(path, base, category, rules))
        return records

    def _test_record(self, path: Path, base: Path, category: str, rules: tuple[Saturation, ...]) -> Record:
        place = path.relative_to(base / "test")
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
            masks=self._masks(path, base / "ground_truth" / place),
            saturations=rules,
            group=group,
        )

    def _masks(self, image: Path, place: Path) -> tuple[Path, ...]:
        expected = place.with_suffix("") / "000.png"
        found = images_in(expected.parent)
        for name in (place.stem, f"{place.stem}_mask"):
            found = found or [path for path in images_in(place.parent) if path.stem == name]
        if not found and self.missing_masks == "error":
            raise AdframeError(
                f"no ground-truth mask for {image}: expected {expected}; add it, remove the image, or set "
                "dataset.missing_masks=zero"
            )
        return tuple(found)


def read_saturations(path: Path) -> tuple[Saturation, ...]:
    """Reads `defects_config.json`: pixel value to saturation, absolute (pixels) or relative (share)."""
    try:
        entries = json.loads(path.read_text())
        return tuple(
            Saturation(
                pixel_value=int(e["pixel_value"]),
                threshold=float(e["saturation_threshold"]),
                relative=bool(e["relative_saturation"]),
            )
            for e in entries
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AdframeError(
            f"cannot read {path}: {error}; every LOCO category needs its defects_config.json"
        ) from error
