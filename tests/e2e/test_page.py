"""`adframe page` on runs as they are: a fresh one, and those of an earlier release."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adframe.cli.app import app
from adframe.reporting.format import percent, span
from adframe.reporting.one_page import one_page
from adframe.results.run_folder import RunFolder
from tests.e2e.scripts import metrics_of
from tests.golden.replay import RUNS, Case, unpack


def test_every_share_is_the_metric_of_the_run(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    page = one_page(RunFolder.read(run))
    metrics = metrics_of(run)
    assert len(page.rows) == 2
    for name, _, recall, _, fpr in page.rows:
        for text, key in ((recall, "image/recall"), (fpr, "image/fpr")):
            ends = metrics["intervals"]["test"][name][key]
            assert text == f"{percent(metrics['test'][name][key])} ({span(*ends)})"
        alone = one_page(RunFolder.read(run), category=name)
        assert (alone.counts[0].share, alone.counts[2].share) == (recall, fpr)
    assert "14 test images (8 with a defect, 6 without)" in page.inspected
    assert "10 normal training images, threshold set on 2 normal validation images" in page.inspected
    assert "Model: PatchCore with the features of test_resnet" in page.inspected
    assert sum(len(shots) for _, shots in page.groups) == 6


def test_the_command_writes_one_page(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(run / "checkpoints")  # no model is needed
    result = CliRunner().invoke(app, ["page", str(run), "--pictures", str(tmp_path / "pictures")])
    assert result.exit_code == 0, result.output
    assert len(re.findall(rb"/Type /Page\b", (run / "summary.pdf").read_bytes())) == 1
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 14


@pytest.mark.parametrize("name", RUNS)
def test_runs_of_an_earlier_release_have_a_page(name: str, tmp_path: Path) -> None:
    unpack(tmp_path, Case("", (name,), ()))
    page = one_page(RunFolder.read(tmp_path / name))
    found = re.search(r"found (\d+) of (\d+) defects", page.title)
    assert found is not None
    assert [str(page.counts[0].number), page.counts[0].whole] == [found[1], f"of {found[2]} defects"]
    assert "There are no pictures in the folder of this run" in page.remark
