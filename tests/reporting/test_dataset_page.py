import re
import subprocess
from collections import Counter

import numpy as np
import pytest

from adframe.contracts import Record, Region
from adframe.reporting.dataset_page import category_pictures, page_of_dataset
from adframe.reporting.dataset_stats import ImageReader, survey
from adframe.reporting.dataset_tables import conditions, contents, drift, overview
from adframe.reporting.document import CardGallery, Details
from adframe.reporting.page_writer import render_page
from adframe.transforms.shift.geometric import Rotation
from adframe.transforms.shift.shift import Shift
from tests.reporting.test_run_page import CHROMIUM, EVIL, FLAGS

SIZE = 40, 60
ABOUT = {
    "name": "cups",
    "homepage": "https://home.page",
    "facts": [("licence", "CC0")],
    "command": "python",
    "split": "a split of ours",
}
TURN = Shift({"rotation": Rotation(degrees=90)}, name="turn", seed=0)


def pixels(record):
    """Brighter in test than in train; no two alike."""
    path = record.path
    return np.full((*SIZE, 3), (100 if "train" in str(path) else 150) + len(path.stem), np.uint8)


def masks(record):
    return [mask(path) for path in record.masks]


def mask(path):
    drawn = np.zeros(SIZE, np.uint8)
    drawn[:20, :12] = 255  # a tenth of the image, top left
    drawn[30:, 50:] = 255 if "two" in path.name else 0
    return drawn


def regions(record, masks):
    return [Region(0, 0, each > 0, 1.0) for each in masks for _ in range(1 + ("two" in record.defect))]


READ = ImageReader(image=pixels, size=lambda path: SIZE, masks=masks, regions=regions)


def records(tmp_path, *, bad=("chip", "two"), unlabelled=0, condition=lambda n: ""):
    def make(split, n, **known):
        path = tmp_path / split / f"{'n' * n}.png"
        return Record(path=path, category="cup", split=split, condition=condition(n), **known)

    return [
        *(make("train", n) for n in range(1, 9)),
        *(make("test", n) for n in range(1, 4)),
        *(
            make(
                "test", 10 + n, defect=name, subset="anomaly", label=1, masks=(tmp_path / f"{name}_{n}.png",)
            )
            for name in bad
            for n in range(3)
        ),
        *(make("test", 20 + n, defect="new", subset="unlabelled", label=None) for n in range(unlabelled)),
    ]


def made(given, *, seed=1, sample=5, shifts=(TURN,)):
    found = survey(given, read=READ, sample=sample, seed=seed, progress=lambda *_: None)
    quiet = {"read": READ, "examples": 2, "seed": seed, "progress": lambda *_: None}
    return found, category_pictures(found, place=0, shifts=shifts, **quiet)


def page(given):
    return render_page(page_of_dataset([made(given)], **ABOUT))


def galleries(category):
    """Its galleries with a title: first the examples by kind, then the images under shifts."""
    return [block for block in category[1] if isinstance(block, CardGallery) and block.title]


def test_counts_areas_and_regions_are_what_was_given(tmp_path):
    found = made(records(tmp_path))[0]
    assert overview([found]).shown == (("cup", "8", "3", "6", "17", "2", "40 × 60"),)  # noqa: RUF001
    by_kind = {row[0]: row[1:] for row in contents(found).rows}
    assert by_kind["good"] == (8, 3, None, None, None, None, None)
    assert by_kind["chip"] == (None, 3, "10.00", "10.00", "10.00", "1", 1)
    assert by_kind["two"][2:] == ("14.17", "14.17", "14.17", "2", 2)


def test_defects_lie_where_their_masks_are(tmp_path):
    density = made(records(tmp_path))[0].density["chip"]
    assert density[:30, :12].min() == pytest.approx(1)
    assert density[34:].max() == 0


def test_drift_between_splits_shows(tmp_path):
    table = drift([made(records(tmp_path))[0]])
    row = dict(zip(table.header, table.rows[0], strict=True))
    assert row["brightness, train"].startswith("41.")
    assert row["brightness, test"].startswith("59.")
    assert float(row["test minus train, SD"]) > 5


def test_conditions_are_counted_where_there_are_several(tmp_path):
    assert conditions(made(records(tmp_path))[0]) is None
    several = records(tmp_path, condition=lambda n: "dark" if n % 2 else "lit")
    table = conditions(made(several)[0])
    assert [row[:4] for row in table.rows] == [("dark", 4, 2, 2), ("lit", 4, 1, 4)]


def names(category):
    return [[card.title for card in gallery.cards] for gallery in galleries(category)]


def test_the_same_seed_chooses_the_same_examples(tmp_path):
    first, again = (made(records(tmp_path), shifts=()) for _ in range(2))
    assert names(first) == names(again)
    assert [g.cards for g in galleries(first)] == [g.cards for g in galleries(again)]
    others = [made(records(tmp_path), seed=seed, shifts=()) for seed in (2, 3, 4)]
    assert any(names(other) != names(first) for other in others)
    assert Counter(gallery.title for gallery in galleries(first)) == {"good": 1, "chip": 1, "two": 1}
    assert all(len(gallery.cards) == 2 for gallery in galleries(first))


def test_masks_move_with_the_shift_and_its_numbers_are_told(tmp_path):
    found = made(records(tmp_path, bad=("chip",)))
    (drawn, *_) = (block for block in found[1] if isinstance(block, Details))
    assert drawn.is_open
    assert ("rotation.degrees", "90") in drawn.blocks[0].table.rows
    before, after = (card.note for card in galleries(found)[2].cards)
    assert before == "10%"
    assert after != before  # turned by 90 degrees, a part of it leaves a frame that is not square


def test_unlabelled_images_are_shown_as_such(tmp_path):
    text = page(records(tmp_path, bad=(), unlabelled=4))
    assert "11 normal, 4 unlabelled" in text
    assert "test unlabelled" in text
    assert "nan" not in re.sub(r'"data:[^"]*"|<style>.*?</style>|<script>.*?</script>', "", text, flags=re.S)


def test_a_set_of_nothing_but_unlabelled_images_makes_a_page(tmp_path):
    given = [record for record in records(tmp_path, bad=(), unlabelled=2) if record.label is None]
    assert "0 normal, 2 unlabelled" in page(given)


def test_nothing_is_fetched_from_elsewhere(tmp_path):
    text = page(records(tmp_path))
    assert not re.search(r"url\((?!#)|@import|<link (?!rel=\"icon\")|<script src", text)
    assert all(link.startswith("data:") for link in re.findall(r"""src=["']([^"']*)""", text))
    assert "default-src 'none'" in text


def test_hostile_names_are_harmless(tmp_path):
    text = page(records(tmp_path, bad=(EVIL,), condition=lambda n: EVIL[n % 2 :]))
    assert "<script>alert" not in text
    assert text.count("<script>") == 1


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome in the path")
def test_a_browser_shows_the_page_without_a_complaint(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page(records(tmp_path, unlabelled=1)))
    call = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, check=False)
    assert "CONSOLE" not in done.stderr
    assert '<button type="button" data-copies="command">Copy</button>' in done.stdout  # the script has run
    assert done.stdout.count("<svg") == 2
