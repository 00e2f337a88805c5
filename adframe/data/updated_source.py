"""A dataset with other normal images: some were added to training, and some were taken out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from adframe.contracts import Record
from adframe.data.base import Source
from adframe.errors import AdframeError


class UpdatedSource:
    """Lists the images of a dataset without some training images and with others.

    Args:
        source: the dataset.
        added: category -> normal images that join the training images.
        removed: category -> training images that are left out: a path, or the end of one such as
            `good/012.png`.

    Example:
        >>> from adframe.data.toy_source import Toy
        >>> source = Toy(root=Path("toy"), size=64, train=3, test_good=1, test_bad=1)
        >>> source.prepare(["weave"])
        >>> updated = updated_source(source, added={}, removed={"weave": ["train/good/000.png"]})
        >>> len(source.scan("weave")) - len(updated.scan("weave"))
        1
    """

    def __init__(
        self,
        source: Source,
        *,
        added: Mapping[str, Sequence[Path]],
        removed: Mapping[str, Sequence[str]],
    ) -> None:
        self._source, self._added, self._removed = source, added, removed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def scan(self, category: str) -> list[Record]:
        """Lists all images of one category.

        Args:
            category: name of a category that exists.

        Returns:
            The records of the dataset that are left, then the added ones.

        Raises:
            AdframeError: a removed image is no training image, or its name fits several.
        """
        records = self._source.scan(category)
        for name in self._removed.get(category, ()):
            records = _without(records, name, category=category)
        added = [
            Record(path=path, category=category, split="train") for path in self._added.get(category, ())
        ]
        return records + added


def updated_source(
    source: Source, *, added: Mapping[str, Sequence[Path]], removed: Mapping[str, Sequence[str]]
) -> Source:
    """Wraps a dataset, see `UpdatedSource`.

    Args:
        source: the dataset.
        added: category -> normal images that join the training images.
        removed: category -> training images that are left out.

    Returns:
        The dataset with these changes.
    """
    return cast(Source, UpdatedSource(source, added=added, removed=removed))


def _without(records: Sequence[Record], name: str, *, category: str) -> list[Record]:
    parts = Path(name).parts
    found = [r for r in records if r.split == "train" and r.path.parts[-len(parts) :] == parts]
    if len(found) != 1:
        what = "is no training image" if not found else f"names {len(found)} training images"
        raise AdframeError(f"--remove {name} {what} of {category}; give a path, or the end of one")
    return [record for record in records if record is not found[0]]
