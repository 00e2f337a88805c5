"""What finding costs: who is not beaten, and the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adframe.analysis.settings import Setting
from adframe.analysis.studies.efficiency import Efficiency
from adframe.analysis.studies.pareto import P50, Costed, pareto_front
from adframe.results.sweep_folder import read_sweep
from adframe.stats.estimates import Estimate
from tests.fakes.study_runs import leave_latency, leave_run


def costed(cost: float, value: float) -> Costed:
    return Costed(Setting(f"{cost} {value}", {}, {}), Estimate(value, value, value), {P50: cost})


def test_the_front_is_what_a_slow_reading_of_pareto_finds() -> None:
    rng = np.random.default_rng(0)
    points = [costed(*map(float, rng.integers(0, 6, 2))) for _ in range(30)]
    better = [(a, b) for a in points for b in points
              if (b.costs[P50] <= a.costs[P50] and b.found.value > a.found.value)
              or (b.costs[P50] < a.costs[P50] and b.found.value >= a.found.value)]  # fmt: skip
    beaten = {id(a) for a, _ in better}
    assert pareto_front(points, P50) == [each for each in points if id(each) not in beaten]
    assert 0 < len(pareto_front(points, P50)) < 30


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
    assert "up to 2.5 processes wanted each core" in busy.read_text()
    leave_latency(tmp_path, 1, 10.0)
    idle = Efficiency().write(read_sweep(tmp_path))
    assert idle is not None
    assert "wanted each core" not in idle.read_text()
