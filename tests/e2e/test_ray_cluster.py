"""A cluster of Ray with two nodes on this machine: one fit on both, and a sweep of which one node dies."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.scripts import SMALL, clean_environment, command, metrics_of, train_here
from tests.e2e.test_processes import flat

# Ray must not be imported while pytest collects: it would keep a stream that pytest closes then.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'adframe[ray]'"),
]
ONE = (*SMALL, "dataset.products=[tray]", "category=tray", "trainer=cpu")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        nodes.add_node(num_cpus=1)
        yield nodes
        nodes.shutdown()


def run(script: str, *overrides: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(script, *overrides), cwd=cwd, env=clean_environment(cwd), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.exhaustive
def test_one_fit_on_two_nodes_has_the_numbers_of_one_process(cluster: Any, tmp_path: Path) -> None:
    data, alone, shared = (tmp_path / name for name in ("toy", "alone", "shared"))
    fit = (*ONE, "model=padim", "holdout=0.34", "batch_size=2", f"dataset.root={data}")
    train_here(*fit, f"paths.run={alone}")
    process = run(
        "train", *fit, "trainer=ray", f"trainer.ray.address={cluster.address}", f"paths.run={shared}",
        cwd=tmp_path,
    )  # fmt: skip
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert "run folder:" in out
    expected, found = (
        {name: value for name, value in flat(metrics_of(each)).items() if "/intervals/" not in name}
        for each in (alone, shared)  # intervals are of fewer draws in the tests' own process
    )
    assert found == expected


@pytest.mark.exhaustive
def test_a_node_that_dies_loses_its_own_job_only(cluster: Any, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    process = run(
        "sweep", "-m", "launcher=ray", f"launcher.address={cluster.address}", *ONE, "model=sit", "study=none",
        "backbone.model=test_vit", "backbone.layers=[blocks.1]", "learning.epochs=40", "holdout=0.5",
        "seed=0,1,2",
        f"dataset.root={tmp_path / 'toy'}", f"hydra.sweep.dir={sweep}", cwd=tmp_path,
    )  # fmt: skip
    end = time.monotonic() + 150
    while process.poll() is None and time.monotonic() < end:
        if len(list(sweep.glob("*/learning/*.csv"))) == 2:  # both nodes are at work
            break
        time.sleep(0.1)
    (dying,) = cluster.worker_nodes
    cluster.remove_node(dying, allow_graceful=False)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 2
    assert "1 of 3 runs failed" in err
    assert out.count("failed") >= 1
    assert len(list(sweep.glob("*/metrics.json"))) == 2
