"""The work of `evaluate.py maps=<folder>`: measures anomaly maps that another tool wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from adframe.cli.train import print_run
from adframe.cli.typed import TypedOverrides
from adframe.config.build import build, build_source, requested_category
from adframe.config.validate import RULES, ValueRule, check_values
from adframe.reporting.notes import quieten
from adframe.runs.evaluate_maps import evaluate_maps
from adframe.runs.provenance import command_line

MAPS_GROUPS = ("paths", "dataset", "metrics")
MAPS_RULES: dict[str, ValueRule] = {
    "maps": (lambda v: isinstance(v, str) and v != "", "a folder of anomaly maps"),
    "scores": (lambda v: v is None or isinstance(v, str), "null, or a CSV with columns path and score"),
    "category": RULES["category"],
    "seed": RULES["seed"],
    "trusted": RULES["trusted"],
    "output": (lambda v: isinstance(v, str) and v != "", "a new or an empty folder"),
}


def run_maps(cfg: DictConfig, typed: TypedOverrides) -> Path:
    """Measures the maps in `cfg.maps` against a dataset's ground truth.

    Args:
        cfg: the configuration of `evaluate.py maps=...`, composed.
        typed: the typed overrides.

    Returns:
        The folder of the results.

    Raises:
        AdframeError: a map is missing, of another size, or not finite; the message names the map and its
            image.
    """
    quieten()
    check_values(
        cfg,
        overrides=typed.overrides,
        hydra_overrides=typed.hydra,
        rules=MAPS_RULES,
        groups=MAPS_GROUPS,
        folder_key="output",
    )
    source = build_source(cfg)
    maps = Path(str(cfg.maps))
    tool = "/".join(maps.resolve().parts[-2:])  # the name of the tool is unknown, its folder is not
    folder = evaluate_maps(
        maps,
        source,
        Path(str(cfg.output)),
        category=requested_category(cfg),
        scores=None if cfg.scores is None else Path(str(cfg.scores)),
        pixel=build(cfg, "metrics", {"saturated": source.saturated}),
        seed=cfg.seed,
        config=_stored_config(cfg),
        choices={"method": tool, "dataset": typed.choices["dataset"]},
        command=command_line(list(typed.overrides)),
    )
    return print_run(folder)


def _stored_config(cfg: DictConfig) -> dict[str, Any]:
    """Returns the configuration of the evaluation with absolute paths."""
    keys = ("maps", "scores", "category", "seed", "dataset", "metrics")
    nodes = {key: cfg[key] for key in keys}
    plain: dict[str, Any] = {
        key: OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        for key, node in nodes.items()
    }
    for key in ("maps", "scores"):
        plain[key] = None if plain[key] is None else str(Path(plain[key]).resolve())
    plain["dataset"]["root"] = str(Path(plain["dataset"]["root"]).resolve())
    return plain
