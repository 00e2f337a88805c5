"""A sample comes back as it was written, and says where a broken one lies."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from adframe.errors import AdframeError
from adframe.results.patch_samples import TRAIN, read_patch_sample, read_patch_samples, write_patch_sample
from tests.fakes.patches import sample


def test_what_was_written_is_read(tmp_path: Path) -> None:
    wanted = sample("tray")
    assert write_patch_sample(tmp_path, wanted).name == "tray.patches.npz"
    found = read_patch_sample(tmp_path, category="tray")
    assert found is not None
    for one, other in zip(wanted.layers, found.layers, strict=True):
        for field in fields(one):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
    assert (found.paths, found.defects, found.tested) == (wanted.paths, wanted.defects, wanted.tested)
    assert len(found.layers[0].of(TRAIN)) == 40


def test_all_samples_of_a_run_by_category(tmp_path: Path) -> None:
    assert read_patch_samples(tmp_path) == {}
    for name in ("b", "a.patches"):
        write_patch_sample(tmp_path, sample(name))
    assert list(read_patch_samples(tmp_path)) == ["a.patches", "b"]
    assert read_patch_sample(tmp_path, category="c") is None


def test_a_file_that_is_cut_off_is_one_line(tmp_path: Path) -> None:
    path = write_patch_sample(tmp_path, sample("tray"))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(AdframeError, match=r"tray\.patches\.npz"):
        read_patch_sample(tmp_path, category="tray")
