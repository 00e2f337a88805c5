"""Validation scores that a run keeps."""

from __future__ import annotations

import numpy as np
import pytest

from adframe.errors import AdframeError
from adframe.results.validation_scores import copy_scores, read_scores, write_scores

SCORES = {"normal": [2.5, np.float32(0.1), 1.0], "anomalous": [7.0]}


def test_they_come_back_rising_and_in_full_and_a_copy_is_the_same(tmp_path):
    write_scores(tmp_path / "run", unit="a b", scores=SCORES)
    copy_scores(tmp_path / "run", to=tmp_path / "copy")
    for place in ("run", "copy"):
        kept = read_scores(tmp_path / place, category="a b")
        assert kept is not None
        assert kept.normal.tolist() == [float(np.float32(0.1)), 1.0, 2.5]
        assert kept.anomalous.tolist() == [7.0]


def test_one_model_for_all_serves_every_category_that_has_none_of_its_own(tmp_path):
    write_scores(tmp_path, unit="global", scores=SCORES)
    write_scores(tmp_path, unit="tray", scores={"normal": [5.0], "anomalous": []})
    assert read_scores(tmp_path, category="bolt").anomalous.tolist() == [7.0]
    assert read_scores(tmp_path, category="tray").normal.tolist() == [5.0]
    assert read_scores(tmp_path / "nowhere", category="tray") is None


def test_scores_of_each_part_come_back_in_order(tmp_path):
    parts = {"bolt": [[2.5, 0.5], [1.0]]}
    write_scores(tmp_path, unit="bolt", scores=SCORES, parts=parts)
    kept = read_scores(tmp_path, category="bolt")
    assert [each.tolist() for each in kept.parts["bolt"]] == parts["bolt"]
    write_scores(tmp_path, unit="bolt", scores=SCORES)  # as earlier versions did
    assert read_scores(tmp_path, category="bolt").parts == {}


@pytest.mark.parametrize("refitted", [False, True])
def test_whether_they_joined_the_model_comes_back(tmp_path, refitted):
    write_scores(tmp_path, unit="bolt", scores=SCORES, refitted=refitted)
    assert read_scores(tmp_path, category="bolt").joined_the_model({}) is refitted


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"refit": True, "learning": None}, True),
        ({"refit": False}, False),
        ({"refit": True, "shots": 2}, False),
        ({"refit": True, "learning": {"epochs": 3}}, False),
    ],
)
def test_the_configuration_tells_it_for_files_of_earlier_versions(tmp_path, config, expected):
    file = tmp_path / "validation" / "bolt.json"
    file.parent.mkdir()
    file.write_text('{"normal": [1.0], "anomalous": []}')
    assert read_scores(tmp_path, category="bolt").joined_the_model(config) is expected


@pytest.mark.parametrize(
    "text",
    [
        '{"normal": [1], "anomalous": [], "parts": {"a": [[]]}}',
        "{",
        "[]",
        '{"normal": [], "anomalous": []}',
        '{"normal": [null]}',
    ],
)
def test_what_cannot_be_understood_names_the_file(tmp_path, text):
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation" / "tray.json").write_text(text)
    with pytest.raises(AdframeError, match=r"tray\.json"):
        read_scores(tmp_path, category="tray")
