"""One run in several processes has the numbers of one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from adframe.cli.processes import run_together, wanted_processes
from adframe.errors import AdframeError
from adframe.results.predictions import read_predictions
from adframe.runs.trainer import make_trainer
from tests.covering import further
from tests.e2e.scripts import ROOT, clean_environment, metrics_of
from tests.e2e.shared_runs import COMMON, METHODS, train_all

# By gradient: sums over images are taken in another order, which hard mining and small divisors enlarge.
MINING = ("dinomaly", "inp_former")
TRAINED = ("sit", "dinov2_lora", *MINING)
# Distances of rows that several processes search are merged, and may be rounded in another way.
ROUNDED = (*TRAINED, "disk")
FURTHER = ["composition", "dinomaly", "domains", "inp_former", "rad"]
OFTEN = [method for method in METHODS if method not in FURTHER]
ALL = [(method, 3) for method in OFTEN]
SHARED = further([*ALL, *((method, 2) for method in FURTHER)], often=ALL)
Layouts = dict[int, Path]


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Layouts:
    return trained(tmp_path_factory.mktemp("processes"), OFTEN, counts=(1, 3))


@pytest.fixture(scope="module")
def further_layouts(tmp_path_factory: pytest.TempPathFactory) -> Layouts:
    return trained(tmp_path_factory.mktemp("further"), FURTHER, counts=(1, 2))


def trained(folder: Path, methods: list[str], *, counts: tuple[int, ...]) -> Layouts:
    """The runs of the methods by each number of processes."""
    for count in counts:
        options = {"accelerator": "cpu", "devices": count}
        run_together(options, train_all, folder / str(count), folder / "toy", methods)
    return {count: folder / str(count) for count in counts}


@pytest.fixture
def of_method(request: pytest.FixtureRequest, method: str) -> Layouts:
    """The runs of the layouts that have a method."""
    name = "further_layouts" if method in FURTHER else "layouts"
    found: Layouts = request.getfixturevalue(name)
    return found


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """All numbers of nested mappings by their paths, without seconds."""
    if not isinstance(value, dict):
        return {} if "/seconds/" in f"{name}/" else {name: value}
    return {key: each for own, part in value.items() for key, each in flat(part, f"{name}/{own}").items()}


def files_of(run: Path) -> set[str]:
    return {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize(("method", "count"), SHARED)
def test_metrics_are_those_of_one_process(of_method: Layouts, method: str, count: int) -> None:
    alone, shared = of_method[1] / method, of_method[count] / method
    expected, found = flat(metrics_of(alone)), flat(metrics_of(shared))
    assert files_of(shared) == files_of(alone)
    if method not in ROUNDED:
        assert found == expected
        return
    assert found.keys() == expected.keys()
    numbers = {name: value for name, value in expected.items() if isinstance(value, float)}
    rel = 1e-3 if method in MINING else 1e-5
    assert {name: found[name] for name in numbers} == pytest.approx(numbers, rel=rel, abs=rel / 10)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "count"), SHARED)
def test_the_ledger_has_every_image_once_in_order(of_method: Layouts, method: str, count: int) -> None:
    expected, found = (read_predictions(of_method[n] / method / "predictions.parquet") for n in (1, count))
    assert [row["path"] for row in found] == [row["path"] for row in expected]
    tolerance = 1e-3 if method in MINING else 1e-5 if method in ROUNDED else 0.0
    assert [row["score"] for row in found] == pytest.approx(
        [row["score"] for row in expected], rel=tolerance, abs=tolerance
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", further(TRAINED, often=OFTEN))
def test_weights_are_those_of_one_process(of_method: Layouts, method: str) -> None:
    states = [
        torch.load(layout / method / "checkpoints" / "tray.ckpt", weights_only=True)["state"]
        for layout in of_method.values()
    ]
    assert states[0].keys() == states[1].keys()
    tensors = {name: value for name, value in states[0].items() if isinstance(value, torch.Tensor)}
    assert len(tensors) > 20
    for name, value in tensors.items():
        close = 2e-4 if method in MINING else 2e-5
        torch.testing.assert_close(states[1][name], value, rtol=1e-3, atol=close, msg=name)


@pytest.mark.slow
def test_torchrun_starts_the_processes(layouts: Layouts, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         str(ROOT / "train.py"), *COMMON, *METHODS["padim"], "trainer=ddp_cpu", "trainer.devices=auto",
         f"dataset.root={layouts[1].parent / 'toy'}", f"paths.run={run}"],
        cwd=tmp_path, env=clean_environment(tmp_path), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run folder:") == 1
    # Intervals are of fewer draws in the tests' own process.
    expected, found = (flat(metrics_of(each)) for each in (layouts[1] / "padim", run))
    measured = {name for name in expected if not name.startswith("/intervals/")}
    assert {name: found[name] for name in measured} == {name: expected[name] for name in measured}


def fail_in(rank: int) -> None:
    if int(os.environ["RANK"]) == rank:
        raise AdframeError("the disk is full")
    torch.distributed.barrier()


def end_in(rank: int) -> None:
    if int(os.environ["RANK"]) == rank:
        os._exit(9)
    torch.distributed.barrier()


@pytest.mark.slow
def test_the_error_of_another_process_is_told() -> None:
    with pytest.raises(AdframeError, match="process 1: the disk is full"):
        run_together({"accelerator": "cpu", "devices": 2}, fail_in, 1)
    assert not torch.distributed.is_initialized()
    assert "RANK" not in os.environ


@pytest.mark.slow
def test_a_process_that_was_killed_ends_the_run() -> None:
    with pytest.raises(AdframeError, match="process 1 has ended with exit code 9"):
        run_together({"accelerator": "cpu", "devices": 2}, end_in, 1)


def test_several_machines_need_a_launcher() -> None:
    with pytest.raises(AdframeError, match=r"trainer.num_nodes=2 needs .* torchrun"):
        run_together({"accelerator": "cpu", "devices": 2, "num_nodes": 2}, print)


def test_another_number_of_processes_than_torchrun_started_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "4",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "1",
    }
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(AdframeError, match=r"4 processes were started.*trainer.devices=1"):
        run_together({"accelerator": "cpu", "devices": 1}, print)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 1),
        ({"accelerator": "auto", "devices": 1}, 1),
        ({"accelerator": "cpu", "devices": "3"}, 3),
        ({"accelerator": "cpu", "devices": "auto"}, 1),
        ({"accelerator": "gpu", "devices": [1, 3]}, 2),
    ],
)
def test_the_number_of_processes_is_that_of_the_devices(options: dict[str, Any], count: int) -> None:
    assert wanted_processes(options) == count


@pytest.mark.parametrize("devices", [4, "auto"])
def test_without_other_processes_one_device_is_used(devices: Any) -> None:
    trainer = make_trainer({"accelerator": "cpu", "devices": devices, "num_nodes": 2}, [], None)
    assert (trainer.num_devices, trainer.num_nodes, trainer.world_size) == (1, 1, 1)
