"""Models of a run as artifacts of Weights & Biases: the checkpoint with what it needs, or a bundle."""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wandb

from adframe.errors import AdframeError, unknown
from adframe.reporting.notes import warn
from adframe.results.names import MEAN, method_of, name_of
from adframe.results.run_folder import RunFolder
from adframe.results.validation_scores import VALIDATION_FOLDER

ARTIFACTS = ("none", "checkpoint", "bundle")
_ALIAS = re.compile(r"[A-Za-z0-9._-]+")
# What `adframe.load` and `adframe drift` read of a run, next to the checkpoint and the validation scores.
_RUN_FILES = ("config.yaml", "environment.json", "metrics.json", "predictions.parquet")


def check_artifact(options: Mapping[str, Any]) -> None:
    """Checks the options before the run, whose result they would otherwise spoil.

    Args:
        options: `kind`, and for wandb `artifact` and `aliases`.

    Raises:
        AdframeError: the artifact or an alias is not possible, or what exports is not installed.
    """
    kind = str(options.get("artifact") or "none")
    if kind not in ARTIFACTS:
        raise AdframeError(unknown("logger.artifact", kind, ARTIFACTS))
    for alias in options.get("aliases") or ():
        if not _ALIAS.fullmatch(str(alias)):
            raise AdframeError(f"logger.aliases: {str(alias)!r} may have letters, digits and . _ - only")
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if not importlib.util.find_spec(name)]
    if kind == "bundle" and missing:
        raise AdframeError(f"logger.artifact=bundle: {missing[0]} is missing; pip install 'adframe[export]'")


@contextmanager
def model_artifacts(
    options: Mapping[str, Any],
    *,
    run: Path,
    config: Mapping[str, Any],
    pack: Callable[[str, Path], None] | None,
) -> Iterator[list[wandb.Artifact]]:
    """Makes one artifact per model of a finished run; its temporary files live as long as the context.

    Args:
        options: with `artifact`: `none`, `checkpoint` or `bundle`.
        run: the folder of the run.
        config: of the run, for names.
        pack: writes the bundle of a model into a new folder.

    Yields:
        The artifacts, of the type `model`, called <method>-<dataset>-<category>, with the test metrics and
        the threshold as metadata. A model that cannot be packed is left out with a note.
    """
    kind = str(options.get("artifact") or "none")
    found: list[wandb.Artifact] = []
    with tempfile.TemporaryDirectory(prefix="adframe-artifact-") as temporary:
        folder = RunFolder.read(run)
        units = [] if kind == "none" else sorted(path.stem for path in (run / "checkpoints").glob("*.ckpt"))
        for unit in units:
            method = method_of(config, environment=folder.environment)
            name = "-".join([method, name_of(config.get("dataset")), unit])
            name = re.sub(r"[^A-Za-z0-9._-]", "-", name)
            artifact = wandb.Artifact(name, "model", metadata=_metadata(folder, unit) | {"kind": kind})
            try:
                if kind == "checkpoint":
                    _add_run_files(artifact, run, unit)
                elif pack is not None:
                    pack(unit, Path(temporary) / unit)
                    artifact.add_dir(str(Path(temporary) / unit))
            except AdframeError as error:
                warn(f"logger.artifact={kind}: {unit} is not logged: {error}")
                continue
            found.append(artifact)
        yield found


def _add_run_files(artifact: wandb.Artifact, run: Path, unit: str) -> None:
    """Adds what `adframe.load` needs of the run's folder."""
    banks = [path for form in ("bank", "*.bank") for path in run.glob(f"checkpoints/{unit}.{form}")]
    names = [*_RUN_FILES, f"checkpoints/{unit}.ckpt", f"{VALIDATION_FOLDER}/{unit}.json"]
    names += [path.relative_to(run).as_posix() for path in banks]
    for name in names:
        if (run / name).is_file():
            artifact.add_file(str(run / name), name=name)


def _metadata(run: RunFolder, unit: str) -> dict[str, Any]:
    calibration = run.metrics["val"].get(unit, {})
    tested = MEAN if unit == "global" else unit
    intervals = run.intervals.get(tested, {})
    return {
        "run": run.path.resolve().name,
        "category": unit,
        "threshold": calibration.get("calibration/threshold"),
        "normal_validation_images": calibration.get("calibration/n"),
        "metrics": dict(run.metrics["test"].get(tested, {})),
        "intervals": {name: list(ends) for name, ends in intervals.items()},
    }
