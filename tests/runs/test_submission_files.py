"""What a submission's files are called."""

from pathlib import Path

import pytest

from adframe.contracts import Record
from adframe.errors import AdframeError
from adframe.runs.submission_files import check_names


def private(name: str, folder: str) -> Record:
    return Record(path=Path(folder) / name, category="can", split="test", defect=folder, label=None)


def test_two_images_with_one_stem_in_a_private_set_are_refused() -> None:
    apart = [private("000.png", "test_private"), private("000.png", "test_private_mixed")]
    check_names(apart)
    with pytest.raises(
        AdframeError, match=r"test_private/000\.png and test_private/000\.jpg would be one file"
    ):
        check_names([*apart, private("000.jpg", "test_private")])
