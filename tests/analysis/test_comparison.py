"""Runs compared by their predictions."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from adframe.analysis.comparison import write_comparison
from adframe.errors import AdframeError
from adframe.results.predictions import read_predictions, write_predictions
from tests.fakes.run_folder import LOCO, write_run

FIVE = ("bolt", "cable", "pill", "tile", "tray")


def changed(run: Path, to: Path, change) -> Path:
    """A copy of a run whose ledger's rows went through `change`."""
    shutil.copytree(run, to)
    rows = [change(dict(row)) for row in read_predictions(run / "predictions.parquet")]
    write_predictions(to / "predictions.parquet", [row for row in rows if row is not None])
    return to


def better(row):
    return row | {"score": row["score"] + 3.0 * row["label"]}


def noisy(row):
    return row | {"score": float(np.random.default_rng(int(row["score"] * 1e6) % 2**32).normal())}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "one", categories=FIVE, pictures=0)


def lines_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "comparison.csv").open()))


def test_the_table_holds_every_run_in_every_category_and_the_mean(run, tmp_path, capsys):
    other = changed(run, tmp_path / "two", better)
    folder = write_comparison([run, other], output=None)
    lines = lines_of(folder)
    assert folder.parent == run / "comparisons"
    assert [(line["category"], line["run"]) for line in lines] == [
        (c, r) for c in (*FIVE, "mean") for r in "AB"
    ]
    rows = [row for row in read_predictions(other / "predictions.parquet") if row["category"] == "tray"]
    exact = roc_auc_score([row["label"] for row in rows], [row["score"] for row in rows])
    tray = next(line for line in lines if (line["category"], line["run"]) == ("tray", "B"))
    assert float(tray["image/auroc"]) == pytest.approx(exact)
    assert float(tray["difference_low"]) <= float(tray["difference"]) <= float(tray["difference_high"])
    out = capsys.readouterr().out
    assert max(map(len, out.split("A: ")[0].splitlines())) <= 100
    assert "Across 5 categories, B compared with A: p = 0." in out


def test_a_plain_gain_is_told_from_none(run, tmp_path):
    gain = write_comparison([run, changed(run, tmp_path / "two", better)], output=tmp_path / "gain")
    assert "B has the highest mean image AUROC" in (gain / "comparison.md").read_text()
    same = write_comparison([run, changed(run, tmp_path / "three", dict)], output=tmp_path / "same")
    assert "No significant difference from A" in (same / "comparison.md").read_text()
    assert {line["p_holm"] for line in lines_of(same) if line["run"] == "B"} == {"1.0"}


def test_the_order_of_rows_and_where_the_data_lies_change_nothing(run, tmp_path):
    first = write_comparison([run, changed(run, tmp_path / "two", noisy)], output=tmp_path / "a")
    moved = changed(tmp_path / "two", tmp_path / "moved", lambda row: row | {"path": f"/x/{row['path']}"})
    text = (moved / "config.yaml").read_text().replace("name: toy", "name: toy\n  root: /x")
    (moved / "config.yaml").write_text(text)
    write_predictions(moved / "predictions.parquet", read_predictions(moved / "predictions.parquet")[::-1])
    again = write_comparison([run, moved], output=tmp_path / "b")
    assert (again / "comparison.csv").read_text() == (first / "comparison.csv").read_text()


def test_holm_counts_every_comparison_of_the_table(run, tmp_path):
    others = [changed(run, tmp_path / name, noisy if name == "two" else better) for name in ("two", "three")]
    lines = lines_of(write_comparison([run, *others], output=tmp_path / "out"))
    raw = [float(line["p"]) for line in lines if line["p"]]
    smallest = min(float(line["p_holm"]) for line in lines if line["p_holm"])
    assert len(raw) == 12
    assert smallest == pytest.approx(min(1.0, 12 * min(raw)))


def test_other_images_are_refused_with_which_and_how_many(run, tmp_path):
    fewer = changed(run, tmp_path / "two", lambda row: None if row["category"] == "pill" else row)
    count = sum(row["category"] == "pill" for row in read_predictions(run / "predictions.parquet"))
    with pytest.raises(AdframeError, match=f"different images: {count} are missing in .*two .such as pill "):
        write_comparison([run, fewer], output=None)
    assert not (run / "comparisons").exists()


def test_another_label_is_refused(run, tmp_path):
    turned = changed(run, tmp_path / "two", lambda row: row | {"label": 1 - row["label"]})
    with pytest.raises(AdframeError, match="another label"):
        write_comparison([run, turned], output=None)


def test_one_run_or_the_same_twice_is_refused(run):
    with pytest.raises(AdframeError, match="2 to 26"):
        write_comparison([run], output=None)
    with pytest.raises(AdframeError, match="twice"):
        write_comparison([run, run / "." / "../one"], output=None)


def test_the_page_fetches_nothing_and_hides_secrets_and_markup(tmp_path):
    run = write_run(tmp_path / "<b>", defects=LOCO, pictures=0)
    other = changed(run, tmp_path / "two", noisy)
    text = (other / "config.yaml").read_text()
    (other / "config.yaml").write_text(
        text.replace("hunter2", "hunter3").replace("coreset: 0.1", "coreset: 0.5")
    )
    folder = write_comparison([run, other], output=tmp_path / "out")
    page = (folder / "comparison.html").read_text()
    assert not re.search(r"https?://|url\(|@import|hunter|<b>", page)
    assert "model.coreset" in page
    assert "Wilcoxon&#39;s test needs 5 or more, and there are 2" in page
    latex = (folder / "comparison.tex").read_text()
    assert "\\label{tab:comparison:out}\n\\begin{tabular}{llrrrr}" in latex


def test_pictures_of_one_part_count_once(run, tmp_path, capsys):
    grouped = changed(run, tmp_path / "g", lambda row: row | {"group": f"{row['label']}{row['path'][-5]}"})
    write_comparison([grouped, changed(grouped, tmp_path / "h", noisy)], output=None)
    assert "they count parts, not images" in capsys.readouterr().out


def test_a_category_without_a_class_is_a_dash_and_no_crash(run, tmp_path):
    def good_only(row):
        return None if row["category"] == "bolt" and row["label"] else row

    pair = [changed(run, tmp_path / "x", good_only)]
    pair.append(changed(pair[0], tmp_path / "y", noisy))
    lines = lines_of(write_comparison(pair, output=tmp_path / "out"))
    assert [line["image/auroc"] for line in lines if line["category"] in ("bolt", "mean")] == [""] * 4
    assert all(line["image/auroc"] for line in lines if line["category"] not in ("bolt", "mean"))


def test_a_run_begun_with_a_relative_root_compares_with_its_own_evaluation(run, tmp_path):
    def moved(root: str):
        return lambda row: row | {"path": f"{root}/{row['category']}/{Path(row['path']).name}"}

    config = (
        (run / "config.yaml").read_text().replace("name: toy\n", f"name: toy\n  root: {tmp_path}/data/toy\n")
    )
    (run / "config.yaml").write_text(config)
    relative = changed(run, tmp_path / "relative", moved("data/toy"))
    absolute = changed(run, tmp_path / "absolute", moved(f"{tmp_path}/data/toy"))
    assert (write_comparison([relative, absolute], output=None) / "comparison.csv").is_file()
