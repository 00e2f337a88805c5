from pathlib import Path

import pytest

from adframe.analysis.paper_tables import sweep_table
from adframe.errors import AdframeError
from tests.fakes.study_runs import leave_run


def test_rows_columns_and_categories_are_chosen(tmp_path: Path) -> None:
    for number, (share, skill) in enumerate((("0.01", 0.2), ("0.1", 1.0), ("1.0", 4.0))):
        leave_run(tmp_path, number, f"coreset={share}", skills={"bolt": skill, "tray": skill + 0.5})
    whole = sweep_table(tmp_path)
    assert "mean over 2 categories" in whole
    assert [line.split(" &")[0] for line in whole.splitlines() if " & " in line][1:] == ["0.01", "0.1", "1.0"]
    chosen = sweep_table(tmp_path, rows=["1.0", "0.01"], metrics=["image/ap"], categories=["tray"])
    assert "coreset & {image AP}" in chosen
    assert "on tray" in chosen
    assert [line.split(" &")[0] for line in chosen.splitlines() if " & " in line][1:] == ["1.0", "0.01"]
    assert "{bolt} & {tray} & {mean}" in sweep_table(tmp_path, per_category=True)
    for wrong, words in (({"rows": ["2"]}, "unknown row '2'"), ({"categories": ["x"]}, "unknown category")):
        with pytest.raises(AdframeError, match=words):
            sweep_table(tmp_path, **wrong)
