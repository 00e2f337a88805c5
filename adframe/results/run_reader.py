"""A run's folder, read back: what the page is a function of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from adframe.errors import AdframeError
from adframe.io.secrets import hidden
from adframe.results.gallery import Picture, read_gallery
from adframe.results.names import MEAN, Metrics
from adframe.results.predictions import Row, read_ledger


@dataclass(frozen=True, slots=True)
class Run:
    """Everything a run has left, except the pictures' bytes."""

    path: Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    test: Metrics
    val: Metrics
    rows: tuple[Row, ...]  # of the test split
    pictures: tuple[Picture, ...]
    intervals: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)  # as `test`
    defects: Mapping[str, Metrics] = field(default_factory=dict)  # category -> defect type -> metric's name

    @property
    def categories(self) -> tuple[str, ...]:
        """In the order of metrics.json, then those that only the ledger knows."""
        names = [name for name in self.test if name != MEAN] + [row["category"] for row in self.rows]
        return tuple(dict.fromkeys(names))


def read_run(run: Path) -> Run:
    """Read a run's folder; only metrics.json must be there, all else may be missing.

    Raises:
        AdframeError: no such folder, no metrics.json, or a file that cannot be understood.
    """
    metrics = _json(run / "metrics.json", required=True)
    ledger = run / "predictions.parquet"
    rows = read_ledger(ledger) if ledger.exists() else []
    return Run(
        path=run,
        config=_yaml(run / "config.yaml"),
        environment=_json(run / "environment.json", required=False),
        test=_metrics(metrics.get("test"), run=run),
        val=_metrics(metrics.get("val"), run=run),
        rows=tuple(row for row in rows if row["split"] not in ("train", "val")),
        pictures=tuple(read_gallery(run)),
        intervals=_intervals(metrics.get("intervals"), run=run),
        defects=_defects(metrics.get("defects"), run=run),
    )


def config_text(config: Mapping[str, Any]) -> str:
    """The configuration as yaml, without the secrets: a report is passed on."""
    return yaml.safe_dump(hidden(config), sort_keys=False, allow_unicode=True, width=110)


def name_of(node: object) -> str:
    """What a part of the configuration is called: its text, its `name`, or the class it builds."""
    if isinstance(node, Mapping):
        named = node.get("name") or str(node.get("_target_", "")).rpartition(".")[2]
        return str(named)
    return "" if node is None else str(node)


def _metrics(value: object, *, run: Path) -> Metrics:
    if value is None:
        return {}
    try:
        return {
            name: {key: None if number is None else float(number) for key, number in numbers.items()}
            for name, numbers in value.items()  # type: ignore[attr-defined]
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise AdframeError(f"{run / 'metrics.json'}: not categories of named numbers ({error})") from error


def _intervals(value: object, *, run: Path) -> Mapping[str, Mapping[str, Sequence[float]]]:
    """Of the test split: {category: {metric: (low, high)}}; without the ends that nobody knows."""
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
        raise AdframeError(f"{run / 'metrics.json'}: not intervals [low, high] ({error})") from error


def _defects(value: object, *, run: Path) -> Mapping[str, Metrics]:
    try:
        return {name: _metrics(types, run=run) for name, types in _of_test(value).items()}
    except AttributeError as error:
        raise AdframeError(f"{run / 'metrics.json'}: its defects are not named by category") from error


def _of_test(value: Any) -> Any:
    """What stands under `test`; nothing in a folder that has none."""
    return {} if value is None else value.get("test", {})


def _json(path: Path, *, required: bool) -> dict[str, Any]:
    if not path.exists() and not required:
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdframeError(f"cannot read {path}: {error}; a run that has ended leaves it behind") from error
    return _mapping(value, path=path)


def _yaml(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise AdframeError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    return _mapping(value or {}, path=path)


def _mapping(value: object, *, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise AdframeError(f"{path} holds no mapping of names to values; run the evaluation again")
    return value
