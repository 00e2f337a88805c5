"""Runs a study by its name, or one run for every combination of overrides, and writes one table."""

from adframe.cli.main import guard
from adframe.sweeps.command import sweep

if __name__ == "__main__":
    guard(sweep)
