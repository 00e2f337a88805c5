"""A folder of pictures: what counts as one, and what happens to broken ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adframe.errors import AdframeError
from adframe.io.picture_folder import PictureFolder
from tests.fakes.pictures import draw


def test_pictures_are_files_of_formats_that_can_be_read(tmp_path: Path) -> None:
    for name in ("a.png", "below/B.JPG", "c.webp", "d.tga", ".hidden.png"):
        draw(tmp_path / name)
    draw(tmp_path / "written_only.pdf")
    draw(tmp_path / "started_by_an_interpreter.eps")
    (tmp_path / "no_picture.h5").write_bytes(b"data")
    pictures = PictureFolder(tmp_path, setting="--images")
    assert [path.name for path in pictures.paths] == ["a.png", "B.JPG", "c.webp", "d.tga"]
    for index in range(len(pictures)):
        assert pictures.read(index, size=(8, 12)).shape == (3, 8, 12)


def test_a_picture_that_cannot_be_read_is_named_once_and_the_next_one_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for n in (0, 2):
        draw(tmp_path / f"{n}.png")
    (tmp_path / "1.png").write_bytes(b"")
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "3.tiff")
    pictures = PictureFolder(tmp_path, setting="--images")
    for index, instead in ((1, 2), (3, 0), (1, 2)):
        read = pictures.read(index, size=(8, 12))
        np.testing.assert_array_equal(read, pictures.read(instead, size=(8, 12)))
    assert len(caplog.records) == 2
    assert "1.png is empty" in caplog.records[0].message
    assert "3.tiff" in caplog.records[1].message
    assert all("the next picture is used instead" in record.message for record in caplog.records)


def test_a_folder_of_broken_pictures_is_an_error(tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.png").write_bytes(b"no picture")
    with pytest.raises(AdframeError, match=r"--images .*: none of 3 pictures can be read"):
        PictureFolder(tmp_path, setting="--images").read(1, size=(8, 12))


@pytest.mark.parametrize(("folder", "text"), [("gone", "is not a folder"), (".", "has no picture")])
def test_a_folder_without_pictures_is_one_line(tmp_path: Path, folder: str, text: str) -> None:
    with pytest.raises(AdframeError, match=f"model.penalty_images .*{text}"):
        PictureFolder(tmp_path / folder, setting="model.penalty_images")
