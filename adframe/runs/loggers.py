"""Sends the numbers of a run to Weights & Biases, to a CSV file, or nowhere."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger

from adframe.errors import AdframeError, unknown
from adframe.io.network import is_reachable
from adframe.io.secrets import hide_in_text, hide_secrets
from adframe.reporting.leaderboard_page import raw_table
from adframe.reporting.wandb_upload import flat_metrics, show_run, show_table
from adframe.results.sweep_folder import SweepFolder
from adframe.runs.model_artifacts import check_artifact, model_artifacts

LOGGER_KINDS = ("wandb", "csv", "none")
MODES = ("auto", "online", "offline", "disabled", "shared")
_OFFLINE_HINT = "logger.mode=offline needs no account"


@contextmanager
def tracking(
    options: Mapping[str, Any],
    *,
    run: Path,
    config: dict[str, Any],
    pack: Callable[[str, Path], None] | None = None,
) -> Iterator[Logger | None]:
    """Opens the logger of a run, ready for Lightning, and closes it at the end of the block.

    A block that ends without an error uploads the finished run: metrics, curves, pictures, table, costs.

    Args:
        options: `kind` (wandb, csv or none), and for wandb `mode`, `project`, `entity`, `group`, `tags`,
            `artifact` (none, checkpoint or bundle) and `aliases`.
        run: the folder of the run.
        config: the configuration of the run; its secrets are hidden.
        pack: writes the bundle of a model (by its name) into a new folder, for `artifact: bundle`.

    Yields:
        The logger; None for `kind: none`.

    Raises:
        AdframeError: the kind, the mode or the artifact is unknown, or the server refuses or cannot be
            reached.
    """
    check_artifact(options)
    tracker = _open_logger(options, run=run, config=config)
    try:
        yield tracker
        if isinstance(tracker, WandbLogger):
            show_run(tracker.experiment, run)
            with model_artifacts(options, run=run, config=config, pack=pack) as artifacts:
                for artifact in artifacts:
                    tracker.experiment.log_artifact(artifact, aliases=list(options.get("aliases") or ()))
                wandb.finish()
        elif tracker is not None:
            tracker.log_metrics(flat_metrics(run))
            tracker.finalize("success")
    except BaseException:
        # wandb would hand an open run to the next job of a sweep.
        if isinstance(tracker, WandbLogger):
            wandb.finish(exit_code=1)
        raise


def show_sweep(sweep: SweepFolder, options: Mapping[str, Any]) -> None:
    """Uploads the table of a sweep as a wandb run of its own, in the group of the sweep's runs.

    Args:
        sweep: the runs of the sweep.
        options: as in `tracking`.
    """
    name = sweep.path.name
    board = _start_wandb(
        options, name=f"{name} table", folder=sweep.path, config={}, group=options["group"] or name
    )
    show_table(board, raw_table(sweep))
    wandb.finish()


def _open_logger(options: Mapping[str, Any], *, run: Path, config: dict[str, Any]) -> Logger | None:
    if options["kind"] == "none":
        return None
    if options["kind"] == "csv":
        return CSVLogger(save_dir=run, name="", version="")
    if options["kind"] == "wandb":
        experiment = _start_wandb(options, name=run.name, folder=run, config=config, group=options["group"])
        return WandbLogger(experiment=experiment)
    raise AdframeError(unknown("logger.kind", str(options["kind"]), LOGGER_KINDS))


def _start_wandb(
    options: Mapping[str, Any], *, name: str, folder: Path, config: dict[str, Any], group: str | None
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
                tags=list(options["tags"]),
                name=name,
                dir=folder,
                mode=mode,
                config=hide_secrets(config),
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
