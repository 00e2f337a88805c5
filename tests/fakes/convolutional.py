"""Small trained methods on convolutional networks, with seeded random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from adframe.models.backbones import TimmBackbone
from adframe.models.efficient_ad import EfficientAD
from adframe.models.patch_description import PatchDescription, Size
from adframe.models.reverse_distillation import ReverseDistillation
from adframe.models.seeded_training import SeededTraining
from adframe.models.supersimplenet import SuperSimpleNet
from tests.fakes.reconstructed import grey


def tiny_cnn(layers: Any = "pyramid", *, model: str = "test_resnet") -> TimmBackbone:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TimmBackbone(model, layers=layers, source="random")


def tiny_reverse_distillation(**settings: Any) -> ReverseDistillation:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return ReverseDistillation(tiny_cnn(), **settings)


def tiny_supersimplenet(**settings: Any) -> SuperSimpleNet:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return SuperSimpleNet(tiny_cnn(["layer2", "layer3"]), **({"hidden": 16} | settings))


def tiny_teacher(path: Path, *, size: Size = "small") -> Path:
    """Writes a patch description network of few channels."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        save_file(PatchDescription(size, features=6, width=4).state_dict(), path)
    return path


def tiny_efficient_ad(folder: Path, **settings: Any) -> EfficientAD:
    teacher = tiny_teacher(folder / "teacher.safetensors")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return EfficientAD(teacher, autoencoder_width=4, **settings)


def learn(model: SeededTraining, *, steps: int, lr: float, size: int = 64, count: int = 4) -> list[float]:
    """Trains on images of weak noise, and returns the total losses of the steps."""
    optimizer = torch.optim.Adam(model.groups(weight_decay=0.0, layer_decay=1.0)[0]["params"], lr=lr)
    model.train()
    found = []
    for step in range(steps):
        optimizer.zero_grad()
        total = model.loss(grey(count, size=(size, size), seed=step % 3))["total"]
        total.backward()
        optimizer.step()
        found.append(float(total.detach()))
    return found
