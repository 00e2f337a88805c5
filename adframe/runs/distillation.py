"""Distils a patch description network, the teacher of EfficientAD, from a large network on any pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as V

from adframe.errors import AdframeError
from adframe.io.picture_folder import PictureFolder
from adframe.models.distillation_target import DistillationTarget
from adframe.models.patch_description import PatchDescription, Size, normalise_imagenet
from adframe.ops.channel_moments import ChannelMoments

# Pictures whose features give mean and standard deviation of each channel (EfficientAD, appendix).
STATISTICS = 10_000


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """Configures a distillation; its defaults are those of EfficientAD's appendix.

    Attributes:
        size: `small` or `medium`.
        steps: number of steps, above 0.
        batch_size: pictures in a step.
        image_size: side of the small network's input in pixels, a multiple of 8, 64 or more.
        lr: learning rate of Adam.
        weight_decay: weight decay of Adam.
        grey: share of the pictures that are made grey, in [0, 1].
        seed: seed of the weights and of all draws.
        threads: threads that decode pictures.
    """

    size: Size = "small"
    steps: int = 60_000
    batch_size: int = 16
    image_size: int = 256
    lr: float = 1e-4
    weight_decay: float = 1e-5
    grey: float = 0.1
    seed: int = 42
    threads: int = 4

    def __post_init__(self) -> None:
        if self.image_size < 64 or self.image_size % 8:
            raise AdframeError(f"--image-size {self.image_size} must be a multiple of 8, 64 or more")

    def run(
        self,
        target: DistillationTarget,
        pictures: PictureFolder,
        *,
        device: torch.device,
        report: Callable[[int, float], None],
    ) -> PatchDescription:
        """Trains a network to predict the normalised features of the large one.

        Args:
            target: the large network.
            pictures: the pictures; they need no labels.
            device: where it is trained.
            report: called after each step with its number, from 1, and its loss.

        Returns:
            The network on the CPU.
        """
        target = target.to(device)
        mean, std = self._statistics(target, pictures, device=device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = PatchDescription(self.size).to(device)
        optimizer = torch.optim.Adam(network.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        for step, large in enumerate(self._batches(pictures, device=device), start=1):
            side = self.image_size
            small = F.interpolate(
                large, size=(side, side), mode="bilinear", align_corners=False, antialias=True
            )
            loss = F.mse_loss(network(normalise_imagenet(small)), (target(large) - mean) / std)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            report(step, float(loss.detach()))
        return network.cpu().eval()

    def _statistics(
        self, target: DistillationTarget, pictures: PictureFolder, *, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Returns mean and standard deviation (1, C, 1, 1) of the channels of the large network."""
        generator = torch.Generator().manual_seed(self.seed)
        chosen = torch.randperm(len(pictures), generator=generator)[:STATISTICS].tolist()
        moments = ChannelMoments()
        with ThreadPoolExecutor(self.threads) as pool:
            for start in range(0, len(chosen), self.batch_size):
                indices = chosen[start : start + self.batch_size]
                large = torch.stack(list(pool.map(lambda i: self._read(pictures, i), indices))).to(device)
                moments.add(target(large))
        return moments.result()

    def _batches(self, pictures: PictureFolder, *, device: torch.device) -> Iterator[Tensor]:
        """Yields random pictures (B, 3, 2 H, 2 W); the next ones are read while the last ones are used."""
        generator = torch.Generator().manual_seed(self.seed + 1)

        def draw() -> list[tuple[int, bool]]:
            indices = torch.randint(len(pictures), (self.batch_size,), generator=generator).tolist()
            greys = (torch.rand(self.batch_size, generator=generator) < self.grey).tolist()
            return list(zip(indices, greys, strict=True))

        def read(drawn: tuple[int, bool]) -> Tensor:
            picture = self._read(pictures, drawn[0])
            return V.rgb_to_grayscale(picture, 3) if drawn[1] else picture

        with ThreadPoolExecutor(self.threads) as pool:
            waiting = pool.map(read, draw())
            for step in range(self.steps):
                batch = torch.stack(list(waiting)).to(device)
                if step + 1 < self.steps:
                    waiting = pool.map(read, draw())
                yield batch

    def _read(self, pictures: PictureFolder, index: int) -> Tensor:
        side = 2 * self.image_size
        return torch.from_numpy(pictures.read(index, size=(side, side)))
