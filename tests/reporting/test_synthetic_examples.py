from pathlib import Path

import cv2
import numpy as np

from adframe.contracts import Record
from adframe.reporting.dataset_examples import Album
from adframe.reporting.outlines import Pixels
from adframe.reporting.synthetic_examples import Specimen, exhibits


def specimen(family: str, *, side: int = 32, marked: bool = True) -> Specimen:
    before = np.full((side, side, 3), 0.2, np.float32)
    after, mask = before.copy(), np.zeros((side, side), bool)
    if marked:
        after[:16, :16], mask[:16, :16] = 0.9, True
    return Specimen(
        family=family,
        held_out=family == "scar",
        record=Record(path=Path("a/one.png"), category="cup", split="train"),
        frame=(200, 400),
        before=before,
        after=after,
        mask=mask,
    )


def picture(album: Album, name: str) -> Pixels:
    return cv2.imdecode(np.frombuffer(album.files[name], np.uint8), cv2.IMREAD_COLOR)


def test_families_stand_apart_and_say_how_much_is_marked() -> None:
    given = [specimen("nsa"), specimen("nsa", marked=False), specimen("scar")]
    shown = exhibits(iter(given), album := Album())
    assert [(e.family, e.held_out, len(e.tiles)) for e in shown] == [("nsa", False, 2), ("scar", True, 1)]
    assert [tile.note for tile in shown[0].tiles] == ["25 %", "nothing visible came about: it stays normal"]
    assert len(album.files) == 3


def test_before_after_and_outline_have_the_files_aspect() -> None:
    album = Album()
    tile = exhibits([specimen("nsa")], album)[0].tiles[0]
    shown = picture(album, tile.picture)
    height, width = shown.shape[0], (shown.shape[1] - 8) // 3
    assert height == width // 2
    before, after, outlined = (shown[:, k * (width + 4) :][:, :width] for k in range(3))
    assert abs(before.mean() - 51) < 3
    assert abs(after[: height // 3, : width // 3].mean() - 230) < 5
    green = (outlined[..., 1].astype(int) - outlined[..., 2] > 80) & (outlined[..., 1] > 150)
    assert green.any()
    assert not green[:, 3 * width // 4 :].any()
