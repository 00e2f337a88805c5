"""Where Hydra looks for launchers and sweepers; ours stand in `adframe.sweeps`."""

from adframe.sweeps.launcher import SweepLauncher
from adframe.sweeps.sweeper import Sweeper


class AdframeLauncher(SweepLauncher):
    """Runs a sweep's jobs as `launcher=` says."""


class AdframeSweeper(Sweeper):
    """Makes a sweep's jobs: every combination, or a search as `search=` says."""
