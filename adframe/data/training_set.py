"""Few training images, and defects among them: `shots=`, `contamination=` and `labelled=`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from adframe.contracts import GOOD, Record
from adframe.data.splits import draw_groups
from adframe.errors import AdframeError

# Share of the defects of each type that are not tested, because they may be in the training set. It is the
# same for `contamination=` and `labelled=`, so that runs with either test the same images.
HELD_OUT_DEFECTS = 0.5
LABELLED_VALUES = "null, a whole number of images of each defect type, or a share of them in (0, 0.5]"


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
        labelled: defects of each type that a supervised method is trained on, with their label and their
            ground-truth masks: a whole number of images, or a share in (0, 0.5]; None leaves the dataset as
            it is. The same half of the defects of each type is not tested then; 0 is the comparison without
            labelled defects.

    Raises:
        AdframeError: a value is outside its range, or contamination and labelled are both given.

    Example:
        >>> from pathlib import Path
        >>> good = [Record(path=Path(f"{n}.png"), category="c", split="train") for n in range(10)]
        >>> len(TrainingSet(shots=4).choose(good, seed=0)[0])
        4
    """

    shots: int | None = None
    contamination: float | None = None
    labelled: float | None = None

    def __post_init__(self) -> None:
        if self.shots is not None and self.shots < 1:
            raise AdframeError(f"shots={self.shots} must be null or a whole number above 0")
        if self.contamination is not None and not 0 <= self.contamination <= 0.5:
            raise AdframeError(f"contamination={self.contamination} must be null or a share in [0, 0.5]")
        if self.labelled is not None and not is_labelled(self.labelled):
            raise AdframeError(f"labelled={self.labelled} must be {LABELLED_VALUES}")
        if self.contamination is not None and self.labelled is not None:
            raise AdframeError(
                "contamination= and labelled= both take the defects that are not tested; set one to null"
            )

    @property
    def may_grow(self) -> bool:
        """Whether validation images may join: they would be more shots, or a smaller share of defects."""
        return self.shots is None and self.contamination is None

    def choose(self, records: Sequence[Record], *, seed: int) -> tuple[list[Record], list[str]]:
        """Chooses the images of one category.

        Args:
            records: of one category, in their splits.
            seed: seed of the draws.

        Returns:
            The records that are used; a defect in the training set has the split, label and defect type of a
            normal training image, and keeps label, defect type and masks where it is labelled. And lines
            about them for the report.

        Raises:
            AdframeError: there are fewer training images than shots, fewer defects than are needed, or a
                labelled defect has no mask.
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
        if self.labelled is not None:
            found, added = self._with_labelled(found, category=category, seed=seed)
            untested = sum(r.split == "test" for r in records) - sum(r.split == "test" for r in found)
            notes.append(
                f"{category}: {added} labelled defects are training images (labelled={self.labelled:g} of "
                f"each type); {untested} defective images are not tested, the same ones for every labelled="
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
        held = _untested_defects(records, category=category)
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
        added = [
            replace(record, split="train", defect=GOOD, subset=GOOD, label=0, masks=(), saturations=())
            for record in held
            if record.path.as_posix() in chosen
        ]
        return _without(records, held) + added, len(added)

    def _with_labelled(
        self, records: Sequence[Record], *, category: str, seed: int
    ) -> tuple[list[Record], int]:
        """Moves annotated test defects to train; returns the records and the number of defects in train."""
        assert self.labelled is not None
        held = _untested_defects(records, category=category)
        added: list[Record] = []
        for defect in sorted({r.defect for r in records if (r.split, r.label) == ("test", 1)}):
            paths = {record.path.as_posix() for record in held if record.defect == defect}
            of_type = sum((r.split, r.defect) == ("test", defect) for r in records)
            count = self._labelled_count(of_type, held=len(paths), name=f"{category}/{defect}")
            chosen = draw_groups(paths, count=count, key=(category, "labelled", defect, seed))
            added += [replace(r, split="train") for r in held if r.path.as_posix() in chosen]
        if without := [record for record in added if not record.masks]:
            raise AdframeError(
                f"labelled={self.labelled:g}: {without[0].path} has no ground-truth mask, which training on "
                "labelled defects requires; use labelled=null"
            )
        return _without(records, held) + added, len(added)

    def _labelled_count(self, of_type: int, *, held: int, name: str) -> int:
        assert self.labelled is not None
        if isinstance(self.labelled, float):
            # Half of the type is the largest share, and one image the smallest where there is one.
            return min(held, max(round(self.labelled * of_type), 1))
        if self.labelled > held:
            raise AdframeError(
                f"labelled={self.labelled}: {name} has {of_type} images, of which {held} are not tested; "
                f"choose labelled={held} at most, or a share"
            )
        return self.labelled


def is_labelled(value: object) -> bool:
    """Tells whether a value of `labelled=` is possible.

    Args:
        value: the value, not None.

    Example:
        >>> is_labelled(4), is_labelled(0.1), is_labelled(0.6)
        (True, True, False)
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value >= 0
    return isinstance(value, float) and 0 < value <= HELD_OUT_DEFECTS


def _untested_defects(records: Sequence[Record], *, category: str) -> list[Record]:
    """Returns the half of each defect type's test images that is left out of the test."""
    pool: set[str] = set()
    anomalous = [r for r in records if (r.split, r.label) == ("test", 1)]
    for defect in sorted({record.defect for record in anomalous}):
        units = {record.unit for record in anomalous if record.defect == defect}
        # Rounded down, so that every type is still tested; the seed is fixed, as the class says.
        pool |= draw_groups(units, count=int(HELD_OUT_DEFECTS * len(units)), key=(category, defect))
    return [record for record in anomalous if record.unit in pool]


def _without(records: Sequence[Record], held: Sequence[Record]) -> list[Record]:
    """Returns the records without the test images that are held."""
    paths = {record.path for record in held}
    return [r for r in records if r.split != "test" or r.path not in paths]


def _count(records: Sequence[Record], *, split: str = "train") -> int:
    """Counts the normal images of a split."""
    return sum((record.split, record.label) == (split, 0) for record in records)
