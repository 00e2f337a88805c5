"""`adframe serve`: answers requests over HTTP with the models of runs and bundles."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

import adframe
from adframe.errors import AdframeError
from adframe.export.bundled_detector import BundledDetector
from adframe.export.hub import PREFIX, local_copy
from adframe.export.manifest import bundle_reference, is_bundle
from adframe.inference.drift_reference import DriftReference
from adframe.inference.score_log import read_score_log
from adframe.reporting.format import counted
from adframe.reporting.notes import quieten, warn
from adframe.stats.betting import BOTH, UP
from adframe.stats.drift_monitor import DriftSettings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """A model that is served.

    Attributes:
        path: a run's folder, one of its checkpoints, or a bundle.
        name: in the addresses of the service.
        category: the model of the run, where it has several.
    """

    path: Path
    name: str
    category: str | None = None


def model_choices(texts: Sequence[str]) -> list[ModelChoice]:
    """Reads what is served from the arguments of the command.

    Args:
        texts: `path`, `name=path`, `path#category` or `name=path#category`. The name is that of the category
            or of the folder where it is not given.

    Returns:
        The models.

    Raises:
        AdframeError: a name is not possible, or stands for two models.

    Example:
        >>> choices = model_choices(["runs/a", "line=runs/b#tray", "runs/b#weave"])
        >>> [(each.name, each.category) for each in choices]
        [('a', None), ('line', 'tray'), ('weave', 'weave')]
    """
    found: dict[str, ModelChoice] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        # A folder may have = in its name.
        if not equals or not _NAME.fullmatch(name):
            name, rest = "", text
        path, _, category = rest.partition("#")
        folder = path.partition("@")[0] if path.startswith(PREFIX) else path
        name = name or category or Path(folder).resolve().name.removesuffix(".ckpt")
        if not _NAME.fullmatch(name):
            raise AdframeError(f"a model cannot be called {name!r}; give a name: name={rest}")
        if name in found:
            raise AdframeError(f"two models are called {name}; give names: name={rest}")
        found[name] = ModelChoice(path=Path(path), name=name, category=category or None)
    return list(found.values())


def run_service(
    choices: Sequence[ModelChoice],
    *,
    limits: dict[str, Any],
    drift: DriftSettings | None = None,
    any_direction: bool = False,
    references: Sequence[Path] = (),
    calibration: str = "trained",
    device: str = "auto",
    trusted: Sequence[str] = (),
) -> None:
    """Loads the models and serves them until SIGINT or SIGTERM.

    Args:
        choices: the models.
        limits: fields of `ServiceSettings` other than the token.
        drift: how drift is followed; None does not follow it.
        any_direction: whether lower scores count as drift even where the validation images joined the model.
        references: logs of normal images that take the place of validation scores.
        calibration: name of the thresholds.
        device: where the models work.
        trusted: packages that the runs' configurations may name.

    Raises:
        AdframeError: the server's packages are missing, a model cannot be loaded, or the port is taken.
    """
    try:
        from adframe.serving.app import create_app
        from adframe.serving.log import ServiceLog
        from adframe.serving.metrics import ServiceMetrics
        from adframe.serving.models import DriftState, ServedModel
        from adframe.serving.server import create_server, open_socket, run_server
        from adframe.serving.settings import TOKEN_VARIABLE, ServiceSettings
    except ModuleNotFoundError as error:
        raise AdframeError(f"{error.name} is missing; pip install 'adframe[serve]'") from error
    settings = ServiceSettings(**limits, token=os.environ.get(TOKEN_VARIABLE) or None)
    if not settings.is_local and settings.token is None:
        warn(f"everybody who reaches {settings.host} can use the service; set {TOKEN_VARIABLE}")
    listening, metrics, log = open_socket(settings), ServiceMetrics(), ServiceLog()
    models = []
    for choice in [replace(choice, path=local_copy(choice.path)) for choice in choices]:
        detector = _load(choice, calibration=calibration, device=device, trusted=trusted)
        state = None
        if drift is not None:
            reference = _reference(choice, detector, references, calibration)
            lowered = reference.is_refitted and not any_direction
            own = replace(drift, direction=UP) if lowered and drift.direction == BOTH else drift
            state = DriftState(reference, own)
        models.append(
            ServedModel(choice.name, detector, settings=settings, metrics=metrics, drift=state, log=log)
        )
    app = create_app(models, settings, metrics=metrics, log=log)
    listening.listen(settings.connections)  # so that who reads the address below can connect at once
    host, port = listening.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    names = ", ".join(choice.name for choice in choices)
    Console(highlight=False, markup=False, soft_wrap=True).print(
        f"{counted(len(models), 'model')} ({names}) at {address}; Ctrl-C ends"
    )
    run_server(create_server(app, settings), listening)


def _load(choice: ModelChoice, *, calibration: str, device: str, trusted: Sequence[str]) -> Any:
    """Loads a model; torch is imported only for models of runs."""
    if is_bundle(choice.path):
        return BundledDetector(choice.path, category=choice.category, calibration=calibration)
    if importlib.util.find_spec("torch") is None:
        raise AdframeError(
            f"{choice.path} is no bundle, and the models of runs need torch, which is not installed"
        )
    quieten()
    return adframe.load(
        choice.path, category=choice.category, calibration=calibration, device=device, trusted=trusted
    )


def _reference(
    choice: ModelChoice, detector: Any, references: Sequence[Path], calibration: str
) -> DriftReference:
    if references:
        known = read_score_log(references)
        source = counted(len(known.scores), "normal image")
        return DriftReference(choice.name, known.scores, f"{source} of {', '.join(map(str, references))}")
    if is_bundle(choice.path):
        return bundle_reference(choice.path, category=choice.category, calibration=calibration)
    from adframe.inference.run_reference import run_reference  # imports torch

    path = choice.path.parents[1] if choice.path.is_file() else choice.path
    return run_reference(path, unit=detector.category, calibration=calibration)
