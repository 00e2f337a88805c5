"""Fits and tests a method on a dataset: `python train.py model=patchcore dataset=mvtec_loco`."""

from adframe.cli.main import guard
from adframe.cli.scripts import train

if __name__ == "__main__":
    guard(train)
