"""Every yaml is a tested program: it composes, and what it names exists and takes what it is given."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

import pytest
import yaml
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf, open_dict

from adframe.cli.typed import TypedOverrides
from adframe.config.build import build
from adframe.config.validate import check_values
from adframe.sweeps.job import without_sweep_keys
from tests.composing import Composed
from tests.covering import further
from tests.e2e.scripts import BACKBONE, ROOT, composed
from tests.experiments import EXPERIMENTS, jobs_of, one_of_each_value

CONF = ROOT / "conf"
FILES = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml"))
PIECES = {  # groups whose options are parts of another group's, and the place that one of them gets there
    "shift/transform": "shift.transforms.tried",
    "synthesis/family": "synthesis.families.tried",
    "calibration/rule": "calibration.image",
}
VIT = (
    "backbone=timm",
    "backbone.model=vit_tiny_patch16_224",
    "backbone.layers=[blocks.5]",
    "backbone.source=random",
)
WHOLE = ("hydra", "experiment")  # groups that are tested in another way
OPTIONS = [
    path
    for path in FILES
    if len(path.parts) > 1
    and path.parts[0] not in WHOLE
    and not (path.parent.as_posix() in PIECES and path.stem == "base")  # what the options of a group share
]
OF_GROUP = {
    group: [path.stem for path in OPTIONS if path.parent.as_posix() == group]
    for group in dict.fromkeys(path.parent.as_posix() for path in OPTIONS)
}
GLOBAL = ("model", "store", "tiling", "roi")  # groups with options that set keys of other groups
GIVEN = {  # arguments that the code adds
    "adframe.metrics.pixel.PixelMetrics": {"saturated"},
    "adframe.callbacks.maps.MapWriter": {"folder"},
}


def targets(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield node
        for child in node.values():
            yield from targets(child)


@cache
def parameters_of(target: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(get_object(target)).parameters)


def check_targets(cfg: DictConfig) -> None:
    for node in targets(OmegaConf.to_container(cfg)):
        parameters = parameters_of(node["_target_"])
        told = {name for name in node if not name.startswith("_")}
        assert told <= set(parameters), f"{node['_target_']} takes no {told - set(parameters)}"
        needed = {name for name, p in parameters.items() if p.default is p.empty}
        assert "_partial_" in node or needed <= told | GIVEN.get(node["_target_"], set())


def chosen(group: str) -> Iterator[tuple[str, DictConfig]]:
    """Each option of a group by name, with the configuration in which it is the one that was chosen.

    Composing takes a quarter of a second, so it is done once: all options are put side by side, and each is
    moved to its place in turn.
    """
    if group in GLOBAL:
        yield from ((name, composed("train", f"{group}={name}")) for name in OF_GROUP[group])
        return
    cfg = composed("train", *(f"+{group}@tried.{name}={name}" for name in OF_GROUP[group]))
    with open_dict(cfg):
        tried = cfg.pop("tried")
    for name in OF_GROUP[group]:
        whole = cfg.copy()
        OmegaConf.update(whole, PIECES.get(group, group), tried[name], merge=False, force_add=True)
        yield name, whole


@pytest.mark.parametrize("group", OF_GROUP)
def test_every_option_composes_and_what_it_names_exists(group: str) -> None:
    wrong = {}
    for name, cfg in chosen(group):
        try:
            check_targets(cfg)
            given = ("backbone.model", "backbone.layers") if name == "timm" else OmegaConf.missing_keys(cfg)
            for key in given:
                OmegaConf.update(cfg, key, "given by the user")
            assert OmegaConf.to_container(cfg, resolve=True)  # every interpolation leads somewhere
        except Exception as error:  # the others are looked at as well
            wrong[name] = error
    assert wrong == {}


def test_the_sweep_and_the_evaluation_compose() -> None:
    assert composed("sweep").coreset == composed("train").coreset
    assert composed("evaluate", "run=x").run == "x"


def is_option(override: str) -> bool:
    """Whether it chooses a file, for which the configuration has to be composed again."""
    return (CONF / override.lstrip("+").partition("=")[0].partition("@")[0]).is_dir()


@lru_cache(maxsize=8)
def small(name: str, options: tuple[str, ...], *, keeps_backbone: bool) -> Composed:
    """An experiment with options, and a small network without weights in place of its backbone."""
    given = (f"experiment={name}", *options)
    if keeps_backbone:
        return Composed.of("sweep", *given)
    cfg = composed("sweep", *given)
    network = (*BACKBONE, "backbone.layers=[layer1,layer2,layer3]")
    if "vit" in cfg.model:
        network = VIT
    elif "prompts" in cfg.model:  # it needs a text tower
        network = ("backbone.source=random",)
    return Composed.of("sweep", *given, *network)


@pytest.mark.slow
@pytest.mark.parametrize("name", further(EXPERIMENTS, often=["domain_shift", "memory"]))
def test_every_value_that_an_experiment_sweeps_is_possible(name: str) -> None:
    few = one_of_each_value(jobs_of(name))
    weights = any(text.startswith("backbone=") for text in few[0])  # which may not be here
    assert len(few) > 1
    for job in few:
        options = tuple(text for text in job if is_option(text))
        cfg = small(name, options, keeps_backbone=weights).changed(*(set(job) - set(options)))
        check_values(without_sweep_keys(cfg), overrides=TypedOverrides.from_hydra().overrides)
        check_targets(cfg)
        if not weights:
            build(cfg, "model")


def test_an_experiment_says_its_command_what_to_expect_and_how_long() -> None:
    wrong = []
    for name in EXPERIMENTS:
        lines = (CONF / f"experiment/{name}.yaml").read_text().splitlines()
        header = " ".join(line for line in lines if line.startswith("#"))
        words = (f"python sweep.py experiment={name}", "Expect: ", "Takes: ", "chosen on test data")
        wrong += [f"{name}: {word}" for word in words if word not in header]
        if not re.search(r"Takes: [^#]*\d+ (seconds|minutes)", header):
            wrong.append(f"{name}: no time")
    assert wrong == []


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_runs_from_nothing_and_the_command_line_wins(name: str) -> None:
    assert composed("sweep", f"experiment={name}").dataset.name == "toy"
    given = ("image_size=96", "coreset=0.3", "backbone=resnet18", "model=patchcore", "dataset=mvtec_loco")
    cfg = composed("sweep", f"experiment={name}", *given)
    assert (cfg.image_size, cfg.coreset, cfg.backbone.name) == (96, 0.3, "resnet18")
    assert cfg.model._target_ == "adframe.models.extended_patchcore.create_patchcore"
    assert cfg.dataset.name == "mvtec_loco"
    check_targets(OmegaConf.masked_copy(cfg, ["dataset"]))


def test_every_yaml_has_fewer_than_50_lines() -> None:
    assert [str(path) for path in FILES if len((CONF / path).read_text().splitlines()) >= 50] == []


def test_no_yaml_says_a_shared_value_twice() -> None:
    shared = {k: v for k, v in yaml.safe_load((CONF / "train.yaml").read_text()).items() if k != "defaults"}
    own = {path: yaml.safe_load((CONF / path).read_text()) or {} for path in OPTIONS}
    again = [
        f"{path}: {key}"
        for path in OPTIONS
        if path.parts[0] not in ("dataset", "debug", "tiling")
        for key in own[path].keys() & shared.keys()
        if "${" not in str(own[path][key])
    ]
    assert again == []
