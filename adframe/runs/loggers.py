"""Sends the numbers of a run to Weights & Biases, TensorBoard, MLflow, a CSV file, or nowhere."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from adframe.errors import AdframeError, unknown
from adframe.io.network import is_reachable
from adframe.io.secrets import hide_in_text
from adframe.reporting.leaderboard_page import raw_table
from adframe.reporting.wandb_upload import flat_metrics, show_run, show_table
from adframe.results.sweep_folder import SweepFolder
from adframe.runs.local_loggers import (
    check_installed,
    open_mlflow,
    open_tensorboard,
    show_in_mlflow,
    show_in_tensorboard,
)
from adframe.runs.model_artifacts import check_artifact, model_artifacts
from adframe.runs.run_labels import KINDS, filterable, logger_kinds, run_name, run_tags

MODES = ("auto", "online", "offline", "disabled", "shared")
_RUN_ID = Path("wandb") / "run_id.txt"  # in the folder of a run
_OFFLINE_HINT = "logger.mode=offline needs no account"


@contextmanager
def tracking(
    options: Mapping[str, Any],
    *,
    run: Path,
    config: dict[str, Any],
    pack: Callable[[str, Path], None] | None = None,
    job: str = "train",
) -> Iterator[Sequence[Logger]]:
    """Opens the loggers of a run, ready for Lightning, and closes them at the end of the block.

    A block that ends without an error uploads the finished run: metrics, curves, pictures, table, costs.

    Args:
        options: `kind` or `kinds` (see `logger_kinds`), and for wandb `mode`, `project`, `entity`, `group`,
            `tags`, `artifact` (none, checkpoint or bundle) and `aliases`.
        run: the folder of the run, with its `environment.json`.
        config: the configuration of the run; its secrets are hidden.
        pack: writes the bundle of a model (by its name) into a new folder, for `artifact: bundle`.
        job: what W&B calls the type of the job: `train` or `evaluate`.

    Yields:
        The loggers; none for `kind: none`.

    Raises:
        AdframeError: a kind, the mode or the artifact is unknown, a package is missing, or the server refuses
            or cannot be reached.
    """
    kinds = logger_kinds(options)
    if unknown_kind := next((kind for kind in kinds if kind not in KINDS), None):
        raise AdframeError(unknown("logger.kind", unknown_kind, KINDS))
    check_artifact(options)
    if job != "train" and options.get("artifact", "none") != "none":
        raise AdframeError("logger.artifact= logs the models of a training; an evaluation makes none")
    check_installed(kinds)
    opened: list[Logger] = []
    try:
        for kind in kinds:
            opened.append(_open_logger(kind, options, run=run, config=config, job=job))
        yield opened
        for tracker in opened:
            if isinstance(tracker, WandbLogger):
                show_run(tracker.experiment, run)
                with model_artifacts(options, run=run, config=config, pack=pack) as artifacts:
                    for artifact in artifacts:
                        tracker.experiment.log_artifact(artifact, aliases=list(options.get("aliases") or ()))
                    wandb.finish()
                continue
            if isinstance(tracker, TensorBoardLogger):
                show_in_tensorboard(tracker, run, filterable(config, _environment(run)))
            elif isinstance(tracker, MLFlowLogger):
                show_in_mlflow(tracker, run)
            else:
                tracker.log_metrics(flat_metrics(run))
            tracker.finalize("success")
    except BaseException:
        for tracker in opened:
            # wandb would hand an open run to the next job of a sweep.
            if isinstance(tracker, WandbLogger):
                wandb.finish(exit_code=1)
            else:
                tracker.finalize("failed")
        raise


def show_sweep(sweep: SweepFolder, options: Mapping[str, Any]) -> None:
    """Uploads the table of a sweep as a wandb run of its own, in the group of the sweep's runs.

    Args:
        sweep: the runs of the sweep.
        options: as in `tracking`.
    """
    name = sweep.path.name
    board = _start_wandb(
        options, f"{name} table", sweep.path, job="sweep table", config={}, group=options["group"] or name,
        tags=list(options["tags"]),
    )  # fmt: skip
    show_table(board, raw_table(sweep))
    wandb.finish()


def _open_logger(
    kind: str, options: Mapping[str, Any], *, run: Path, config: dict[str, Any], job: str
) -> Logger:
    if kind == "csv":
        return CSVLogger(save_dir=run, name="", version="")
    if kind == "tensorboard":
        return open_tensorboard(run)
    facts = _environment(run)
    name, settings = run_name(run, config, facts), filterable(config, facts)
    tags = run_tags(config, facts, options.get("tags") or ())
    if kind == "mlflow":
        return open_mlflow(options, run=run, name=name, tags=tags, settings=settings)
    noted = run / _RUN_ID
    experiment = _start_wandb(
        options, name, run, job=job, config=settings, group=options["group"], tags=tags,
        run_id=noted.read_text().strip() if noted.is_file() else None,
    )  # fmt: skip
    if not experiment.disabled:
        noted.parent.mkdir(exist_ok=True)
        noted.write_text(f"{experiment.id}\n")
    return WandbLogger(experiment=experiment)


def _environment(run: Path) -> dict[str, Any]:
    file = run / "environment.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    return found


def _start_wandb(
    options: Mapping[str, Any],
    name: str,
    folder: Path,
    *,
    job: str,
    config: dict[str, Any],
    group: str | None,
    tags: list[str],
    run_id: str | None = None,
) -> wandb.Run:
    if options["mode"] not in MODES:
        raise AdframeError(unknown("logger.mode", str(options["mode"]), MODES))
    _give_wandb_a_cache()
    try:
        mode: Any = _resolve_mode(str(options["mode"]))
        with _arguments_without_secrets():
            return wandb.init(
                project=options["project"],
                entity=options["entity"],
                group=group,
                job_type=job,
                tags=tags,
                name=name,
                id=run_id,
                # Offline there is no run to resume; the id is the same, so that both parts belong together.
                resume="allow" if run_id and mode not in ("offline", "disabled") else None,
                dir=folder,
                mode=mode,
                config=config,
                settings=wandb.Settings(silent=True, console="off", root_dir=str(folder)),
            )
    except wandb.Error as error:
        text = " ".join(str(error).split()).rstrip(".")
        raise AdframeError(f"logger=wandb, mode {options['mode']}: {text}; {_OFFLINE_HINT}") from error


def _give_wandb_a_cache() -> None:
    """Names a folder for wandb's cache where there is no home; otherwise its log is printed."""
    if not any(os.environ.get(name) for name in ("HOME", "XDG_CACHE_HOME", "WANDB_CACHE_DIR")):
        os.environ["XDG_CACHE_HOME"] = str(Path(tempfile.gettempdir()) / f"adframe-cache-{os.getuid()}")


@contextmanager
def _arguments_without_secrets() -> Iterator[None]:
    """Hides secrets in `sys.argv`, because wandb stores the typed command when it starts."""
    typed = list(sys.argv)
    sys.argv[1:] = map(hide_in_text, typed[1:])
    try:
        yield
    finally:
        sys.argv[:] = typed


def _resolve_mode(requested: str) -> str:
    """Returns the mode that `auto` stands for; does not wait for a server as long as wandb does (90 s)."""
    if requested in ("offline", "disabled"):
        return requested
    server = wandb.setup(settings=wandb.Settings(silent=True)).settings.base_url
    if requested == "auto":
        if (mode := os.environ.get("WANDB_MODE")) in MODES[1:]:
            return mode
        if not wandb.login(prompt=False, verify=False):
            return "offline"
        if not is_reachable(server):
            print(f"{server} cannot be reached: logged offline, `wandb sync` uploads it", file=sys.stderr)
            return "offline"
        return "online"
    if not wandb.login(prompt=False, verify=False):
        raise AdframeError(f"logger.mode={requested}: no account here; run `wandb login`, or {_OFFLINE_HINT}")
    if not is_reachable(server):
        raise AdframeError(f"logger.mode={requested}: {server} cannot be reached; {_OFFLINE_HINT}")
    return requested
