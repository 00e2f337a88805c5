"""What `evaluate.py` does with finished runs: test, compare, analyse errors, write a submission."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from adframe.config.saved_config import read_config
from adframe.config.validate import check_evaluation
from adframe.reporting.console import quieten


def evaluate(cfg: DictConfig) -> Path:
    """Does what the configuration asks for, and returns the folder that was written.

    Args:
        cfg: the configuration of `evaluate.py`, composed. `compare=` and `errors=` name runs that are only
            read; `run=` names one that is tested again, or of which `submission=` is made.
    """
    from adframe.analysis.comparison import compare
    from adframe.analysis.error_analysis.page import show_errors
    from adframe.runs.reevaluate import reevaluate
    from adframe.runs.submission import submit

    if cfg.submission is not None:
        return submit(cfg)
    quieten()
    check_evaluation(cfg)
    if cfg.compare is not None:
        runs = [Path(str(path)) for path in cfg.compare]
        return compare(runs, output=None, seed=read_config(runs[0])["seed"], fuse=cfg.fuse)
    if cfg.errors is not None:
        runs = [Path(cfg.errors)] if isinstance(cfg.errors, str) else [Path(str(path)) for path in cfg.errors]
        root = None if cfg.dataset.root is None else Path(str(cfg.dataset.root)).resolve()
        return show_errors(runs, output=None, seed=read_config(runs[0])["seed"], root=root)
    return reevaluate(cfg)
