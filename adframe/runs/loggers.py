"""Where a run is followed: Weights & Biases in each of its modes, a CSV file, or nowhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger

from adframe.errors import AdframeError, unknown
from adframe.io.network import is_reachable
from adframe.io.secrets import hide_in_text, hide_secrets
from adframe.reporting.leaderboard_page import for_programs
from adframe.reporting.wandb_upload import flat_metrics, show_run, show_table
from adframe.results.sweep_folder import SweepFolder

KINDS = ("wandb", "csv", "none")
MODES = ("auto", "online", "offline", "disabled", "shared")
WAY_OUT = "logger.mode=offline needs no account"


@contextmanager
def tracking(options: Mapping[str, Any], *, run: Path, config: dict[str, Any]) -> Iterator[Logger | None]:
    """The logger of a run, ready for Lightning; it ends with the context, whatever happens inside.

    Left without an error it hands the finished run over: metrics, curves, pictures, table, costs.

    Args:
        options: kind (wandb, csv or none), and for wandb mode, project, entity, group and tags.
        run: the folder of the run.
        config: the configuration of the run.
    """
    tracker = _open(options, run=run, config=config)
    try:
        yield tracker
        _hand_over(tracker, run=run)
    except BaseException:
        # One left open would be handed to the next job of a sweep.
        if isinstance(tracker, WandbLogger):
            wandb.finish(exit_code=1)
        raise


def show_sweep(sweep: SweepFolder, options: Mapping[str, Any]) -> None:
    """The sweep's table as a run of its own, in the group of its runs.

    Args:
        sweep: its runs.
        options: as in `tracking`.
    """
    name = sweep.path.name
    board = _begin(
        options, name=f"{name} table", folder=sweep.path, config={}, group=options["group"] or name
    )
    show_table(board, for_programs(sweep))
    wandb.finish()


def _open(options: Mapping[str, Any], *, run: Path, config: dict[str, Any]) -> Logger | None:
    if options["kind"] == "none":
        return None
    if options["kind"] == "csv":
        return CSVLogger(save_dir=run, name="", version="")
    if options["kind"] == "wandb":
        return _wandb(options, run=run, config=config)
    raise AdframeError(unknown("logger.kind", str(options["kind"]), KINDS))


def _hand_over(tracker: Logger | None, *, run: Path) -> None:
    if isinstance(tracker, WandbLogger):
        show_run(tracker.experiment, run)
        wandb.finish()
    elif tracker is not None:
        tracker.log_metrics(flat_metrics(run))
        tracker.finalize("success")


def _wandb(options: Mapping[str, Any], *, run: Path, config: dict[str, Any]) -> WandbLogger:
    experiment = _begin(options, name=run.name, folder=run, config=config, group=options["group"])
    return WandbLogger(experiment=experiment)


def _begin(
    options: Mapping[str, Any], *, name: str, folder: Path, config: dict[str, Any], group: str | None
) -> wandb.Run:
    if options["mode"] not in MODES:
        raise AdframeError(unknown("logger.mode", str(options["mode"]), MODES))
    try:
        mode: Any = _mode(str(options["mode"]))
        with _arguments_without_secrets():
            return wandb.init(
                project=options["project"],
                entity=options["entity"],
                group=group,
                tags=list(options["tags"]),
                name=name,
                dir=folder,
                mode=mode,
                config=hide_secrets(config),
                settings=wandb.Settings(silent=True, console="off", root_dir=str(folder)),
            )
    except wandb.Error as error:
        text = " ".join(str(error).split()).rstrip(".")
        raise AdframeError(f"logger=wandb, mode {options['mode']}: {text}; {WAY_OUT}") from error


@contextmanager
def _arguments_without_secrets() -> Iterator[None]:
    """wandb notes the command that was typed as it begins."""
    typed = list(sys.argv)
    sys.argv[1:] = map(hide_in_text, typed[1:])
    try:
        yield
    finally:
        sys.argv[:] = typed


def _mode(wanted: str) -> str:
    """What `auto` means here; a server that cannot be reached is told in seconds, not in wandb's 90."""
    if wanted in ("offline", "disabled"):
        return wanted
    server = wandb.setup(settings=wandb.Settings(silent=True)).settings.base_url
    if wanted == "auto":
        if (said := os.environ.get("WANDB_MODE")) in MODES[1:]:
            return said
        if not wandb.login(prompt=False, verify=False):
            return "offline"
        if not is_reachable(server):
            print(f"{server} cannot be reached: logged offline, `wandb sync` uploads it", file=sys.stderr)
            return "offline"
        return "online"
    if not wandb.login(prompt=False, verify=False):
        raise AdframeError(f"logger.mode={wanted}: no account here; run `wandb login`, or {WAY_OUT}")
    if not is_reachable(server):
        raise AdframeError(f"logger.mode={wanted}: {server} cannot be reached; {WAY_OUT}")
    return wanted
