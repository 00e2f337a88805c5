"""Where a run is followed; the offline file of Weights & Biases is read back record by record."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from wandb.proto.wandb_internal_pb2 import Record

from adframe.runs import loggers
from tests.e2e.scripts import Outcome, call, metrics_of, spawn

BLOCK, WHOLE, LAST = 32768, 1, 4  # LevelDB's log format, in which wandb keeps its records
KEY = "0123456789" * 4


def records(file: Path) -> Iterator[Record]:
    """The records of a `.wandb` file: a header of 7 bytes, then chunks (checksum, size, kind) in blocks."""
    data, place, content = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if BLOCK - place % BLOCK < 7:  # too little room for another chunk's head
            place += BLOCK - place % BLOCK
            continue
        _, size, kind = struct.unpack("<IHB", data[place : place + 7])
        content += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (WHOLE, LAST):
            record = Record()
            record.ParseFromString(content)
            yield record
            content = b""


def items(parts: Any) -> dict[str, Any]:
    return {"/".join(part.nested_key) or part.key: json.loads(part.value_json) for part in parts}


@pytest.fixture(scope="module")
def offline(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    """A run of a user who has no account, in a process of its own."""
    place = tmp_path_factory.mktemp("offline")
    outcome = spawn("train", *base, "category=weave", "logger=wandb", "paths.run=run", cwd=place)
    return outcome, place / "run"


@pytest.fixture(scope="module")
def logged(offline: tuple[Outcome, Path]) -> list[Record]:
    (file,) = offline[1].glob("wandb/offline-run-*/run-*.wandb")
    return list(records(file))


@pytest.fixture(scope="module")
def history(logged: list[Record]) -> dict[str, Any]:
    rows = [items(record.history.item) for record in logged if record.HasField("history")]
    return {name: value for row in rows for name, value in row.items()}


@pytest.fixture(scope="module")
def summary(logged: list[Record]) -> dict[str, Any]:
    rows = [items(record.summary.update) for record in logged if record.HasField("summary")]
    return {name: value for row in rows for name, value in row.items()}


@pytest.mark.slow
def test_without_an_account_wandb_logs_offline_and_says_nothing(offline: tuple[Outcome, Path]) -> None:
    assert offline[0].code == 0
    assert offline[0].err == ""
    assert "wandb" not in offline[0].out


@pytest.mark.slow
def test_the_offline_file_holds_the_configuration(logged: list[Record]) -> None:
    (run,) = [record.run for record in logged if record.HasField("run")]
    config = items(run.config.update)
    assert (config["seed"], config["coreset"]) == (42, 0.1)
    assert config["backbone"]["model"] == "test_resnet"
    assert (config["method"], config["dataset_name"]) == ("PatchCore", "toy")


@pytest.mark.slow
def test_the_run_has_a_name_tags_a_job_type_and_a_kept_id(
    logged: list[Record], offline: tuple[Outcome, Path]
) -> None:
    (run,) = [record.run for record in logged if record.HasField("run")]
    assert run.display_name.startswith("PatchCore toy weave")
    assert (list(run.tags), run.job_type) == (["PatchCore", "toy", "timm"], "train")
    assert (offline[1] / "wandb" / "run_id.txt").read_text().strip() == run.run_id


@pytest.mark.slow
def test_the_summary_holds_every_metric_and_no_chart_has_one_point(
    summary: dict[str, Any], history: dict[str, Any], offline: tuple[Outcome, Path]
) -> None:
    for category, row in metrics_of(offline[1])["test"].items():
        for name, value in row.items():
            assert summary[f"test/{category}/{name}"] == pytest.approx(value, abs=1e-12)
            assert f"test/{category}/{name}" not in history


@pytest.mark.slow
def test_the_summary_holds_the_headline_of_the_report(logged: list[Record]) -> None:
    summary = [items(record.summary.update) for record in logged if record.HasField("summary")]
    (headline,) = {each["headline"] for each in summary if "headline" in each}
    assert re.fullmatch(
        r"PatchCore on weave .*: found \d of \d defects, false alarms on .* image AUROC .*", headline
    )


@pytest.mark.slow
def test_the_summary_holds_what_the_run_cost(summary: dict[str, Any]) -> None:
    assert summary["cost/wall_seconds"] > 0
    assert summary["cost/peak_memory_bytes"] > 100e6
    assert summary["val/weave/model/rows"] >= 1
    assert summary["val/weave/model/bytes"] > summary["val/weave/model/rows"]


@pytest.mark.slow
def test_the_offline_file_holds_curves_and_the_score_histogram(history: dict[str, Any]) -> None:
    for name in ("curves/weave/roc_table", "curves/weave/pr_table", "scores/weave/histogram_table"):
        assert history[f"{name}/_type"] == "table-file"
    assert history["scores/weave/histogram_table/nrows"] == 7


@pytest.mark.slow
def test_the_offline_file_holds_heatmaps_and_the_metrics_table(
    history: dict[str, Any], offline: tuple[Outcome, Path]
) -> None:
    assert history["metrics/_type"] == "table-file"
    assert history["metrics/nrows"] == 2
    (files,) = offline[1].glob("wandb/offline-run-*/files")
    shown = [file for name in history if name.endswith("/filenames") for file in history[name]]
    assert shown
    assert all((files / file).stat().st_size > 0 for file in shown)


def test_disabled_writes_nothing(base: list[str], tmp_path: Path) -> None:
    arguments = ("category=weave", "logger=wandb", "logger.mode=disabled", f"paths.run={tmp_path / 'run'}")
    outcome = call("train", *base, *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert not (tmp_path / "run" / "wandb").exists()


def test_csv_writes_one_row_of_all_metrics(base: list[str], tmp_path: Path) -> None:
    outcome = call("train", *base, "category=weave", "logger=csv", f"paths.run={tmp_path / 'run'}")
    assert (outcome.code, outcome.err) == (0, "")
    with (tmp_path / "run" / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    value = metrics_of(tmp_path / "run")["test"]["weave"]["image/auroc"]
    assert float(row["test/weave/image/auroc"]) == value


def test_several_loggers_by_a_list(base: list[str], tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tracking = pytest.importorskip("mlflow.tracking")
    run = tmp_path / "run"
    outcome = call("train", *base, "category=weave", "logger=[tensorboard,mlflow,csv]", f"paths.run={run}")
    assert (outcome.code, outcome.err) == (0, "")
    value = metrics_of(run)["test"]["weave"]["image/auroc"]
    client = tracking.MlflowClient((run / "mlruns").as_uri())
    found = client.get_run((run / "mlruns" / "run_id.txt").read_text().strip())
    assert found.data.metrics["test/weave/image/auroc"] == value
    assert found.data.params["backbone.model"] == "test_resnet"
    assert found.info.status == "FINISHED"
    pictures = sorted(path.name for path in (run / "heatmaps" / "weave").rglob("*.*"))
    assert pictures
    assert {item.path for item in client.list_artifacts(found.info.run_id)} >= {"report.html", "heatmaps"}
    kinds = client.list_artifacts(found.info.run_id, "heatmaps/weave")
    logged = [item.path for kind in kinds for item in client.list_artifacts(found.info.run_id, kind.path)]
    assert sorted(Path(path).name for path in logged) == pictures
    scalars: dict[str, float] = {}
    images: list[str] = []
    for file in run.glob("tensorboard/events*"):
        events = event_accumulator.EventAccumulator(str(file)).Reload()
        scalars |= {tag: events.Scalars(tag)[-1].value for tag in events.Tags()["scalars"]}
        images += events.Tags()["images"]
    assert scalars["test/weave/image/auroc"] == pytest.approx(value, rel=1e-6)
    assert sorted(tag.rpartition("/")[2] for tag in images) == [Path(name).stem for name in pictures]
    assert (run / "metrics.csv").is_file()


def test_an_evaluation_is_a_run_of_its_own(finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    outcome = call(
        "evaluate", f"run={run}", "category=tray", "shift=mild", "logger=[wandb,csv]", "logger.mode=offline"
    )
    assert (outcome.code, outcome.err) == (0, "")
    (folder,) = (run / "evaluations").iterdir()
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    logged = list(records(file))
    (started,) = [record.run for record in logged if record.HasField("run")]
    assert (started.job_type, started.display_name) == ("evaluate", "PatchCore toy tray shift=mild")
    assert "mild" in started.tags
    found = [items(record.summary.update) for record in logged if record.HasField("summary")]
    value = metrics_of(folder)["test"]["tray"]["image/auroc"]
    assert {name: v for each in found for name, v in each.items()}["test/tray/image/auroc"] == value
    with (folder / "metrics.csv").open() as lines:
        (row,) = csv.DictReader(lines)
    assert float(row["test/tray/image/auroc"]) == value


def test_an_evaluation_has_no_model_to_log(finished: Path) -> None:
    outcome = call("evaluate", f"run={finished}", "logger=csv", "+logger.artifact=bundle")
    assert outcome.code == 2
    assert "an evaluation makes none" in outcome.err
    assert not list((finished / "evaluations").glob("*"))


@pytest.mark.parametrize("kind", ["tensorboard", "mlflow"])
def test_a_logger_without_its_package_is_refused(
    kind: str, base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == kind else found(name))
    outcome = call("train", *base, "category=weave", f"logger={kind}", f"paths.runs={tmp_path / 'runs'}")
    message = f"error: logger={kind}: {kind} is missing; pip install 'adframe[{kind}]'\n"
    assert (outcome.code, outcome.err) == (2, message)
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_run_continues_the_run_of_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, Any]] = []

    def init(**given: Any) -> SimpleNamespace:
        started.append(given)
        return SimpleNamespace(id="abc", disabled=False)

    options: dict[str, Any] = dict.fromkeys(("project", "entity", "group"))
    options |= {"kind": "wandb", "mode": "online", "tags": []}
    monkeypatch.setattr(loggers.wandb, "init", init)
    monkeypatch.setattr(loggers, "_resolve_mode", lambda mode: mode)
    monkeypatch.setattr(loggers, "WandbLogger", SimpleNamespace)
    for _ in range(2):
        loggers._open_logger("wandb", options, run=tmp_path, config={}, job="train")
    assert [(each["id"], each["resume"]) for each in started] == [(None, None), ("abc", "allow")]


@pytest.mark.parametrize("mode", ["online", "shared"])
def test_without_an_account_the_modes_that_need_one_are_refused(
    mode: str, base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loggers.wandb, "login", lambda **_: False)
    arguments = ("category=weave", "logger=wandb", f"logger.mode={mode}", f"paths.runs={tmp_path / 'runs'}")
    outcome = call("train", *base, *arguments)
    assert outcome.code == 2
    assert outcome.err == (
        f"error: logger.mode={mode}: no account here; run `wandb login`, "
        "or logger.mode=offline needs no account\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("login", "answers", "mode"),
    [(False, True, "offline"), (True, False, "offline"), (True, True, "online")],
)
def test_auto_is_online_only_with_an_account_and_a_network(
    login: bool, answers: bool, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(loggers.wandb, "login", lambda **_: login)
    monkeypatch.setattr(loggers, "is_reachable", lambda _: answers)
    assert loggers._resolve_mode("auto") == mode


def test_a_server_that_cannot_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers.wandb, "login", lambda **_: True)
    monkeypatch.setattr(loggers, "is_reachable", lambda _: False)
    with pytest.raises(loggers.AdframeError, match=r"cannot be reached; logger\.mode=offline"):
        loggers._resolve_mode("online")


def test_a_run_that_fails_does_not_leave_its_tracker_to_the_next(base: list[str], tmp_path: Path) -> None:
    arguments = ("category=weave", "logger=wandb", "logger.mode=offline", f"paths.run={tmp_path / 'run'}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adframe.runs.train.write_page", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            call("train", *base, *arguments)
    assert loggers.wandb.run is None


@pytest.mark.parametrize(
    ("override", "meant"), [("logger.mode=ofline", "offline"), ("logger.kind=csw", "csv")]
)
def test_unknown_kinds_and_modes_are_refused(
    override: str, meant: str, base: list[str], tmp_path: Path
) -> None:
    outcome = call("train", *base, "category=weave", "logger=wandb", f"paths.runs={tmp_path}", override)
    assert outcome.code == 2
    assert f"did you mean '{meant}'?" in outcome.err
