from collections import Counter

import pytest

from adframe.data.validate_files import check_files
from tests import real
from tests.fakes.sources import source

SCREW = real.DATA / "mvtec_ad" / "screw"
BOTTLE = real.DATA / "mvtec_loco" / "juice_bottle"
pytestmark = pytest.mark.slow


@real.needs(SCREW)
def test_screw_of_mvtec_ad_is_read_completely() -> None:
    records = source(real.DATA / "mvtec_ad", "mvtec_ad").scan("screw")
    counts = Counter((record.split, record.subset) for record in records)
    assert counts == {("train", "good"): 320, ("test", "good"): 41, ("test", "anomaly"): 119}
    assert len({record.defect for record in records}) == 6
    check_files(records)


@real.needs(BOTTLE)
def test_juice_bottle_of_mvtec_loco_is_read_completely() -> None:
    records = source(real.DATA / "mvtec_loco", "mvtec_loco").scan("juice_bottle")
    counts = Counter((record.split, record.subset) for record in records)
    assert counts == {
        ("train", "good"): 150,
        ("val", "good"): 27,
        ("test", "good"): 27,
        ("test", "logical"): 90,
    }
    check_files(records)
