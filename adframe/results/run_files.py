"""Reads the files of a run folder and checks their shape."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from adframe.errors import AdframeError
from adframe.io.secrets import hide_in_text, hide_secrets
from adframe.results.names import Metrics

UNRECORDED_OVERRIDES = ("trusted", "fetch")  # they may have other values when a sweep is resumed
_AS_TYPED = {"True": "true", "False": "false", "None": "null"}  # Hydra writes swept values in Python style


def read_run_file(file: Path) -> Any:
    """Reads a YAML or JSON file of a run.

    Args:
        file: the file; its suffix decides the format.

    Returns:
        The content as plain data.

    Raises:
        AdframeError: the file cannot be read; the run is damaged.
    """
    try:
        text = file.read_text(encoding="utf-8")
        return yaml.safe_load(text) if file.suffix == ".yaml" else json.loads(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise AdframeError(f"cannot read {file}: {reason}; the run is damaged, start it again") from error


def read_shaped_file(file: Path, *, of_mappings: bool) -> dict[str, Any]:
    """Reads a file of a run that must be a mapping.

    Args:
        file: a YAML or JSON file.
        of_mappings: whether it must have the shape of `metrics.json`: split -> category -> numbers.

    Returns:
        The mapping.

    Raises:
        AdframeError: the file cannot be read, or has another shape.
    """
    content = read_run_file(file)
    fits = isinstance(content, dict)
    if fits and of_mappings:
        parts = [content.get("test"), content.get("val")]
        fits = all(isinstance(p, dict) and all(isinstance(row, dict) for row in p.values()) for p in parts)
    if not fits:
        raise AdframeError(
            f"{file} does not have the shape of a run's file; the run is damaged, start it again"
        )
    return content  # type: ignore[no-any-return]


def mapping_of(file: Path, *, required: bool) -> dict[str, Any]:
    """Reads a YAML or JSON file of a finished run or sweep.

    Args:
        file: the file; its suffix decides the format.
        required: whether a missing file is an error.

    Returns:
        Its mapping; {} where the file is empty, or is missing and not required.

    Raises:
        AdframeError: the file cannot be read, or is not a mapping.
    """
    if not file.exists() and not required:
        return {}
    try:
        text = file.read_text(encoding="utf-8")
        value = yaml.safe_load(text) if file.suffix == ".yaml" else json.loads(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise AdframeError(f"cannot read {file}: {reason}; only a finished run has it") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise AdframeError(f"{file} is not a mapping of names to values; run the evaluation again")
    return value


def metrics_of(value: object, *, file: Path) -> Metrics:
    """Checks metrics that were read from a file.

    Args:
        value: category -> metric -> number, or None.
        file: the file, for the error.

    Returns:
        The same with floats; None for an unknown number.

    Raises:
        AdframeError: `value` has another shape.
    """
    if value is None:
        return {}
    try:
        return {
            name: {key: None if number is None else float(number) for key, number in numbers.items()}
            for name, numbers in value.items()  # type: ignore[attr-defined]
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise AdframeError(f"{file}: not categories of named numbers ({error})") from error


def intervals_in(value: object, *, file: Path) -> Mapping[str, Mapping[str, tuple[float, float]]]:
    """Checks intervals that were read from a file.

    Args:
        value: the node `intervals` of metrics.json, or None.
        file: the file, for the error.

    Returns:
        Category -> metric -> (low, high), without intervals of which an end is unknown.

    Raises:
        AdframeError: `value` has another shape.
    """
    try:
        return {
            name: {
                key: (float(pair[0]), float(pair[1]))
                for key, pair in ends.items()
                if pair is not None and None not in pair
            }
            for name, ends in _test_part(value).items()
        }
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise AdframeError(f"{file}: not intervals [low, high] ({error})") from error


def defects_in(value: object, *, file: Path) -> Mapping[str, Metrics]:
    """Checks metrics of types of defect that were read from a file.

    Args:
        value: the node `defects` of metrics.json, or None.
        file: the file, for the error.

    Returns:
        Category -> type of defect -> metric -> value.

    Raises:
        AdframeError: `value` has another shape.
    """
    try:
        return {name: metrics_of(types, file=file) for name, types in _test_part(value).items()}
    except AttributeError as error:
        raise AdframeError(f"{file}: its defects are not grouped by category") from error


def config_text(config: Mapping[str, Any]) -> str:
    """Writes a configuration as YAML for a report; secrets are hidden, because reports are shared.

    Args:
        config: plain data.

    Returns:
        YAML text.
    """
    return yaml.safe_dump(hide_secrets(config), sort_keys=False, allow_unicode=True, width=110)


def pack_draws(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Compresses bootstrap draws.

    Args:
        arrays: metric -> (resamples,) draws.

    Returns:
        The bytes of an `.npz` file with float32 arrays.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{k: v.astype(np.float32) for k, v in arrays.items()})
    return buffer.getvalue()


def read_draws(file: Path) -> dict[str, np.ndarray]:
    """Reads bootstrap draws.

    Args:
        file: an `.npz` file of a run.

    Returns:
        Metric -> (resamples,) float32.

    Raises:
        AdframeError: the file cannot be read; the run is damaged.
    """
    try:
        with np.load(file) as stored:
            return dict(stored)
    except (OSError, ValueError) as error:
        raise AdframeError(f"cannot read {file}: {error}; the run is damaged, start it again") from error


def mean_row(rows: Mapping[str, Mapping[str, float | None]]) -> dict[str, float]:
    """Averages metrics over categories.

    Args:
        rows: category -> metric -> value; None for an unknown value.

    Returns:
        Metric -> mean, for metrics that every category has; NaN where one of the values is unknown.

    Example:
        >>> mean_row({"bolt": {"image/auroc": 0.8}, "tray": {"image/auroc": 1.0}})
        {'image/auroc': 0.9}
    """
    values = list(rows.values())
    found = {}
    for name in values[0] if values else ():
        numbers = [row[name] for row in values if name in row]
        if len(numbers) == len(values):
            known = [number for number in numbers if number is not None]
            found[name] = sum(known) / len(known) if len(known) == len(numbers) else float("nan")
    return found


def recorded_overrides(overrides: Sequence[str]) -> list[str]:
    """Selects the overrides of a job that are stored.

    Args:
        overrides: `key=value` texts as they were typed.

    Returns:
        The texts without secrets and without keys that may differ where the sweep is resumed.
    """
    return [
        hide_in_text(text)
        for text in overrides
        if text.lstrip("+~").partition("=")[0] not in UNRECORDED_OVERRIDES
    ]


def overrides_of(command: Sequence[str]) -> dict[str, str]:
    """Parses the overrides of a command.

    Args:
        command: its words; those without `=` are ignored.

    Returns:
        Key -> value as people type it, such as `true`.

    Example:
        >>> overrides_of(["python", "train.py", "refit=True", "+tag=x"])
        {'refit': 'true', 'tag': 'x'}
    """
    pairs = dict(text.lstrip("+").partition("=")[::2] for text in recorded_overrides(command) if "=" in text)
    return {key: _AS_TYPED.get(value, value) for key, value in pairs.items()}


def _test_part(value: Any) -> Any:
    return {} if value is None else value.get("test", {})
