"""The files of a run folder: how each is read, and what is wrong where one cannot be read."""

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

ASIDE = ("trusted", "fetch")  # overrides that are typed again, or set, where a sweep is resumed
_AS_TYPED = {"True": "true", "False": "false", "None": "null"}  # Hydra writes swept values as Python does


def read_book(file: Path) -> Any:
    """The content of a YAML or JSON file of a run.

    Raises:
        AdframeError: the file cannot be read; the run is damaged.
    """
    try:
        text = file.read_text(encoding="utf-8")
        return yaml.safe_load(text) if file.suffix == ".yaml" else json.loads(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise AdframeError(f"cannot read {file}: {reason}; the run is damaged, start it again") from error


def shaped_book(file: Path, *, of_mappings: bool) -> dict[str, Any]:
    """A file that maps names to values, or, for `metrics.json`, splits to categories to numbers.

    Raises:
        AdframeError: the file cannot be read, or has another shape.
    """
    book = read_book(file)
    fits = isinstance(book, dict)
    if fits and of_mappings:
        parts = [book.get("test"), book.get("val")]
        fits = all(isinstance(p, dict) and all(isinstance(row, dict) for row in p.values()) for p in parts)
    if not fits:
        raise AdframeError(
            f"{file} does not have the shape of a run's file; the run is damaged, start it again"
        )
    return book  # type: ignore[no-any-return]


def mapping_of(file: Path, *, required: bool) -> dict[str, Any]:
    """A YAML or JSON file as a mapping; an empty one where the file is missing and not required.

    Raises:
        AdframeError: the file cannot be read, or holds no mapping.
    """
    if not file.exists() and not required:
        return {}
    try:
        text = file.read_text(encoding="utf-8")
        value = yaml.safe_load(text) if file.suffix == ".yaml" else json.loads(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise AdframeError(f"cannot read {file}: {reason}; only a run that has ended writes it") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise AdframeError(f"{file} holds no mapping of names to values; run the evaluation again")
    return value


def metrics_of(value: object, *, file: Path) -> Metrics:
    """Named numbers by category.

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
    """Intervals by category and metric, without those of which an end is unknown.

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
            for name, ends in _of_test(value).items()
        }
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise AdframeError(f"{file}: not intervals [low, high] ({error})") from error


def defects_in(value: object, *, file: Path) -> Mapping[str, Metrics]:
    """Metrics of each defect type by category.

    Raises:
        AdframeError: `value` has another shape.
    """
    try:
        return {name: metrics_of(types, file=file) for name, types in _of_test(value).items()}
    except AttributeError as error:
        raise AdframeError(f"{file}: its defects are not named by category") from error


def config_text(config: Mapping[str, Any]) -> str:
    """The configuration as YAML, without the secrets: a report is passed on."""
    return yaml.safe_dump(hide_secrets(config), sort_keys=False, allow_unicode=True, width=110)


def packed_draws(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Bootstrap draws as the bytes of a compressed `.npz` file, in float32."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{k: v.astype(np.float32) for k, v in arrays.items()})
    return buffer.getvalue()


def read_draws(file: Path) -> dict[str, np.ndarray]:
    """(resamples,) draws by metric.

    Raises:
        AdframeError: the file cannot be read; the run is damaged.
    """
    try:
        with np.load(file) as stored:
            return dict(stored)
    except (OSError, ValueError) as error:
        raise AdframeError(f"cannot read {file}: {error}; the run is damaged, start it again") from error


def mean_row(rows: Mapping[str, Mapping[str, float | None]]) -> dict[str, float]:
    """Mean over categories of each metric that every category has; a metric that is unknown in one is NaN."""
    values = list(rows.values())
    found = {}
    for name in values[0] if values else ():
        numbers = [row[name] for row in values if name in row]
        if len(numbers) == len(values):
            known = [number for number in numbers if number is not None]
            found[name] = sum(known) / len(known) if len(known) == len(numbers) else float("nan")
    return found


def told_overrides(overrides: Sequence[str]) -> list[str]:
    """What is written of a job's overrides: no secrets, and nothing that may differ where it is resumed."""
    return [hide_in_text(text) for text in overrides if text.lstrip("+~").partition("=")[0] not in ASIDE]


def overrides_of(command: Sequence[str]) -> dict[str, str]:
    """The overrides of a command by key, with the values as people type them."""
    pairs = dict(text.lstrip("+").partition("=")[::2] for text in told_overrides(command) if "=" in text)
    return {key: _AS_TYPED.get(value, value) for key, value in pairs.items()}


def _of_test(value: Any) -> Any:
    return {} if value is None else value.get("test", {})
