"""Models as artifacts of Weights & Biases: offline, what was staged for the upload is read back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from wandb.proto.wandb_internal_pb2 import ArtifactRecord

import adframe
from adframe.export.manifest import bundle_reference
from tests.e2e.scripts import call, metrics_of
from tests.e2e.test_loggers import records


def staged(run: Path) -> list[ArtifactRecord]:
    (file,) = run.glob("wandb/offline-run-*/run-*.wandb")
    return [record.artifact for record in records(file) if record.HasField("artifact")]


def models(run: Path) -> list[ArtifactRecord]:
    return [artifact for artifact in staged(run) if artifact.type == "model"]


def downloaded(artifact: ArtifactRecord, to: Path) -> Path:
    """The files of an artifact as a download would have them."""
    for entry in artifact.manifest.contents:
        (to / entry.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(entry.local_path, to / entry.path)
    return to


def train(base: list[str], run: Path, *more: str) -> str:
    outcome = call(
        "train", *base, "model=pixel_mean", "logger=wandb", "logger.mode=offline", f"paths.run={run}", *more
    )
    assert outcome.code == 0, outcome.err
    return outcome.err


@pytest.fixture
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "staging"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "staging"


def test_checkpoints_are_logged_with_what_loads_them(base: list[str], tmp_path: Path, staging: Path) -> None:
    run = tmp_path / "run"
    train(base, run, "category=[weave,tray]", "logger.artifact=checkpoint", "logger.aliases=[latest,line-2]")
    found = models(run)
    assert [artifact.name for artifact in found] == ["PixelMean-toy-tray", "PixelMean-toy-weave"]
    assert sorted(found[0].aliases) == ["latest", "line-2"]
    metadata, metrics = json.loads(found[0].metadata), metrics_of(run)
    assert metadata["metrics"] == metrics["test"]["tray"]
    assert metadata["threshold"] == metrics["val"]["tray"]["calibration/threshold"]
    assert metadata["intervals"]["image/auroc"] == metrics["intervals"]["test"]["tray"]["image/auroc"]
    assert metadata["kind"] == "checkpoint"
    copy = downloaded(found[0], tmp_path / "copy")
    assert {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()} == {
        "config.yaml", "environment.json", "metrics.json", "predictions.parquet", "checkpoints/tray.ckpt",
        "validation/tray.json",
    }  # fmt: skip
    assert adframe.load(run, category="tray").threshold == metadata["threshold"]
    assert adframe.load(copy / "checkpoints" / "tray.ckpt").threshold == metadata["threshold"]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_bundles_are_logged_whole(base: list[str], tmp_path: Path, staging: Path) -> None:
    run = tmp_path / "run"
    train(base, run, "category=tray", "logger.artifact=bundle")
    [artifact] = models(run)
    assert (artifact.name, list(artifact.aliases)) == ("PixelMean-toy-tray", ["latest"])
    copy = downloaded(artifact, tmp_path / "copy")
    detector = adframe.load(copy)
    assert detector.threshold == json.loads(artifact.metadata)["threshold"]
    assert bundle_reference(copy).model == "tray"


def test_a_model_that_cannot_be_packed_costs_a_note_and_not_the_run(
    base: list[str], tmp_path: Path, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise adframe.AdframeError("it cannot be exported")

    monkeypatch.setattr("adframe.config.pack_run.pack_run", refuse)
    err = train(base, tmp_path / "run", "category=tray", "logger.artifact=bundle")
    assert err == "note: logger.artifact=bundle: tray is not logged: it cannot be exported\n"
    assert models(tmp_path / "run") == []
    assert metrics_of(tmp_path / "run")["test"]["tray"]


def test_no_model_is_logged_unasked(base: list[str], tmp_path: Path, staging: Path) -> None:
    train(base, tmp_path / "run", "category=tray")
    assert models(tmp_path / "run") == []


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("logger.artifact=bundel", "did you mean 'bundle'?"),
        ("logger.aliases=['a b']", "may have letters, digits and . _ - only"),
    ],
)
def test_impossible_options_are_refused_before_the_run(
    override: str, reason: str, base: list[str], tmp_path: Path
) -> None:
    arguments = ("category=tray", "logger=wandb", "logger.mode=offline", f"paths.runs={tmp_path / 'runs'}")
    outcome = call("train", *base, *arguments, override)
    assert outcome.code == 2
    assert reason in outcome.err
