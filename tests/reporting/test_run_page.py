import json
import re
import shutil
import subprocess

import pytest

from adframe.errors import AdframeError
from adframe.io.files import write_json
from adframe.reporting.run_category import _below_root
from adframe.reporting.run_facts import run_verdict
from adframe.reporting.run_page import best_and_worst, write_page
from adframe.reporting.tables import metrics_table
from adframe.results.predictions import read_predictions, write_predictions
from adframe.results.run_folder import RunFolder
from tests.fakes.pages import words_of
from tests.fakes.run_folder import LOCO, row, write_run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
    "--dump-dom",
]
EVIL = "<script>alert(1)</script>\"'&"


def rename(run, old, new):
    """Give a category another name in every file of the run."""
    for name in ("metrics.json", "heatmaps/index.json"):
        path = run / name
        path.write_text(path.read_text().replace(json.dumps(old), json.dumps(new)))


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome in the path")
@pytest.mark.parametrize("defects", [{"hole": "anomaly"}, LOCO])
def test_a_browser_shows_the_page_without_a_complaint(tmp_path, defects):
    page = write_page(write_run(tmp_path / "run", defects=defects))
    call = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, check=False)
    assert "CONSOLE" not in done.stderr
    assert '<button type="button" data-copies="command">Copy</button>' in done.stdout  # the script has run
    assert done.stdout.count("<svg") == 2


def test_nothing_is_fetched_from_elsewhere(tmp_path):
    text = write_page(write_run(tmp_path)).read_text()
    assert not re.search(r"https?://|url\((?!#)|@import", text)
    linked = re.findall(r"""(?:src|href)=["']([^"']*)""", text)
    assert all(link.startswith(("data:", "#")) for link in linked)
    assert "default-src 'none'" in text


def test_the_page_is_a_function_of_the_folder(tmp_path):
    run = write_run(tmp_path)
    assert write_page(run).read_bytes() == write_page(run).read_bytes()


def title_of(run):
    return re.search(r"<h1>(.*?)</h1>", write_page(run).read_text())[1]


def test_the_verdict_counts_decisions_and_names_the_weakest(tmp_path):
    run = write_run(tmp_path, categories=("bolt", "gasket", "tray"))
    rows = read_predictions(run / "predictions.parquet")
    found, alarms = (sum(each["decision"] for each in rows if each["label"] == label) for label in (1, 0))
    tray = sum(each["decision"] for each in rows if each["label"] == 1 and each["category"] == "tray")
    start = (
        f"PatchCore on 3 toy categories: found {found} of 126 defects, false alarms on {alarms} of 90 normal"
    )
    assert title_of(run).startswith(f"{start} images; mean image AUROC ")
    assert f"; weakest: tray, found {tray} of 42 defects, false alarms on " in run_verdict(
        RunFolder.read(run)
    )
    assert "hunter2" not in write_page(run).read_text()  # the logger's key


def test_the_verdict_on_one_category_counts_decisions_although_the_ranking_is_good(tmp_path):
    write_json(tmp_path / "metrics.json", {"test": {"bolt": {"image/auroc": 0.93}}})
    rows = [row(label=1, defect="hole", subset="anomaly", decision=n < 22) for n in range(40)]
    rows += [row(label=0, decision=n < 2) for n in range(40)]
    write_predictions(tmp_path / "predictions.parquet", rows)
    assert title_of(tmp_path) == (
        "The method on bolt: found 22 of 40 defects, false alarms on 2 of 40 normal images; image AUROC 93.0"
    )


def test_a_run_without_decisions_is_summarised_by_its_ranking(tmp_path):
    write_json(tmp_path / "metrics.json", {"test": {"bolt": {"image/auroc": 0.93}}})
    assert title_of(tmp_path) == "The method on bolt: image AUROC 93.0"


def test_categories_of_several_datasets_are_counted_without_a_datasets_name(tmp_path):
    run = write_run(tmp_path, categories=("bolt", "tray"))
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("name: toy", "name: several"))
    assert title_of(run).startswith("PatchCore on 2 categories: found ")


def test_hostile_names_are_harmless(tmp_path):
    run = write_run(tmp_path)
    rename(run, "bolt", EVIL)
    changes = [
        row(category=EVIL, defect=EVIL, path=EVIL, label=n % 2, score=n, condition=EVIL[n:]) for n in range(4)
    ]
    write_predictions(run / "predictions.parquet", changes)
    write_json(run / "environment.json", {"command": EVIL, "warnings": [EVIL], EVIL: EVIL, "dataset": EVIL})
    text = write_page(run).read_text()
    assert "<script>alert" not in text
    assert text.count("<script>") == 1
    assert not re.search(r"""="[^"]*<""", text)


def test_a_folder_with_metrics_alone_makes_a_page(tmp_path):
    write_json(tmp_path / "metrics.json", {"test": {"bolt": {"image/auroc": float("nan")}}})
    text = write_page(tmp_path).read_text()
    assert "there is no image AUROC without labels of both kinds" in text
    assert "nan" not in re.sub(r"<style>.*?</style>|<script>.*?</script>", "", text, flags=re.S).lower()


def test_an_unlabelled_set_makes_a_page(tmp_path):
    write_json(tmp_path / "metrics.json", {"test": {}, "val": {"can": {"calibration/n": 40}}})
    unlabelled = row(category="can", label=None, subset="unlabelled", decision=True)
    write_predictions(tmp_path / "predictions.parquet", [unlabelled, {**unlabelled, "score": float("nan")}])
    text = write_page(tmp_path).read_text()
    assert "2 unlabelled; 2 of the unlabelled called anomalous" in text
    assert "<td>2.4</td>" in text  # 1 / (40 + 1): the floor, where metrics.json has none
    assert "1 of 2 images have no finite score" in text


def test_validation_rows_are_not_test_rows(tmp_path):
    write_json(tmp_path / "metrics.json", {"test": {"bolt": {}}})
    write_predictions(tmp_path / "predictions.parquet", [row(split="val", category="never"), row()])
    text = write_page(tmp_path).read_text()
    assert "never" not in re.findall(r"<h2>(.*?)</h2>", text)
    assert "1 test image: 1 normal" in text


def test_missing_pictures_are_said(tmp_path):
    run = write_run(tmp_path)
    (run / "heatmaps/0/best_00_heatmap.jpg").unlink()
    assert write_page(run).read_text().count("No picture: ") == 1
    shutil.rmtree(run / "heatmaps")
    assert "<img" not in write_page(run).read_text()


def test_an_older_run_whose_pictures_are_one_file_is_shown(tmp_path):
    run = write_run(tmp_path)
    index = json.loads((run / "heatmaps/index.json").read_text())
    old = [{"file": each["tiles"]["image"], **each} for each in index]
    write_json(run / "heatmaps/index.json", [{k: v for k, v in each.items() if k != "tiles"} for each in old])
    text = write_page(run).read_text()
    assert text.count("<img") == len(index)
    assert "the image, the annotated defect, the heatmap." in text


def test_a_picture_outside_the_run_is_not_taken_in(tmp_path):
    run = write_run(tmp_path / "run")
    whole = write_page(run).read_text().count("<img")
    shutil.copy(run / "heatmaps/0/best_00_image.jpg", tmp_path / "private.jpg")
    index = json.loads((run / "heatmaps/index.json").read_text())
    index[0]["tiles"]["image"] = "heatmaps/../../private.jpg"
    write_json(run / "heatmaps/index.json", index)
    assert write_page(run).read_text().count("<img") == whole - 1


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("metrics.json", "{"),
        ("metrics.json", '{"test": [1]}'),
        ("metrics.json", '{"test": {}, "defects": {"test": [1]}}'),
        ("metrics.json", '{"test": {}, "defects": {"test": {"bolt": {"hole": 1}}}}'),
        ("metrics.json", '{"test": {}, "intervals": {"test": {"bolt": {"image/auroc": 1}}}}'),
        ("heatmaps/index.json", '[{"file": 1}]'),
        ("config.yaml", "a: ["),
    ],
)
def test_a_broken_file_is_named_and_the_older_page_stays(tmp_path, file, content):
    run = write_run(tmp_path)
    before = write_page(run).read_text()
    (run / file).write_text(content)
    with pytest.raises(AdframeError, match=re.escape(file)):
        write_page(run)
    assert (run / "report.html").read_text() == before


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(AdframeError, match=r"metrics\.json"):
        write_page(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_best_and_worst_are_marked_from_three_categories_on():
    two = {"a": {"image/auroc": 0.1}, "b": {"image/auroc": 0.2}, "mean": {"image/auroc": 0.15}}
    assert best_and_worst(metrics_table(two)) == {}
    assert best_and_worst(metrics_table({**two, "c": {"image/auroc": 0.3}})) == {
        (0, 1): "worst",
        (2, 1): "best",
    }


def test_the_interval_of_the_mean_is_explained_only_where_there_is_a_mean(tmp_path, monkeypatch):
    monkeypatch.setattr(RunFolder, "intervals", {"mean": {"image/auroc": (0.5, 0.75)}})
    one, two = (
        write_page(write_run(tmp_path / str(len(names)), categories=names)).read_text()
        for names in (("bolt",), ("bolt", "tray"))
    )
    sentence = "The interval of the mean treats the categories as fixed."
    assert sentence not in one
    assert sentence in two


def test_a_picture_has_its_path_below_the_root_of_the_dataset(tmp_path):
    run = RunFolder(tmp_path)
    run.config = {"dataset": {"root": "/data/own"}}
    assert _below_root(run, "/data/own/bolt/test/hole/1.png") == "bolt/test/hole/1.png"
    assert _below_root(run, "/elsewhere/1.png") == "/elsewhere/1.png"


def test_an_image_without_an_annotation_has_no_picture_of_one(tmp_path):
    run = write_run(tmp_path, categories=("bolt",))
    assert write_page(run).read_text().count(": the annotated defect.") > 0  # an older file does not tell
    rows = read_predictions(run / "predictions.parquet")
    entries = RunFolder.read(run).gallery
    (kept, *_) = [each.path for each in entries if each.label == 1]
    known = [each | {"defect_area": 0.1 if each["path"] == kept else None} for each in rows]
    write_predictions(run / "predictions.parquet", known)
    text = write_page(run).read_text()
    assert text.count(": the annotated defect.") == sum(each.path == kept for each in entries)
    assert "the annotated defect outlined in green" in words_of(run / "report.html")


def test_where_nothing_is_annotated_the_page_does_not_speak_of_it(tmp_path):
    run = write_run(tmp_path, categories=("bolt",))
    metrics = json.loads((run / "metrics.json").read_text())
    for numbers in metrics["test"].values():
        numbers |= {key: None for key in numbers if key.startswith("pixel/")}
    write_json(run / "metrics.json", metrics)
    text = words_of(write_page(run))
    assert ": the heatmap." in text
    assert "annotated defect outlined" not in text
    assert ": the annotated defect." not in text
    assert "From left to right: the image and the heatmap." in text


def test_the_size_of_a_model_is_said_in_words(tmp_path):
    run = write_run(tmp_path, categories=("bolt",))
    metrics = json.loads((run / "metrics.json").read_text())
    facts = {"rows": 1228, "width": 384, "bytes": 1.9e6, "seen": 12_288, "thinnings": 0}
    metrics["val"]["bolt"] |= {f"model/{key}": value for key, value in facts.items()}
    write_json(run / "metrics.json", metrics)
    assert "1.9 MB, 1,228 patches of 384 numbers, chosen from 12,288<" in write_page(run).read_text()
    metrics["val"]["bolt"] |= {"model/thinnings": 2, "model/seen": 1000}
    write_json(run / "metrics.json", metrics)
    shown = "1.9 MB, 1,228 patches of 384 numbers, a random part of these dropped 2 times<"
    assert shown in write_page(run).read_text()
