"""Arguments that several commands of `adframe` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[Path, typer.Argument(help="Folder of a finished run.", show_default=False)]
Model = Annotated[Path, typer.Argument(help="Folder of a finished run, or of a bundle.", show_default=False)]
Category = Annotated[
    str | None, typer.Option(help="The model to use, where the run has one for each of several categories.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Trusted = Annotated[
    list[str] | None,
    typer.Option(help="Package other than adframe that the run's configuration may name; its code runs."),
]
