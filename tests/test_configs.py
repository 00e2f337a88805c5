"""Every yaml is a tested program: it composes, and what it names exists and takes what it is given."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.utils import get_object
from omegaconf import OmegaConf

from adframe.config.build import build
from adframe.config.validate import check_values
from adframe.sweeps.job import of_job
from tests.e2e.scripts import BACKBONE, ROOT, composed
from tests.experiments import EXPERIMENTS, jobs_of, one_of_each_value

CONF = ROOT / "conf"
FILES = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml"))
PIECES = {
    Path("shift/transform/base.yaml"),
    Path("calibration/rule/base.yaml"),
    Path("synthesis/family/base.yaml"),
}  # what the options of a group share
VIT = (
    "backbone=timm",
    "backbone.model=vit_tiny_patch16_224",
    "backbone.layers=[blocks.5]",
    "backbone.source=random",
)
WHOLE = ("hydra", "experiment")  # groups that are tested in another way
OPTIONS = [
    path for path in FILES if len(path.parts) > 1 and path.parts[0] not in WHOLE and path not in PIECES
]
GIVEN = {  # arguments that the code adds
    "adframe.metrics.pixel.PixelMetrics": {"saturated"},
    "adframe.callbacks.maps.MapWriter": {"folder"},
}
DEFAULTS = yaml.safe_load((CONF / "train.yaml").read_text())["defaults"]
GROUPS = {group.removeprefix("override ") for entry in DEFAULTS if isinstance(entry, dict) for group in entry}


def choosing(path: Path) -> str:
    """The override that chooses a yaml; a group that is not in the defaults list needs a plus."""
    group = path.parent.as_posix()
    if group == "shift/transform":  # a piece of a shift, added under its own name
        return f"+{group}@shift.transforms.{path.stem}={path.stem}"
    if group == "synthesis/family":  # a piece of a synthesis
        return f"+{group}@synthesis.families.{path.stem}={path.stem}"
    if group == "calibration/rule":
        return f"{group}@calibration.image={path.stem}"
    return f"{'' if group in GROUPS else '+'}{group}={path.stem}"


def targets(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield node
        for child in node.values():
            yield from targets(child)


def check_target(node: dict[str, Any]) -> None:
    parameters = inspect.signature(get_object(node["_target_"])).parameters
    told = {name for name in node if not name.startswith("_")}
    assert told <= set(parameters), f"{node['_target_']} takes no {told - set(parameters)}"
    needed = {name for name, p in parameters.items() if p.default is p.empty}
    assert "_partial_" in node or needed <= told | GIVEN.get(node["_target_"], set())


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: path.with_suffix("").as_posix())
def test_every_option_composes_and_what_it_names_exists(path: Path) -> None:
    cfg = composed("train", choosing(path))
    for node in targets(OmegaConf.to_container(cfg)):
        check_target(node)
    for key in OmegaConf.missing_keys(cfg) if path.stem != "timm" else ("backbone.model", "backbone.layers"):
        OmegaConf.update(cfg, key, "given by the user")
    assert OmegaConf.to_container(cfg, resolve=True)  # every interpolation leads somewhere


def test_the_sweep_and_the_evaluation_compose() -> None:
    assert composed("sweep").coreset == composed("train").coreset
    assert composed("evaluate", "run=x").run == "x"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_value_that_an_experiment_sweeps_is_possible(name: str) -> None:
    few = one_of_each_value(jobs_of(name))
    weights = any(text.startswith("backbone=") for text in few[0])  # which may not be here
    layers = "backbone.layers=[layer1,layer2,layer3]"
    assert len(few) > 1
    for job in few:
        chosen = [f"experiment={name}", *job]
        vit = composed("sweep", *chosen).learning  # what learns by gradient here is a vision transformer
        small = VIT if vit else (*BACKBONE, layers)
        cfg = composed("sweep", *chosen, *(() if weights else small))
        check_values(of_job(cfg))
        for node in targets(OmegaConf.to_container(cfg)):
            check_target(node)
        if not weights:
            build(cfg, "model")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_says_its_command_what_to_expect_and_how_long(name: str) -> None:
    text = (CONF / f"experiment/{name}.yaml").read_text()
    header = " ".join(line for line in text.splitlines() if line.startswith("#"))
    assert f"python sweep.py experiment={name}" in header
    assert all(word in header for word in ("Expect: ", "Takes: ", "chosen on test data"))
    assert re.search(r"Takes: [^#]*\d+ (seconds|minutes)", header)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_runs_from_nothing_and_the_command_line_wins(name: str) -> None:
    assert composed("sweep", f"experiment={name}").dataset.name == "toy"
    cfg = composed(
        "sweep", f"experiment={name}", "image_size=96", "coreset=0.3", "backbone=resnet18", "model=patchcore"
    )
    assert (cfg.image_size, cfg.coreset, cfg.backbone.name) == (96, 0.3, "resnet18")
    assert cfg.model._target_ == "adframe.models.patchcore.PatchCore"
    elsewhere = composed("sweep", f"experiment={name}", "dataset=mvtec_loco")
    check_target(OmegaConf.to_container(elsewhere)["dataset"])  # type: ignore[index,call-overload]


def test_every_yaml_has_fewer_than_50_lines() -> None:
    assert [str(path) for path in FILES if len((CONF / path).read_text().splitlines()) >= 50] == []


def test_no_yaml_says_a_shared_value_twice() -> None:
    shared = {k: v for k, v in yaml.safe_load((CONF / "train.yaml").read_text()).items() if k != "defaults"}
    own = {path: yaml.safe_load((CONF / path).read_text()) or {} for path in OPTIONS}
    again = [
        f"{path}: {key}"
        for path in OPTIONS
        if path.parts[0] not in ("dataset", "debug")
        for key in own[path].keys() & shared.keys()
        if "${" not in str(own[path][key])
    ]
    assert again == []
