"""What a tracker shows of a run: its name, its tags, and a configuration by which runs can be filtered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adframe.io.secrets import hide_secrets
from adframe.results.names import method_of, name_of
from adframe.results.run_files import mapping_of, overrides_of
from adframe.results.sweep_folder import SWEEP_FILE

KINDS = ("wandb", "tensorboard", "mlflow", "csv", "none")
_LONGEST = 100  # of a name, in characters; Weights & Biases cuts names at 128 and refuses tags above 64
# Overrides that say nothing about the method, or that the name has already.
_UNNAMED = ("run", "model", "dataset", "category", "trusted", "fetch", "num_workers", "resume", "trainer")
_UNNAMED_GROUPS = ("logger", "paths", "hydra", "dataset.root")


def logger_kinds(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Lists the loggers that `logger=` names, one or several.

    Args:
        options: the configuration of `logger=`; `kinds` has one key per option of a list, and `kind` is that
            of the last one.

    Returns:
        The kinds; `kind` alone where it was overridden, and () for `none`.

    Example:
        >>> logger_kinds({"kind": "csv", "kinds": {"wandb": True, "csv": True}})
        ('wandb', 'csv')
        >>> logger_kinds({"kind": "none"})
        ()
    """
    kind, kinds = str(options["kind"]), [str(each) for each in options.get("kinds") or ()]
    return tuple(each for each in (kinds if kind in kinds else [kind]) if each != "none")


def run_name(run: Path, config: Mapping[str, Any], environment: Mapping[str, Any]) -> str:
    """Names a run by what varies.

    Args:
        run: the folder of the run.
        config: its configuration.
        environment: the content of its `environment.json`.

    Returns:
        In a sweep the overrides that differ between its runs; otherwise the method, the dataset, the
        category and the other overrides.
    """
    if varied := _varied_overrides(run):
        return _shortened(" ".join(varied))
    typed = overrides_of(environment.get("command") or [])
    # An evaluation names those that it tests, of a run of more.
    category = typed.get("category") or config.get("category") or "all"
    if isinstance(category, str):
        category = category.strip("[]").split(",")
    categories = "+".join(str(each).strip() for each in category)
    parts = [method_of(config, environment=environment), _chosen(config, environment, "dataset"), categories]
    parts += [f"{key}={value}" for key, value in typed.items()
              if key not in _UNNAMED and not key.startswith(_UNNAMED_GROUPS)]  # fmt: skip
    return _shortened(" ".join(part for part in parts if part))


def run_tags(
    config: Mapping[str, Any], environment: Mapping[str, Any], more: list[Any] | tuple[Any, ...] = ()
) -> list[str]:
    """Lists the tags of a run.

    Args:
        config: the configuration of the run.
        environment: the content of its `environment.json`.
        more: tags that the user chose.

    Returns:
        The user's tags, then method, dataset, backbone and shift, each once.
    """
    tags = [*map(str, more), *run_facts(config, environment).values()]
    return list(dict.fromkeys(tag[:64] for tag in tags if tag not in ("", "none")))


def run_facts(config: Mapping[str, Any], environment: Mapping[str, Any]) -> dict[str, str]:
    """Returns the names of the method, the dataset, the backbone and the shift of a run.

    Args:
        config: the configuration of the run.
        environment: the content of its `environment.json`.

    Returns:
        `method`, `dataset_name`, `backbone_name` and `shift_name`, which no key of the configuration has.
    """
    parts = {f"{key}_name": _chosen(config, environment, key) for key in ("dataset", "backbone", "shift")}
    model = config.get("model")
    if isinstance(model, Mapping) and "backbone" not in model:  # the method has no backbone
        parts["backbone_name"] = ""
    return {"method": method_of(config, environment=environment), **parts}


def filterable(config: Mapping[str, Any], environment: Mapping[str, Any]) -> dict[str, Any]:
    """Prepares a configuration for the filters of a tracker.

    Args:
        config: the configuration of the run.
        environment: the content of its `environment.json`.

    Returns:
        The configuration without secrets and without `logger`, with the names of its parts at the top, and
        with mappings by number in the place of lists of mappings, which no filter reaches.
    """
    settings = {key: value for key, value in hide_secrets(dict(config)).items() if key != "logger"}
    return {**{key: _without_lists(value) for key, value in settings.items()},
            **run_facts(config, environment)}  # fmt: skip


def flat_settings(settings: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """Flattens nested settings.

    Args:
        settings: nested mappings.
        prefix: of the names.

    Returns:
        Dotted name, as an override has it -> value.

    Example:
        >>> flat_settings({"seed": 1, "backbone": {"model": "vit"}})
        {'seed': 1, 'backbone.model': 'vit'}
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= (
            flat_settings(value, prefix=f"{prefix}{key}.")
            if isinstance(value, Mapping)
            else {f"{prefix}{key}": value}
        )
    return found


def _without_lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_lists(item) for key, item in value.items()}
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        return {str(number): _without_lists(item) for number, item in enumerate(value)}
    return value


def _varied_overrides(run: Path) -> list[str]:
    """Returns the overrides of a run of a sweep that differ between the runs of the sweep."""
    jobs = mapping_of(run.parent / SWEEP_FILE, required=False).get("jobs") or []
    if not run.name.isdecimal() or int(run.name) >= len(jobs):
        return []
    rows = [overrides_of(job) for job in jobs]
    own = rows[int(run.name)]
    return [f"{key}={value}" for key, value in own.items() if any(row.get(key) != value for row in rows)]


def _chosen(config: Mapping[str, Any], environment: Mapping[str, Any], key: str) -> str:
    """Returns the option that was chosen for a part, otherwise the name in the configuration."""
    chosen = environment.get(key)
    return chosen if isinstance(chosen, str) else name_of(config.get(key))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
