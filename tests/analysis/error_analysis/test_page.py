"""Where runs are wrong: every number of the page from the ledger, counted here in another way."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from adframe.analysis.compared_runs import read_compared_run
from adframe.analysis.error_analysis.agreement import wrong_in_all_runs
from adframe.analysis.error_analysis.by_type import analyse_types
from adframe.analysis.error_analysis.common import deviations_above_threshold, file_stem
from adframe.analysis.error_analysis.page import error_sections, show_errors
from adframe.analysis.error_analysis.threshold_rules import ALL_ANOMALOUS, ORACLE, OWN_RULE, apply_rules
from adframe.analysis.error_analysis.thresholds import analyse_threshold_rules
from adframe.analysis.error_analysis.thumbnails import Thumbnails
from adframe.cli.evaluate import open_source
from adframe.errors import AdframeError
from adframe.io.files import write_json
from adframe.reporting.document import Pictures, TableBlock
from adframe.results.predictions import read_predictions, write_predictions
from adframe.results.validation_scores import read_scores, write_scores
from tests.fakes.run_folder import write_rich_run, write_run


def changed(run: Path, to: Path, change) -> Path:
    """A copy of a run whose ledger's rows went through `change`."""
    shutil.copytree(run, to)
    rows = [
        change(dict(row), number) for number, row in enumerate(read_predictions(run / "predictions.parquet"))
    ]
    write_predictions(to / "predictions.parquet", [decided(row) for row in rows])
    return to


def decided(row):
    return row | {"decision": row["score"] > row["threshold"]}


def sized(row, number):
    """Every other defect is small, lies at the border, and scores low."""
    small = number % 2 == 0
    score = row["score"] - (6.0 if small and row["label"] else 0.0)
    spread = {"normalised": (row["score"] - 22) / 1.25}
    if not row["label"]:
        return row | spread
    area = (0.001 if small else 0.2) * (1 + number / 100)
    spread = {"normalised": (score - 22) / 1.25}
    return row | spread | {"score": score, "defect_area": area, "defect_border": area / 2}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs on the same 144 images, with sizes and validation scores."""
    place = tmp_path_factory.mktemp("errors")
    plain = write_run(place / "plain", pictures=2)
    rng = np.random.default_rng(5)
    first = changed(plain, place / "one", sized)
    for category in ("bolt", "tray"):
        normal = 20 + rng.gamma(4.0, 0.5, size=40)
        write_scores(first, unit=category, scores={"normal": normal, "anomalous": [25.0, 26.5]})
    noise = rng.normal(scale=1.5, size=200)
    second = changed(first, place / "two", lambda row, n: row | {"score": row["score"] + noise[n]})
    return [first, second]


@pytest.fixture(scope="module")
def page(pair: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return show_errors(pair, output=tmp_path_factory.mktemp("out") / "page", open_source=open_source)


def lines_of(page: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((page / "tables" / f"{name}.csv").open()))


def rows_of(run: Path, category: str):
    return [row for row in read_predictions(run / "predictions.parquet") if row["category"] == category]


def test_the_page_is_one_file_that_fetches_nothing_and_shows_no_secret(page, pair):
    text = (page / "errors.html").read_text()
    for title in ("By type of defect", "By size of the defect", "where all fail", "Rules for the threshold"):
        assert title in text
    assert not re.search(r'(src|href)="https?:|@import|hunter2', text)
    assert f"errors=[{pair[0]},{pair[1]}]" in text
    assert len(text) < 3_000_000


def test_every_wrong_decision_is_listed_once_the_clearest_first(page, pair):
    lines = lines_of(page, "mistakes")
    for name, run in zip("AB", pair, strict=True):
        rows = read_predictions(run / "predictions.parquet")
        wrong = {row["path"] for row in rows if row["decision"] != bool(row["label"])}
        own = [line for line in lines if line["run"] == name]
        assert sorted(line["image"] for line in own) == sorted(wrong)
        depths = [
            float(each["score"]) - float(each["threshold"]) for each in own if each["category"] == "tray"
        ]
        missed = [depth for depth in depths if depth <= 0]
        assert len(missed) > 2
        assert missed == sorted(missed)
        assert missed[-1] <= 0


def test_distances_are_in_standard_deviations_of_the_validation_normals(pair):
    run = read_compared_run("A", pair[0])
    found = deviations_above_threshold(run, "bolt")
    for key, excess in found.items():
        row = run.images[key]
        assert excess == pytest.approx((row["score"] - row["threshold"]) / 1.25)


def test_types_are_counted_and_a_type_that_is_missed_more_often_is_said(pair, tmp_path):
    def hides(row, number):
        return row | {"score": 0.0 if row["defect"] == "hole" else row["score"]}

    run = read_compared_run("A", changed(pair[0], tmp_path / "hides", hides))
    section, findings = analyse_types([run])
    assert any("Run A misses hole in bolt more often" in text for text in findings)
    assert analyse_types([read_compared_run("A", pair[0])])[1] == []  # there some are worse, by chance
    (numbers,) = [block for block in section.blocks if isinstance(block, TableBlock)]
    rows = rows_of(tmp_path / "hides", "bolt")
    raw = [dict(zip((c.key for c in numbers.raw.columns), row, strict=True)) for row in numbers.raw.rows]
    for line in (each for each in raw if each["category"] == "bolt"):
        own = [row["decision"] for row in rows if row["defect"] == line["type"]]
        pair_of = ("fp", "tn") if line["type"] == "good" else ("tp", "fn")
        assert tuple(line[key] for key in pair_of) == (sum(own), len(own) - sum(own))
        rest = [row["decision"] for row in rows if row["label"] and row["defect"] != line["type"]]
        if line["type"] != "good":
            table = [[sum(own), len(own) - sum(own)], [sum(rest), len(rest) - sum(rest)]]
            assert line["p"] == pytest.approx(stats.fisher_exact(table).pvalue)


def test_small_defects_that_are_missed_are_said_and_chance_is_not(page, pair, tmp_path):
    text = (page / "errors.html").read_text()
    assert re.search(r"In bolt run A finds small defects .* less often than large ones", text)
    rng = np.random.default_rng(0)

    def random_size(row, number):
        return row | ({"defect_area": rng.random(), "defect_border": rng.random()} if row["label"] else {})

    chance = changed(pair[0], tmp_path / "chance", random_size)
    quiet = show_errors([chance], output=tmp_path / "quiet", open_source=open_source)
    assert "less often than large ones" not in (quiet / "errors.html").read_text()


def test_bins_are_of_equal_size_and_hold_what_the_ledger_says(page, pair):
    lines = [each for each in lines_of(page, "by_defect_area") if each["category"] == "tray"]
    rows = [row for row in rows_of(pair[1], "tray") if row["label"]]
    rows.sort(key=lambda row: row["defect_area"])
    own = [each for each in lines if each["run"] == "B"]
    assert [int(each["images"]) for each in own] == [14, 14, 14]
    assert [int(each["found"]) for each in own] == [
        sum(row["decision"] for row in rows[start : start + 14]) for start in (0, 14, 28)
    ]


@pytest.mark.slow
def test_sizes_that_only_one_run_knows_serve_both(pair, tmp_path):
    old = changed(
        pair[1], tmp_path / "old", lambda row, n: row | {"defect_area": None, "defect_border": None}
    )
    shown = show_errors([old, pair[0]], output=tmp_path / "out", open_source=open_source)
    lines = lines_of(shown, "by_defect_area")
    assert {line["run"] for line in lines} == {"A", "B"}
    alone = show_errors([old], output=tmp_path / "alone", open_source=open_source)
    assert "No test image has an annotated defect in its predictions" in (alone / "errors.html").read_text()


def test_agreement_is_counted_and_the_images_that_all_misclassify_are_those(page, pair):
    runs = [read_compared_run(name, path) for name, path in zip("AB", pair, strict=True)]
    for line in lines_of(page, "agreement"):
        wrong = [
            {row["path"] for row in rows_of(run, line["category"]) if row["decision"] != bool(row["label"])}
            for run in pair
        ]
        assert int(line["none"]) == len(wrong[0] & wrong[1]) > 0
        assert int(line["first"]) == len(wrong[1] - wrong[0])
        assert int(line["last"]) == len(wrong[0] - wrong[1])
        assert {key[1] for key in wrong_in_all_runs(runs, line["category"])} == wrong[0] & wrong[1]


def test_rules_are_fitted_on_validation_alone(pair, tmp_path):
    """Other test labels change what a rule is worth, never where it cuts; the oracle alone looks."""
    scores = read_scores(pair[0], category="tray")

    def at_the_limit(row, number):
        return row | {"score": scores.normal.max() if number % 9 == 0 else row["score"]}

    tied = changed(pair[0], tmp_path / "tied", at_the_limit)
    run = read_compared_run("A", tied)
    turned = changed(tied, tmp_path / "turned", lambda row, number: row | {"label": int(number % 3 == 0)})
    other = read_compared_run("A", turned)
    first, second = (apply_rules(each, "tray", scores) for each in (run, other))
    cuts = [{each.rule: each.threshold for each in found} for found in (first, second)]
    assert cuts[0].pop(ORACLE) != cuts[1].pop(ORACLE)
    assert cuts[0] == cuts[1]
    rows = rows_of(tied, "tray")
    for each in first:
        cut = each.threshold if each.threshold is not None else -np.inf
        said = [row["score"] > cut for row in rows]
        assert each.measures["f1"][0] == pytest.approx(f1_score([row["label"] for row in rows], said))
        best = next(other for other in first if other.rule == ORACLE)
        assert each.measures["f1"][0] <= best.measures["f1"][0]
    assert {OWN_RULE, ALL_ANOMALOUS, "best F1", "quantile 0.995"} <= cuts[0].keys()
    assert cuts[0]["quantile 0.995"] == scores.normal.max()


def test_without_validation_scores_the_page_says_what_is_missing(tmp_path):
    run = read_compared_run("A", write_run(tmp_path / "run", categories=("bolt",), pictures=0))
    section, findings = analyse_threshold_rules([run])
    assert any("Without validation scores: A" in block for block in section.blocks if isinstance(block, str))
    assert findings == []


def test_more_false_alarms_than_validation_promises_are_said(pair, tmp_path):
    def louder(row, number):
        return row | {"score": row["score"] + (2.5 if row["label"] == 0 else 0.0)}

    run = changed(pair[0], tmp_path / "loud", louder)
    found = analyse_threshold_rules([read_compared_run("A", run)])[1]
    assert any("Run A has more false alarms on bolt" in text for text in found)
    calm = analyse_threshold_rules([read_compared_run("A", pair[0])])[1]
    assert not any("has more false alarms" in text for text in calm)


def test_pictures_come_from_the_run_or_the_disk_and_a_missing_dataset_stops_nothing(page, pair):
    sections = error_sections([read_compared_run("first", pair[0])], open_source=open_source)
    sheets = [block for section in sections for block in section.blocks if isinstance(block, Pictures)]
    assert sheets
    for sheet in sheets:
        for _, pictures in sheet.rows:
            assert len(pictures) == len(sheet.columns)
            assert all(picture.content[:3] in (b"", b"\xff\xd8\xff") for picture in pictures)
    assert any(picture.content for sheet in sheets for _, pictures in sheet.rows for picture in pictures)
    assert "not where the run found them" in (page / "errors.html").read_text()


def test_tiles_are_taken_as_they_are_and_a_panel_of_an_older_run_stands_for_its_heatmap(pair, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(pair[0], run)
    entry = json.loads((run / "heatmaps/index.json").read_text())[0]
    images = read_compared_run("A", run).images
    key = next(key for key in images if images[key]["path"] == entry["path"])
    kept = [(run / file).read_bytes() for file in entry["tiles"].values()]
    assert list(Thumbnails(open_source).tiles(read_compared_run("A", run), key)) == kept
    panel = {"file": entry["tiles"]["annotation"], **entry}
    del panel["tiles"]
    write_json(run / "heatmaps/index.json", [panel])
    album = Thumbnails(open_source)
    assert album.tiles(read_compared_run("A", run), key)[2] == kept[1]
    assert album.missing == {key}  # neither image nor annotation are to be had from the disk


def test_many_mistakes_are_cut_short_and_the_page_says_by_how_many(pair, tmp_path):
    def wrong(row, number):
        return row | {"score": 0.0 if row["label"] else row["score"]}

    shown = show_errors(
        [changed(pair[0], tmp_path / "bad", wrong)], output=tmp_path / "out", open_source=open_source
    )
    text = (shown / "errors.html").read_text()
    assert re.search(r"12 of each kind are shown, \d+ are left out", text)
    assert "42 missed, the clearest first, 34 more are left out" in text
    assert len([line for line in lines_of(shown, "mistakes") if line["mistake"] == "missed"]) == 84


def test_probabilities_are_shown_where_a_run_has_them(pair, tmp_path):
    rich = show_errors([write_rich_run(tmp_path / "rich")], output=tmp_path / "out", open_source=open_source)
    (line,) = [each for each in lines_of(rich, "probabilities") if each["category"] == "tray"]
    rows = rows_of(tmp_path / "rich", "tray")
    assert float(line["brier"]) == pytest.approx(
        np.mean([(row["probability"] - row["label"]) ** 2 for row in rows])
    )
    assert (rich / "figures" / "reliability_tray.svg").exists()
    zones = [each for each in lines_of(rich, "threshold_rules") if each["rule"] == "zone thresholds"]
    assert len(zones) == 2


def test_what_has_no_decisions_or_other_images_or_is_named_twice_is_refused(pair, tmp_path):
    shutil.copytree(pair[0], tmp_path / "open")
    rows = read_predictions(pair[0] / "predictions.parquet")
    write_predictions(tmp_path / "open" / "predictions.parquet", [row | {"decision": None} for row in rows])
    with pytest.raises(AdframeError, match="no decisions"):
        show_errors([tmp_path / "open"], output=None, open_source=open_source)
    write_predictions(tmp_path / "open" / "predictions.parquet", rows[1:])
    with pytest.raises(AdframeError, match="different images"):
        show_errors([pair[0], tmp_path / "open"], output=None, open_source=open_source)
    with pytest.raises(AdframeError, match="twice"):
        show_errors([pair[0], pair[0]], output=None, open_source=open_source)


@pytest.mark.slow
def test_pictures_of_one_part_make_no_finding_and_equal_names_in_categories_are_no_part(pair, tmp_path):
    def named(row, number):
        return row | {"group": Path(row["path"]).name}

    def together(row, number):
        return row | {"group": f"{row['label']}{number // 5}"}

    def hopeless(row, number):
        return row | {"score": 0.0 if row["label"] else 99.0}

    for place, (change, said) in enumerate(((named, True), (together, False))):
        first = changed(pair[0], tmp_path / f"a{place}", change)
        other = changed(first, tmp_path / f"b{place}", hopeless)
        page = show_errors([first, other], output=tmp_path / f"out{place}", open_source=open_source)
        text = (page / "errors.html").read_text()
        assert ("decides more images of bolt correctly" in text) == said
        assert ("no conclusion is drawn from it" in text) == (not said)


def test_names_of_files_tell_categories_apart():
    assert file_stem("by_type", "tray") == "by_type_tray"
    assert file_stem("a b") != file_stem("a-b")
    assert re.fullmatch(r"[A-Za-z0-9_]+", file_stem("schraube ä/1"))
