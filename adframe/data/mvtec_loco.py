"""MVTec LOCO AD on disk (Bergmann et al., IJCV 2022): logical and structural anomalies, masks by channel."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from adframe.contracts import GOOD, AdframeError, Record, Saturation
from adframe.data.source import Source, images_in


@dataclass(frozen=True, kw_only=True)
class MvtecLoco(Source):
    """`<category>/{train,validation}/good`, `test/<subset>`, `ground_truth/<subset>/<id>/<channel>.png`.

    `defects_config.json` beside them says for every channel's pixel value how many pixels suffice.
    """

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
        for folder in sorted(p for p in (base / "test").glob("*") if p.is_dir()):
            records += [_test_record(path, base, category, rules) for path in images_in(folder)]
        return records


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


def _test_record(path: Path, base: Path, category: str, rules: tuple[Saturation, ...]) -> Record:
    defect = path.parent.name
    group = f"{defect}/{path.stem}"
    if defect == GOOD:
        return Record(path=path, category=category, split="test", group=group)
    channels = tuple(images_in(base / "ground_truth" / defect / path.stem))
    if not channels:
        expected = base / "ground_truth" / defect / path.stem / "000.png"
        raise AdframeError(
            f"no ground-truth mask for {path}: expected {expected}; add it or remove the image"
        )
    return Record(
        path=path,
        category=category,
        split="test",
        defect=defect,
        subset=defect.removesuffix("_anomalies"),
        label=1,
        masks=channels,
        saturations=rules,
        group=group,
    )
