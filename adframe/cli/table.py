"""`adframe table`: the results of a sweep as a LaTeX table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def table(
    sweep: Annotated[Path, typer.Argument(help="Folder of a finished sweep.", show_default=False)],
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Column, such as image/auroc; may be repeated.", show_default=False),
    ] = None,
    row: Annotated[
        list[str] | None,
        typer.Option(help="Setting, as the study's page names it; may be repeated.", show_default=False),
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(help="Category that is averaged or shown; may be repeated.", show_default=False),
    ] = None,
    per_category: Annotated[
        bool, typer.Option("--per-category", help="One column per category, for the first metric.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="File to write; printed by default.", show_default=False)
    ] = None,
) -> None:
    """Write the results of a sweep as a LaTeX table, for booktabs and siunitx.

    Numbers of several seeds are means with their standard deviation. The best number of a column is bold, and
    a star marks those that do not differ significantly from it.
    """
    from adframe.analysis.paper_tables import sweep_table
    from adframe.io.files import write_whole

    text = sweep_table(
        sweep, metrics=metric or (), rows=row or (), categories=category or (), per_category=per_category
    )
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_whole(out, text)
        typer.echo(f"table: {out}")
