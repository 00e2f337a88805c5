import re
import sys
from collections import Counter

import pytest

from adframe.cli.explore import explore
from adframe.cli.main import guard
from adframe.errors import AdframeError
from adframe.reporting.dataset_stats import kind_of_record
from adframe.reporting.format import counted
from tests.e2e.scripts import composed
from tests.fakes.pages import words_of
from tests.fakes.sources import source


def configured(toy, tmp_path, *overrides):
    where = (f"dataset={toy.name}", f"dataset.root={toy.root}", f"paths.runs={tmp_path}")
    return composed("explore", *where, "sample=2", "examples=1", *overrides)


@pytest.mark.parametrize("layout", ["ad", "loco", "ad2"])
def test_the_table_counts_what_the_scanner_finds(layout, request, tmp_path, capsys):
    toy = request.getfixturevalue(f"toy_{layout}")
    page = explore(configured(toy, tmp_path, "category=tray"))
    assert page == tmp_path / "explore" / f"{toy.name}.html"
    text, records = page.read_text(), source(toy.root, toy.name).scan("tray")
    for kind, count in Counter(map(kind_of_record, records)).items():
        assert f"{kind.replace('_', '_<wbr>')} <small>{counted(count, 'image')}</small></p>" in text
        assert f", {kind}, " in text  # in an example's alternative text
    printed = capsys.readouterr().out
    assert f" {len(records)} " in printed
    assert str(page) in printed.replace("\n", "")


def test_all_categories_are_summed_up(toy_ad, tmp_path, capsys):
    explore(configured(toy_ad, tmp_path))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["all", "12", "6", "12", "30"] in [line[:5] for line in lines]


def test_the_chosen_shift_stands_alone_and_no_shift_shows_the_presets(toy_ad, tmp_path):
    presets = explore(configured(toy_ad, tmp_path, "category=tray")).read_text()
    assert all(re.search(f"<th [^>]*>{name}</th>", presets) for name in ("mild", "moderate", "severe"))
    chosen = explore(configured(toy_ad, tmp_path, "category=tray", "shift=rotation")).read_text()
    assert re.search("<th [^>]*>rotation</th>", chosen)
    assert not re.search("<th [^>]*>mild</th>", chosen)


def test_synthetic_anomalies_are_shown_where_they_are_asked_for(toy_ad, tmp_path):
    plain = words_of(explore(configured(toy_ad, tmp_path, "category=tray")))
    assert "Synthetic anomalies" not in plain
    assert "<dt>synthetic anomalies</dt>" not in plain
    chosen = ("synthesis=default", "~synthesis.families.nsa", "examples=2", "image_size=48")
    text = words_of(explore(configured(toy_ad, tmp_path, "category=tray", *chosen)))
    assert text.count(": with a synthetic anomaly (") == 2 * 6
    assert "anomaly (nsa)" not in text
    assert text.count("held out, for validation only") == 1
    assert "<dt>synthetic anomalies</dt><dd>default</dd>" in text


def test_images_without_labels_are_explored(toy_ad, tmp_path):
    images = toy_ad.root / "tray"
    given = ("dataset=folder", f"dataset.root={images}", "dataset.normal=train/good")
    cfg = composed("explore", *given, "dataset.unlabelled=test", f"output={tmp_path / 'p.html'}", "sample=2")
    assert "9 unlabelled" in explore(cfg).read_text()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("examples=0", "examples=0"),
        ("output=page.pdf", ".html"),
        ("image_size=8", "image_size=8"),
        ("+foo=1", "'foo'"),
        ("~seed", "seed"),
    ],
)
def test_impossible_values_are_refused(override, said, toy_ad, tmp_path):
    with pytest.raises(AdframeError, match=said):
        explore(configured(toy_ad, tmp_path, override))


def test_a_missing_dataset_is_one_line(tmp_path, monkeypatch, capsys):
    cfg = composed(
        "explore", "dataset=mvtec_ad", f"dataset.root={tmp_path / 'absent'}", f"paths.runs={tmp_path}"
    )
    monkeypatch.setattr(sys, "argv", ["explore.py"])
    with pytest.raises(SystemExit) as left:
        guard(lambda: explore(cfg))
    assert left.value.code == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert "dataset.root=" in said
    assert "\n" not in said
    assert not list(tmp_path.iterdir())
