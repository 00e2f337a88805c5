from pathlib import Path

import cv2
import numpy as np

from adframe.contracts import Record
from adframe.reporting.document import Picture
from adframe.reporting.outlines import Pixels
from adframe.reporting.synthetic_examples import Specimen, synthetic_galleries


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


def pixels(picture: Picture) -> Pixels:
    return cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR)


def test_families_stand_apart_and_say_how_much_is_marked() -> None:
    given = [specimen("nsa"), specimen("nsa", marked=False), specimen("scar")]
    found = synthetic_galleries(iter(given))
    assert [(g.title, g.note, len(g.cards)) for g in found] == [
        ("nsa", "", 2),
        ("scar", "held out, for validation only", 1),
    ]
    assert [card.note for card in found[0].cards] == [
        "25% of the image",
        "no visible change: the image stays normal",
    ]


def test_before_after_and_outline_have_the_files_aspect() -> None:
    (card,) = synthetic_galleries([specimen("nsa")])[0].cards
    before, after, outlined = map(pixels, card.pictures)
    height, width = before.shape[:2]
    assert height == width // 2
    assert after.shape == outlined.shape == before.shape
    assert abs(before.mean() - 51) < 3
    assert abs(after[: height // 3, : width // 3].mean() - 230) < 5
    green = (outlined[..., 1].astype(int) - outlined[..., 2] > 80) & (outlined[..., 1] > 150)
    assert green.any()
    assert not green[:, 3 * width // 4 :].any()
