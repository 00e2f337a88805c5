import pytest

from adframe.io.files import write_json
from adframe.results.run_folder import RunFolder
from tests.fakes.run_folder import write_rich_run

ENDS = {"bolt": {"image/auroc": [0.9, 1.0], "pixel/ap": None, "image/ap": [None, None]}}
TYPES = {"bolt": {"hole": {"images": 3, "image/auroc": None}}}


def test_intervals_and_types_of_defect_are_read(tmp_path):
    known = {"intervals": {"test": ENDS}, "defects": {"test": TYPES}}
    write_json(tmp_path / "metrics.json", {"test": {"bolt": {}}, **known})
    run = RunFolder.read(tmp_path)
    assert run.intervals == {"bolt": {"image/auroc": (0.9, 1.0)}}
    assert run.defects == {"bolt": {"hole": {"images": 3.0, "image/auroc": None}}}


def test_a_tracker_is_given_numbers_only(tmp_path):
    board = pytest.importorskip("adframe.reporting.wandb_upload", exc_type=ImportError)
    found = board.flat_metrics(write_rich_run(tmp_path))
    assert {"test/mean/image/auroc", "val/bolt/calibration/n"} <= set(found)
    assert all(isinstance(value, int | float) for value in found.values())
