"""`adframe distill`: makes a teacher for EfficientAD."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from adframe.cli.arguments import Device


class TeacherSize(StrEnum):
    """Sizes of the teacher, as in EfficientAD."""

    small = "small"
    medium = "medium"


def distill(
    images: Annotated[
        Path, typer.Option(help="Folder of varied pictures without labels, such as ImageNet's.")
    ],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write.")],
    backbone: Annotated[
        str,
        typer.Option(help="Network to learn from: a convolutional name of backbone=, or any timm name."),
    ] = "wide_resnet50_2",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Local file with its weights.", show_default=False)
    ] = None,
    size: Annotated[TeacherSize, typer.Option(help="Size of the teacher.")] = TeacherSize.small,
    steps: Annotated[int, typer.Option(help="Steps of the training.", min=1)] = 60_000,
    batch_size: Annotated[int, typer.Option(help="Pictures in a step.", min=1)] = 16,
    image_size: Annotated[int, typer.Option(help="Side of the teacher's input in pixels.")] = 256,
    seed: Annotated[int, typer.Option(help="Seed of the weights and of all draws.", min=0)] = 42,
    threads: Annotated[int, typer.Option(help="Threads that decode pictures.", min=1)] = 4,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    device: Device = "auto",
) -> None:
    """Make a teacher for model=efficient_ad from a larger network.

    A patch description network learns the features of the larger network on any pictures, once for all
    products. The defaults are those of the paper, except for the network, which is Wide-ResNet-101 there
    (--backbone wide_resnet101_2.tv_in1k).
    """
    import safetensors.torch
    from rich.console import Console

    from adframe.config.load_detector import device_of
    from adframe.errors import AdframeError
    from adframe.io.files import write_whole
    from adframe.io.picture_folder import PictureFolder
    from adframe.models.distillation_target import DistillationTarget, open_backbone
    from adframe.runs.distillation import Distillation

    # Before hours of work.
    if out.suffix != ".safetensors":
        raise AdframeError(f"--out {out} must end in .safetensors")
    if out.exists() and not overwrite:
        raise AdframeError(f"--out {out} exists; choose another name, or give --overwrite")
    settings = Distillation(
        size=size.value, steps=steps, batch_size=batch_size, image_size=image_size, seed=seed, threads=threads
    )
    pictures, place = PictureFolder(images, setting="--images"), device_of(device)
    target = DistillationTarget(open_backbone(backbone, checkpoint=checkpoint))
    console, losses = Console(highlight=False, markup=False, soft_wrap=True), list[float]()
    every = max(1, steps // 10)

    def report(step: int, loss: float) -> None:
        losses.append(loss)
        if step % every == 0:
            latest = losses[-every:]
            console.print(f"step {step} of {steps}: loss {sum(latest) / len(latest):.4f}")

    network = settings.run(target, pictures, device=place, report=report)
    # The teacher's file says where it comes from.
    facts = {
        "backbone": backbone, "weights": target.backbone.origin, "sha256": target.backbone.digest,
        "pictures": str(len(pictures)), "steps": str(steps), "batch_size": str(batch_size),
        "image_size": str(image_size), "seed": str(seed), "loss": f"{losses[-1]:.6f}",
    }  # fmt: skip
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    write_whole(out, safetensors.torch.save(tensors, metadata=facts))
    console.print(
        f"teacher: {out} (PDN {size.value} from {backbone}, {len(pictures)} pictures, "
        f"last loss {losses[-1]:.4f}; 1 is a teacher that predicts the mean)"
    )
