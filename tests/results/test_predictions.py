import math

import numpy as np
import pytest

from adframe.errors import AdframeError
from adframe.results.predictions import LATER_COLUMNS, SCHEMA, read_predictions, write_predictions
from tests.fakes.run_folder import row


def test_round_trip_keeps_values_none_and_nan(tmp_path):
    rows = [row(label=1, decision=True, score=1e-7), row(label=None, decision=None, threshold=None)]
    write_predictions(tmp_path / "p.parquet", [*rows, row(score=float("nan"))])
    back = read_predictions(tmp_path / "p.parquet")
    assert back[:2] == rows
    assert math.isnan(back[2]["score"])


def test_numpy_numbers_and_an_empty_ledger_are_written(tmp_path):
    write_predictions(
        tmp_path / "n.parquet", [row(score=np.float32(0.5), decision=np.bool_(True), height=np.int64(7))]
    )
    assert read_predictions(tmp_path / "n.parquet")[0]["decision"] is True
    write_predictions(tmp_path / "e.parquet", [])
    assert read_predictions(tmp_path / "e.parquet") == []


@pytest.mark.parametrize(
    ("change", "word"), [({"scroe": 1.0}, "scroe"), ({"score": None}, "score"), ({"label": "bad"}, "type")]
)
def test_a_wrong_row_is_refused_and_nothing_is_written(tmp_path, change, word):
    with pytest.raises(AdframeError, match=word):
        write_predictions(tmp_path / "p.parquet", [row(), row(**change)])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_column_is_named(tmp_path):
    short = row()
    del short["milliseconds"]
    with pytest.raises(AdframeError, match="missing columns milliseconds"):
        write_predictions(tmp_path / "p.parquet", [short])


def test_what_is_not_a_ledger_is_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    pq.write_table(pa.table({"path": ["a"]}), tmp_path / "other.parquet")
    for name in ("broken", "other", "absent"):
        with pytest.raises(AdframeError, match=name):
            read_predictions(tmp_path / f"{name}.parquet")


def test_the_columns_are_those_that_were_agreed():
    agreed = "path category split subset defect part condition group shift label score decision threshold"
    later = "normalised probability reported by_zones"
    sizes = "milliseconds height width defect_area defect_border"
    assert SCHEMA.names == [*agreed.split(), *later.split(), *sizes.split()]


def test_a_ledger_from_before_the_later_columns_is_read_with_none_in_them(tmp_path):
    import pyarrow.parquet as pq

    path = tmp_path / "p.parquet"
    write_predictions(path, [row(score=2.0, defect_area=0.25, defect_border=0.5), row()])
    assert [(each["defect_area"], each["defect_border"]) for each in read_predictions(path)] == [
        (0.25, 0.5), (None, None)
    ]  # fmt: skip
    pq.write_table(pq.read_table(path).drop_columns(list(LATER_COLUMNS)), path)
    assert read_predictions(path) == [row(score=2.0), row()]
