"""A folder of pictures: what counts as one, and broken ones before any work."""

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


def test_broken_pictures_are_named_at_the_start(tmp_path: Path) -> None:
    for n in range(3):
        draw(tmp_path / f"{n}.png")
    (tmp_path / "1.png").write_bytes(b"")
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "3.tiff")
    with pytest.raises(AdframeError, match=r"--images .*: 2 of 4 pictures cannot be read; .*1.png is empty"):
        PictureFolder(tmp_path, setting="--images")
    (tmp_path / "1.png").unlink()
    with pytest.raises(AdframeError, match=r"1 of 3 pictures cannot be read; .*floating-point pixels"):
        PictureFolder(tmp_path, setting="--images")


@pytest.mark.parametrize(("folder", "text"), [("gone", "is not a folder"), (".", "has no picture")])
def test_a_folder_without_pictures_is_one_line(tmp_path: Path, folder: str, text: str) -> None:
    with pytest.raises(AdframeError, match=f"model.penalty_images .*{text}"):
        PictureFolder(tmp_path / folder, setting="model.penalty_images")
