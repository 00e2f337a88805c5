"""What finding costs: who is not beaten, and the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adframe.analysis.studies.efficiency import Efficiency
from adframe.analysis.studies.pareto import P50, pareto_front
from adframe.results.sweep_folder import read_sweep
from tests.fakes.study_runs import leave_latency, leave_run


def test_the_front_is_what_a_slow_reading_of_pareto_finds() -> None:
    rng = np.random.default_rng(0)
    points = {str(number): tuple(map(float, rng.integers(0, 6, 2))) for number in range(30)}
    beaten = {a for a, (cost, value) in points.items() for other_cost, other_value in points.values()
              if (other_cost <= cost and other_value > value)
              or (other_cost < cost and other_value >= value)}  # fmt: skip
    costs = {name: {P50: cost} for name, (cost, _) in points.items()}
    front = pareto_front(costs, {name: value for name, (_, value) in points.items()}, P50)
    assert front == [name for name in points if name not in beaten]
    assert 0 < len(front) < 30


def test_its_page_sets_latency_against_what_is_found(tmp_path: Path) -> None:
    for number, skill in enumerate((0.0, 1.0, 4.0)):
        leave_run(tmp_path, number, f"coreset=0.{number + 1}", skills={"bolt": skill})
        leave_latency(tmp_path, number, 10.0 * (number + 1))
    page = Efficiency(metrics=["image/auroc"]).write(read_sweep(tmp_path))
    assert page is not None
    text = page.read_text()
    assert "3 of 3 settings are Pareto-optimal in latency and image AUROC" in text
    assert "10 ms, compared with 30 ms with 0.3" in text
    assert "The difference in image AUROC is significant" in text
    assert (tmp_path / "figures/latency_against_quality.svg").is_file()


def test_without_a_measured_latency_it_says_what_to_set(tmp_path: Path) -> None:
    for number in range(2):
        leave_run(tmp_path, number, f"x={number}", skills={"bolt": 1.0})
    page = Efficiency().write(read_sweep(tmp_path))
    assert page is not None
    assert "callbacks.latency.images=100" in page.read_text()


def test_a_busy_machine_is_said(tmp_path: Path) -> None:
    for number, load in enumerate((0.5, 2.5)):
        leave_run(tmp_path, number, f"x={number}", skills={"bolt": 1.0})
        leave_latency(tmp_path, number, 10.0, load=load)
    busy = Efficiency().write(read_sweep(tmp_path))
    assert busy is not None
    assert "up to 2.5 processes per core were running" in busy.read_text()
    leave_latency(tmp_path, 1, 10.0)
    idle = Efficiency().write(read_sweep(tmp_path))
    assert idle is not None
    assert "processes per core" not in idle.read_text()
