"""Tests a run again (`run=`), compares runs (`compare=`, `errors=`), measures other tools' maps (`maps=`)."""

from adframe.cli.main import guard
from adframe.cli.scripts import evaluate

if __name__ == "__main__":
    guard(evaluate)
