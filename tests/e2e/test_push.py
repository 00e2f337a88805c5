"""`adframe push` with a run: it is packed, and its card has the run's own numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import adframe
from adframe.cli.push import run_push
from adframe.export.run_results import run_results
from adframe.reporting.format import percent, span
from tests.e2e.scripts import train_here
from tests.sharing.hub_server import stand_in


def test_results_of_a_model_are_those_of_its_test(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    found = run_results(finished, unit="tray")
    [test] = found["tests"]
    assert (test["category"], test["domain"], found["dataset"]) == ("tray", "", "toy")
    assert test["normal"] > 0 < test["anomalous"]
    value, low, high = test["metrics"]["image/auroc"]
    assert value == metrics["test"]["tray"]["image/auroc"]
    assert [low, high] == metrics["intervals"]["test"]["tray"]["image/auroc"]
    json.dumps(found, allow_nan=False)


@pytest.mark.slow
def test_a_run_is_packed_and_its_card_has_its_numbers(
    base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train_here(*base, "model=pixel_mean", "category=tray", f"paths.run={tmp_path / 'run'}")
    metrics = json.loads((run / "metrics.json").read_text())
    with stand_in(monkeypatch, str(tmp_path / "home")) as hub:
        address = run_push(run, "plant/tray")
        files = hub.repositories["plant/tray"].commits[address.revision]
        detector = adframe.load(str(address))
    assert detector.threshold == adframe.load(run).threshold
    card = files["README.md"].decode()
    value = metrics["test"]["tray"]["image/auroc"]
    low, high = metrics["intervals"]["test"]["tray"]["image/auroc"]
    assert f"| Image AUROC | {percent(value)} | {span(low, high)} |" in card
    assert "Licence of the training images: no restriction" in card
    assert "0 decisions changed" in card
    assert json.loads(files["results.json"]) == run_results(run, unit="tray")
