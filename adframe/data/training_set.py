"""Few training images, and defects among them: `shots=` and `contamination=`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from adframe.contracts import GOOD, Record
from adframe.data.splits import draw_groups
from adframe.errors import AdframeError

# Share of the defects of each type that are not tested, because they may be in the training set.
HELD_OUT_DEFECTS = 0.5


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Changes which images a model is fitted to; validation images stay.

    Args:
        shots: number of normal training images of each category; None for all. A smaller number takes a part
            of the images that a larger one takes, with the same seed.
        contamination: share of defective images in the training set, in [0, 0.5], without a label; None
            leaves the dataset as it is. Half of the defects of each type are not tested then, whatever the
            share and the seed, so that runs with different shares test the same images; 0 is the comparison
            without defects.

    Raises:
        AdframeError: a value is outside its range.

    Example:
        >>> from pathlib import Path
        >>> good = [Record(path=Path(f"{n}.png"), category="c", split="train") for n in range(10)]
        >>> len(TrainingSet(shots=4).choose(good, seed=0)[0])
        4
    """

    shots: int | None = None
    contamination: float | None = None

    def __post_init__(self) -> None:
        if self.shots is not None and self.shots < 1:
            raise AdframeError(f"shots={self.shots} must be null or a whole number above 0")
        if self.contamination is not None and not 0 <= self.contamination <= 0.5:
            raise AdframeError(f"contamination={self.contamination} must be null or a share in [0, 0.5]")

    def choose(self, records: Sequence[Record], *, seed: int) -> tuple[list[Record], list[str]]:
        """Chooses the images of one category.

        Args:
            records: of one category, in their splits.
            seed: seed of the draws.

        Returns:
            The records that are used; a defect in the training set has the split, label and defect type of a
            normal training image. And lines about them for the report.

        Raises:
            AdframeError: there are fewer training images than shots, or fewer defects than the share needs.
        """
        found, notes = list(records), []
        category = records[0].category if records else "?"
        if self.shots is not None:
            found = self._few(found, category=category, seed=seed)
            notes.append(
                f"{category}: the model knows {self.shots} of {_count(records)} training images; the "
                f"threshold comes from {_count(found, split='val')} normal validation images"
            )
        if self.contamination is not None:
            found, added = self._contaminated(found, category=category, seed=seed)
            untested = sum(r.split == "test" for r in records) - sum(r.split == "test" for r in found)
            notes.append(
                f"{category}: {added} of {_count(found)} training images are defective "
                f"(contamination={self.contamination:g}); {untested} defective images are not tested, the "
                "same ones for every contamination"
            )
        return found, notes

    def _few(self, records: Sequence[Record], *, category: str, seed: int) -> list[Record]:
        """Draws among the normal training images."""
        assert self.shots is not None
        normal = {r.path.as_posix() for r in records if (r.split, r.label) == ("train", 0)}
        if len(normal) < self.shots:
            raise AdframeError(
                f"shots={self.shots}: {category} has {len(normal)} training images after validation images "
                "are held out; choose fewer shots, or a smaller holdout="
            )
        drawn = draw_groups(normal, count=self.shots, key=(category, "shots", seed))
        return [r for r in records if r.split != "train" or r.path.as_posix() in drawn]

    def _contaminated(
        self, records: Sequence[Record], *, category: str, seed: int
    ) -> tuple[list[Record], int]:
        """Moves test defects to train; returns the records and the number of defects in train."""
        assert self.contamination is not None
        pool: set[str] = set()
        anomalous = [r for r in records if (r.split, r.label) == ("test", 1)]
        for defect in sorted({record.defect for record in anomalous}):
            units = {record.unit for record in anomalous if record.defect == defect}
            # Rounded down, so that every type is still tested; the seed is fixed, as the class says.
            pool |= draw_groups(units, count=int(HELD_OUT_DEFECTS * len(units)), key=(category, defect))
        held = [record for record in anomalous if record.unit in pool]
        normal = _count(records)
        needed = round(normal * self.contamination / (1 - self.contamination))
        if needed > len(held):
            possible = int(len(held) * (1 - self.contamination) / self.contamination)
            raise AdframeError(
                f"contamination={self.contamination:g}: {category} needs {needed} defective images for "
                f"{normal} normal ones, and {len(held)} are held out of the test; use fewer normal images, "
                f"shots={possible} at most, in all runs that are compared"
            )
        paths = {record.path.as_posix() for record in held}
        chosen = draw_groups(paths, count=needed, key=(category, "contamination", seed))
        kept = [r for r in records if r.split != "test" or r.path.as_posix() not in paths]
        added = [
            replace(record, split="train", defect=GOOD, subset=GOOD, label=0, masks=(), saturations=())
            for record in held
            if record.path.as_posix() in chosen
        ]
        return kept + added, len(added)


def _count(records: Sequence[Record], *, split: str = "train") -> int:
    """Counts the normal images of a split."""
    return sum((record.split, record.label) == (split, 0) for record in records)
