"""The command `adframe`: it uses finished runs, and runs experiments as the scripts of a checkout do."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from adframe.cli.arguments import Category, Device, Model, Run, Trusted
from adframe.cli.bundle_commands import export, push
from adframe.cli.distill import distill
from adframe.cli.experiment_commands import HYDRA_CONTEXT, demo, evaluate, explore, sweep, train
from adframe.cli.main import exit_with_errors
from adframe.cli.stream_commands import drift, serve
from adframe.cli.table import table

app = typer.Typer(
    name="adframe",
    help="Run experiments in visual anomaly detection, and use the trained models of finished runs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class PictureKind(StrEnum):
    """Kinds of pictures that `predict` writes; `inference.output.PICTURES` describes them."""

    overlay = "overlay"
    heatmap = "heatmap"
    mask = "mask"
    map = "map"


@app.callback()
def _app() -> None:
    pass


app.command(short_help="Run PatchCore on generated images, in less than a minute.")(demo)
for script, short_help in (
    (train, "Fit and test a method on a dataset (train.py)."),
    (sweep, "Run a study, or one run per combination of values (sweep.py)."),
    (evaluate, "Test a run again, compare runs, show their errors (evaluate.py)."),
    (explore, "Write a page about a dataset, without a model."),
):
    app.command(context_settings=HYDRA_CONTEXT, short_help=short_help)(script)


@app.command()
def predict(
    run: Model,
    images: Annotated[
        list[str] | None,
        typer.Argument(
            help="Images and folders; - reads paths from standard input, one per line.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for predictions.csv, predictions.jsonl and pictures.", show_default=False),
    ] = None,
    pictures: Annotated[
        list[PictureKind] | None,
        typer.Option("--picture", help="Write this picture of every image; may be given several times."),
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Write index.html with the most anomalous images.")
    ] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Print one JSON object per image.")] = False,
    fail_on_anomaly: Annotated[
        bool, typer.Option("--fail-on-anomaly", help="Exit with code 1 if an image is anomalous.")
    ] = False,
    watch: Annotated[
        Path | None,
        typer.Option(help="Inspect the images that arrive in this folder, until Ctrl-C.", show_default=False),
    ] = None,
    interval: Annotated[
        float, typer.Option(help="Seconds between two looks into the watched folder.", min=0.01)
    ] = 1.0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the results in --out; skip their images.")
    ] = False,
    log: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a log that grows with every call, for `adframe drift`.", show_default=False
        ),
    ] = None,
    log_parquet: Annotated[
        bool, typer.Option("--log-parquet", help="Keep finished files of the log as Parquet, not as CSV.")
    ] = False,
    category: Category = None,
    calibration: Annotated[
        str, typer.Option(help="Thresholds of `adframe calibrate` by name; trained are those of the run.")
    ] = "trained",
    batch_size: Annotated[int, typer.Option(help="Images that the network takes together.", min=1)] = 8,
    threads: Annotated[int, typer.Option(help="Threads that decode images.", min=1)] = 2,
    device: Device = "auto",
    trusted: Trusted = None,
) -> None:
    """Inspect images with the model of a run.

    Prints one line per image: decision, score, path. An image that cannot be read is a line with its
    error and does not end the others. Exit codes: 0 all images were inspected, 1 an image is anomalous
    (with --fail-on-anomaly), 2 wrong usage, 3 an image could not be read.
    """
    from adframe.cli.predict import Request, run_prediction

    raise typer.Exit(
        run_prediction(
            Request(
                run=run, images=tuple(images or ()), out=out, pictures=tuple(map(str, pictures or ())),
                page=page, jsonl=jsonl, fail_on_anomaly=fail_on_anomaly, watch=watch, interval=interval,
                resume=resume, log=log, log_parquet=log_parquet, category=category,
                calibration=calibration, batch_size=batch_size, threads=threads, device=device,
                trusted=tuple(trusted or ()),
            ),
            listed=sys.stdin,
        )
    )  # fmt: skip


class RuleName(StrEnum):
    """Rules for the image threshold, as in `calibration=`."""

    fixed_fpr = "fixed_fpr"
    quantile = "quantile"
    mean_std = "mean_std"
    f1 = "f1"


@app.command(short_help="Fit new thresholds to a trained model.")
def calibrate(
    run: Run,
    rule: Annotated[RuleName, typer.Option(help="How the image threshold is chosen.")] = RuleName.fixed_fpr,
    rate: Annotated[
        float | None, typer.Option(help="False-positive rate of fixed_fpr and quantile; 0.01 is 1 %.")
    ] = None,
    deviations: Annotated[
        float | None, typer.Option(help="Standard deviations above the mean, for mean_std.")
    ] = None,
    normals: Annotated[
        list[str] | None,
        typer.Option(help="Folder of normal images that the model was not fitted to; may be repeated."),
    ] = None,
    anomalies: Annotated[
        list[str] | None, typer.Option(help="Folder of anomalous images, for f1; may be repeated.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new thresholds.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace thresholds of this name.")] = False,
    category: Category = None,
    batch_size: Annotated[int, typer.Option(help="Images that the network takes together.", min=1)] = 8,
    device: Device = "auto",
    trusted: Trusted = None,
) -> None:
    """Fit new thresholds to a trained model, without training it again.

    The thresholds are fitted to the validation scores that the run has kept, or to other normal images
    (--normals), and are written next to those of the run, which stay as they are.
    """
    from adframe.cli.calibrate import rule_of, run_calibration

    run_calibration(
        run,
        rule_of(rule, rate=rate, deviations=deviations),
        name=name,
        normals=normals or (),
        anomalies=anomalies or (),
        category=category,
        overwrite=overwrite,
        batch_size=batch_size,
        device=device,
        trusted=trusted or (),
    )


@app.command(short_help="Write one printable page about a run.")
def page(
    run: Run,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File of the page, .pdf or .png; <run>/summary.pdf by default.", show_default=False
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the anomaly maps of the best and worst decisions as single PNG files, named by "
            "category, type of defect, image and decision.",
            show_default=False,
        ),
    ] = None,
    category: Annotated[str | None, typer.Option(help="Only this category of the run.")] = None,
) -> None:
    """Write one printable page (A4) about a run, for people who do not read metrics.

    The page says in counts what was inspected, found and missed, shows three right and three wrong decisions,
    and explains the threshold. It is made of the files in the run folder: no model is loaded, and the
    dataset is not needed.
    """
    from adframe.cli.page import run_page

    run_page(run, category=category, out=out, pictures=pictures)


@app.command(short_help="Fit a run again with more or fewer normal images.")
def update(
    run: Run,
    out: Annotated[Path, typer.Option(help="New folder for the updated run.", show_default=False)],
    normals: Annotated[
        list[str] | None,
        typer.Option(help="Normal image or folder that joins the training images; may be repeated."),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(help="Training image that is left out, such as good/012.png; may be repeated."),
    ] = None,
    category: Category = None,
    trusted: Trusted = None,
) -> None:
    """Fit a run again with more normal images, or without some of its own, into a run of its own.

    The model is fitted to the old and the new images together, calibrated and tested. Where the dataset is
    not there any more, new images join the fitted model instead (PatchCore, PaDiM): the run says how exact
    that is, keeps the old thresholds, and is not tested. The old run stays as it is, and the new one names
    it.
    """
    from adframe.cli.update import run_update

    run_update(
        run,
        out,
        normals=normals or (),
        remove=remove or (),
        category=category,
        trusted=trusted or (),
    )


app.command(short_help="Compare logged scores with the run's validation scores.")(drift)
app.command(short_help="Pack a model for use without torch and without its run.")(export)
app.command(short_help="Share a model on the Hugging Face Hub, with a model card.")(push)
app.command(short_help="Answer requests over HTTP.")(serve)
app.command(short_help="Write the results of a sweep as a LaTeX table.")(table)
app.command()(distill)


def main() -> None:
    """Runs the command line; a user error is one line and exit code 2."""
    exit_with_errors(app)
