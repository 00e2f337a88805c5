"""The commands of `adframe` that run experiments: `demo`, and the scripts where there is no checkout."""

from __future__ import annotations

import pkgutil
import sys
from pathlib import Path
from typing import Annotated

import typer

# Hydra reads the overrides and prints the help.
HYDRA_CONTEXT = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": list[str]()}
_DEMO_SETTINGS = (
    "model=patchcore", "dataset=toy", "category=[bracket]", "dataset.train=40", "dataset.test_bad=30",
    "num_workers=0", "logger=none"
)  # fmt: skip


def train(context: typer.Context) -> None:
    """Fit and test a method on a dataset: adframe train model=patchcore dataset=mvtec_loco."""
    _run("train", "adframe.cli.scripts:train", context)


def sweep(context: typer.Context) -> None:
    """Run a study, or one run per combination: adframe sweep -m coreset=0.05,0.1."""
    # By name, as Hydra finds its plugins: the parts of sweeps are built on those of commands.
    _run("sweep", "adframe.sweeps.command:sweep", context)


def evaluate(context: typer.Context) -> None:
    """Test a run again, compare runs, or show their errors: adframe evaluate run=<folder>."""
    _run("evaluate", "adframe.cli.scripts:evaluate", context)


def explore(context: typer.Context) -> None:
    """Write a page about a dataset: adframe explore dataset=mvtec_ad dataset.root=<folder>."""
    _run("explore", "adframe.cli.explore:main", context)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the images and the run.")] = Path("adframe-demo"),
) -> None:
    """Run PatchCore on generated images, which takes less than a minute, and write its report."""
    from rich.console import Console

    from adframe.cli.compose import compose_training
    from adframe.cli.train import run_training
    from adframe.io.program import command_of

    number = 1
    while (run := out / f"run{number}").exists():
        number += 1
    places = (f"paths.data={_quoted(out / 'data')}", f"paths.splits={_quoted(out / 'splits')}")
    run_training(*compose_training([*_DEMO_SETTINGS, *places, f"paths.run={_quoted(run)}"]))
    train = command_of("train")
    sample = next((out / "data").rglob("test/[!g]*/*.png"), Path("<image>"))
    lines = (
        "",
        "Open the report in a browser. What to try next:",
        f"  adframe predict {run} {sample} --out predicted --picture overlay",
        f"  {train} dataset=folder dataset.root=<folder>    your own images",
        f"  {train} --help    every method, dataset and key",
    )
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for line in lines:
        console.print(line)


def _run(name: str, main: str, context: typer.Context) -> None:
    from adframe.cli.main import run_script
    from adframe.io.program import COMMAND_PREFIX

    sys.argv[:] = [COMMAND_PREFIX + name, *context.args]
    run_script(pkgutil.resolve_name(main))


def _quoted(path: Path) -> str:
    """Writes a path as a value that Hydra's grammar reads as one text."""
    text = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"
