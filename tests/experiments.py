"""What the experiments of `conf/experiment/` sweep, as Hydra takes it apart."""

from __future__ import annotations

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests.e2e.scripts import ROOT, composed

EXPERIMENTS = sorted(path.stem for path in (ROOT / "conf/experiment").glob("*.yaml"))


def jobs_of(experiment: str) -> list[list[str]]:
    """The overrides of every run of an experiment."""
    composed("sweep", f"experiment={experiment}")
    params = [f"{key}={values}" for key, values in HydraConfig.get().sweeper.params.items()]
    (jobs,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(params), None)
    return jobs


def one_of_each_value(jobs: list[list[str]]) -> list[list[str]]:
    """As few jobs as hold every value of every key."""
    seen: set[str] = set()
    few = []
    for job in jobs:
        if not seen.issuperset(job):
            few.append(job)
            seen.update(job)
    return few
