"""The commands `adframe drift` and `adframe serve`, for images that keep coming."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from adframe.cli.arguments import Category, Device, Model, Trusted


class Direction(StrEnum):
    """Changes of scores that `drift` looks for."""

    up = "up"
    down = "down"
    both = "both"


def drift(
    run: Model,
    logs: Annotated[
        list[Path],
        typer.Argument(
            help="Logs (predict --log), results (predict --out), and folders with them.", show_default=False
        ),
    ],
    alpha: Annotated[
        float, typer.Option(help="Highest chance of a false alarm over the whole future.")
    ] = 0.01,
    share: Annotated[
        float, typer.Option(help="Share of anomalies that is expected and gives no alarm; 0.05 is 5 %.")
    ] = 0.0,
    direction: Annotated[
        Direction | None,
        typer.Option(
            help="Look for higher scores, lower scores, or any change; by default any change, or higher "
            "scores where the validation images joined the model (refit=true).",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(help="Log of normal images that replaces the validation scores; may be repeated."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model of the log, where it has several.")] = None,
    category: Category = None,
    calibration: Annotated[
        str, typer.Option(help="Thresholds with which the images were inspected.")
    ] = "trained",
    out: Annotated[
        Path | None, typer.Option(help="Folder for drift.json and index.html.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws that break ties between scores.", min=0)] = 0,
    fail_on_drift: Annotated[
        bool, typer.Option("--fail-on-drift", help="Exit with code 1 if drift is found.")
    ] = False,
) -> None:
    """Compare logged scores with the validation scores of a run or a bundle.

    Finds out whether new images are still like those on which the threshold was fitted, with a bound on the
    chance of a false alarm that holds however often one looks; compares the alarm rate with the promised
    one; and measures the shift. Neither the model nor the dataset is loaded.
    """
    from adframe.cli.drift import run_drift

    raise typer.Exit(
        run_drift(
            run, logs, alpha=alpha, share=share, direction=direction, reference=reference or (), model=model,
            category=category, calibration=calibration, out=out, seed=seed, fail_on_drift=fail_on_drift,
        )
    )  # fmt: skip


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Finished runs and bundles: a folder, name=folder, or folder#category where a run has "
            "several models.",
            show_default=False,
        ),
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; by default only this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8000,
    batch_size: Annotated[int, typer.Option(help="Pictures that a model inspects together.", min=1)] = 8,
    queue: Annotated[
        int, typer.Option(help="Pictures that may wait; beyond it the answer is 503.", min=1)
    ] = 64,
    max_megabytes: Annotated[float, typer.Option(help="Largest body of a request, in MiB.")] = 32,
    max_megapixels: Annotated[float, typer.Option(help="Largest picture, checked before decoding.")] = 50,
    max_pictures: Annotated[int, typer.Option(help="Pictures in a request.", min=1)] = 16,
    timeout: Annotated[float, typer.Option(help="Seconds in which a request must have arrived.")] = 30,
    threads: Annotated[int, typer.Option(help="Threads that decode pictures.", min=1)] = 2,
    drift_alpha: Annotated[
        float | None,
        typer.Option(help="Follow drift with this chance of a false alarm, see `adframe drift`."),
    ] = None,
    drift_share: Annotated[float, typer.Option(help="Share of anomalies that is expected.")] = 0.0,
    drift_direction: Annotated[
        Direction | None, typer.Option(help="As in `adframe drift --direction`.", show_default=False)
    ] = None,
    drift_reference: Annotated[
        list[Path] | None, typer.Option(help="Log of normal images instead of the validation scores.")
    ] = None,
    log: Annotated[
        Path | None, typer.Option(help="Folder of a log of predictions.", show_default=False)
    ] = None,
    log_parquet: Annotated[
        bool, typer.Option("--log-parquet", help="Keep finished files of the log as Parquet, not as CSV.")
    ] = False,
    calibration: Annotated[str, typer.Option(help="Thresholds of `adframe calibrate` by name.")] = "trained",
    device: Device = "auto",
    trusted: Trusted = None,
) -> None:
    """Answer requests over HTTP: a picture goes in, decision, score and regions or an overlay come out.

    Needs pip install 'adframe[serve]'. The token that clients must send is read from the environment,
    ADFRAME_SERVE_TOKEN. Bundles of `adframe export` are served without torch. / is a page onto which a
    picture can be dropped, /docs describes the interface.
    """
    from adframe.cli.serve import model_choices, run_service
    from adframe.stats.drift_monitor import DriftSettings

    drift = None
    if drift_alpha is not None:
        drift = DriftSettings(alpha=drift_alpha, share=drift_share, direction=drift_direction or "both")
    run_service(
        model_choices(models),
        limits={
            "host": host, "port": port, "batch_size": batch_size, "queue": queue, "threads": threads,
            "most_bytes": int(max_megabytes * (1 << 20)), "most_pixels": int(max_megapixels * 1e6),
            "most_pictures": max_pictures, "body_seconds": timeout, "log": log, "log_parquet": log_parquet,
        },
        drift=drift, any_direction=drift_direction is not None, references=drift_reference or (),
        calibration=calibration, device=device, trusted=trusted or (),
    )  # fmt: skip
