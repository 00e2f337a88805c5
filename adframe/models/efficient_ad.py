"""EfficientAD (Batzner, Heckler, König, EfficientAD: Accurate Visual Anomaly Detection at Millisecond-Level
Latencies, WACV 2024, arXiv 2303.14535).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as V

from adframe.contracts import IMAGE, Batch, Prediction
from adframe.errors import AdframeError, above
from adframe.io.picture_folder import PictureFolder
from adframe.models.efficient_autoencoder import Autoencoder
from adframe.models.patch_description import (
    MARGIN,
    PatchDescription,
    Teacher,
    normalise_imagenet,
)
from adframe.models.seeded_training import SeededTraining
from adframe.models.shared_step import drawn_for_all, ratio_of_all, total_of_all, values_of_all
from adframe.ops.channel_moments import ChannelMoments
from adframe.ops.smoothing import heatmap

# What the two quantiles of a map become.
LOW, HIGH = 0.0, 0.1
NO_PENALTY = (
    "model.penalty_images=null: the student's penalty on pictures of other things, a part of EfficientAD, is "
    "left out; name a folder of varied pictures, such as ImageNet's"
)


class EfficientAD(SeededTraining):
    """Trains a student to imitate a teacher on normal images, and an autoencoder to predict both.

    The student's first half imitates the teacher, on which structural anomalies are seen; its second half
    imitates the autoencoder, which sees the whole image and fails on logical anomalies.

    Args:
        teacher: a local file with the weights of a patch description network; it decides on small or medium.
        penalty_images: folder of varied pictures on which the student's first half shall be small; None
            leaves the penalty out.
        hard_quantile: the student learns only from values above this quantile of its squared errors, [0, 1).
        augmentation: the autoencoder learns from images whose brightness, contrast or saturation was changed
            by a factor in [1 - a, 1 + a], in [0, 1].
        penalty_grey: share of the penalty's pictures that are made grey, in [0, 1].
        quantiles: quantiles of each map's values on held-out normal images, which are mapped to 0 and 0.1.
        autoencoder_width: channels of the autoencoder's layers, an even number.
        dropout: dropout of the autoencoder, in [0, 1).
        seed: seed of the random draws in training.

    Raises:
        AdframeError: if the teacher's file cannot be used, or a number is out of range.

    Example:
        >>> from safetensors.torch import save_file
        >>> save_file(PatchDescription("small", features=6, width=4).state_dict(), "teacher.safetensors")
        >>> model = EfficientAD("teacher.safetensors", autoencoder_width=4).eval()
        >>> model(torch.rand(1, 3, 256, 256)).heatmap.shape
        torch.Size([1, 1, 256, 256])
    """

    needs_preview = True
    needs_held_out = True
    mean: Tensor
    std: Tensor
    limits: Tensor

    def __init__(
        self,
        teacher: str | Path,
        *,
        penalty_images: str | Path | None = None,
        hard_quantile: float = 0.999,
        augmentation: float = 0.2,
        penalty_grey: float = 0.3,
        quantiles: Sequence[float] = (0.9, 0.995),
        autoencoder_width: int = 64,
        dropout: float = 0.2,
        seed: int = 42,
    ) -> None:
        super().__init__(seed=seed)
        wrong = [
            text
            for text, bad in (
                (f"hard_quantile={hard_quantile} must be in [0, 1)", not 0 <= hard_quantile < 1),
                (f"augmentation={augmentation} must be from 0 to 1", not 0 <= augmentation <= 1),
                (f"penalty_grey={penalty_grey} must be from 0 to 1", not 0 <= penalty_grey <= 1),
                (
                    f"quantiles={list(quantiles)} must be two ascending numbers in [0, 1]",
                    len(quantiles) != 2 or not 0 <= quantiles[0] < quantiles[1] <= 1,
                ),
                (
                    f"autoencoder_width={autoencoder_width} must be an even number above 0",
                    not above(autoencoder_width, 0) or autoencoder_width % 2 != 0,
                ),
                (f"dropout={dropout} must be in [0, 1)", not 0 <= dropout < 1),
            )
            if bad
        ]
        if wrong:
            raise AdframeError("; ".join(f"model.{text}" for text in wrong))
        self.teacher = Teacher(teacher)
        own = self.teacher.network
        self.student = PatchDescription(own.size, features=2 * own.features, width=own.width)
        self.autoencoder = Autoencoder(features=own.features, width=autoencoder_width, dropout=dropout)
        self.hard_quantile, self.augmentation, self.penalty_grey = hard_quantile, augmentation, penalty_grey
        self.quantiles, self.penalty_images = tuple(quantiles), penalty_images
        self.register_buffer("mean", torch.zeros(1, own.features, 1, 1))  # of the teacher's channels
        self.register_buffer("std", torch.ones(1, own.features, 1, 1))
        # The two quantiles of the student's map, and of the autoencoder's; maps are unchanged by these ones.
        self.register_buffer("limits", torch.tensor([[LOW, HIGH]] * 2))
        self._pictures: PictureFolder | None = None
        self._moments = ChannelMoments()  # of the teacher's channels, while images are shown
        self._held_out: list[list[Tensor]] = [[], []]  # values of both maps

    @property
    def backbone(self) -> Teacher:
        """Returns the teacher, whose name and digest a checkpoint stores."""
        return self.teacher

    @property
    def frozen(self) -> set[str]:
        """Returns the names of the teacher's tensors."""
        return {f"teacher.{name}" for name in self.teacher.state_dict()}

    @property
    def cautions(self) -> list[str]:
        """Returns what the report says about the settings."""
        return [NO_PENALTY] if self.penalty_images is None else []

    # Before training

    @torch.no_grad()
    def preview(self, image: Tensor) -> None:
        """Adds normal images to the statistics of the teacher's channels.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Raises:
            AdframeError: the folder of the penalty's pictures has none.
        """
        if self.penalty_images is not None:
            self._open_pictures()  # before hours of training
        self._moments.add(self.teacher(image))

    def finalise_preview(self) -> None:
        """Computes mean and standard deviation of the teacher's channels over all training images."""
        mean, std = self._moments.result()
        self.mean.copy_(mean)
        self.std.copy_(std)
        self._moments = ChannelMoments()

    # Training

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Computes the losses of the paper, algorithm 1.

        Args:
            batch: with `image` (B, 3, H, W).

        Returns:
            `student`, the mean of its hardest squared errors; `penalty`, where there are pictures;
            `autoencoder`; and `student_autoencoder`.
        """
        image, features = batch[IMAGE], self.teacher.network.features
        imitated = self.student(normalise_imagenet(image))[:, :features]
        terms = {
            "student": mean_of_hardest(
                (self.describe(image) - imitated).square(), quantile=self.hard_quantile
            )
        }
        if self.penalty_images is not None:
            pictures = self._draw_pictures(image)
            terms["penalty"] = self.student(normalise_imagenet(pictures))[:, :features].square().mean()
        changed = self._augment(image)
        target, normal = self.describe(changed), normalise_imagenet(changed)
        predicted = self.autoencoder(normal, size=(target.shape[-2], target.shape[-1]))
        terms["autoencoder"] = F.mse_loss(predicted, target)
        terms["student_autoencoder"] = F.mse_loss(self.student(normal)[:, features:], predicted)
        return terms

    def describe(self, image: Tensor) -> Tensor:
        """Computes the teacher's features, normalised by channel.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            (B, C, h, w).
        """
        found: Tensor = (self.teacher(image) - self.mean) / self.std
        return found

    # Scoring

    @torch.no_grad()
    def maps(self, image: Tensor) -> list[Tensor]:
        """Computes squared differences, averaged over the channels, before they are normalised.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            (B, 1, H, W) between student and teacher, and between student and autoencoder.
        """
        # In float32 also where training is not, when limits are fitted as when images are scored.
        with torch.autocast(image.device.type, enabled=False):
            target, normal = self.describe(image), normalise_imagenet(image)
            first, second = self.student(normal).chunk(2, dim=1)
            predicted = self.autoencoder(normal, size=(target.shape[-2], target.shape[-1]))
            size = (image.shape[-2], image.shape[-1])
            found = []
            for one, two in ((target, first), (predicted, second)):
                grid = (one - two).square().mean(dim=1, keepdim=True)
                # No output is centred near the border, where the nearest one stands for the pixels.
                grid = F.pad(grid, (MARGIN,) * 4, mode="replicate")
                found.append(heatmap(grid, size=size, sigma=0))
            return found

    def collect_held_out(self, image: Tensor) -> None:
        """Collects the values of both maps on held-out normal images.

        Args:
            image: (B, 3, H, W) in [0, 1].
        """
        for values, found in zip(self._held_out, self.maps(image), strict=True):
            values.append(found.flatten().cpu())

    def finalise_held_out(self) -> None:
        """Computes the quantiles by which the maps are normalised.

        Raises:
            AdframeError: there are no held-out normal images.
        """
        if not self._held_out[0]:
            raise AdframeError("model=efficient_ad needs normal validation images, by which maps are scaled")
        for limits, values in zip(self.limits, self._held_out, strict=True):
            pixels = torch.cat(values).numpy()
            # torch.quantile takes no more than 16 million values, and torch's sort returns places as well.
            places = [round(share * (len(pixels) - 1)) for share in self.quantiles]
            pixels.partition(places)
            limits.copy_(torch.from_numpy(pixels[places]))
        self._held_out = [[], []]

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """Scores images by the mean of both maps, scaled by their quantiles (paper, 3.4).

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Raw scores (B,), the largest pixels, and heatmaps (B, 1, H, W).
        """
        scaled = [
            LOW + (HIGH - LOW) * (found - limits[0]) / (limits[1] - limits[0]).clamp(min=1e-12)
            for found, limits in zip(self.maps(image), self.limits, strict=True)
        ]
        combined = (scaled[0] + scaled[1]) / 2
        return Prediction(combined.amax(dim=(1, 2, 3)), combined)

    def _augment(self, image: Tensor) -> Tensor:
        """Changes brightness, contrast or saturation of each image (paper, 3.3)."""
        changes = (V.adjust_brightness, V.adjust_contrast, V.adjust_saturation)

        def draw(count: int) -> Tensor:
            return torch.stack([self._draw_change(len(changes)) for _ in range(count)])

        drawn = drawn_for_all(draw, images=len(image)).tolist()
        return torch.stack(
            [changes[int(number)](each, by) for each, (number, by) in zip(image, drawn, strict=True)]
        )

    def _draw_change(self, changes: int) -> Tensor:
        """Draws the number of a change and its factor."""
        number = torch.randint(changes, ()).double()
        factor = torch.empty(()).uniform_(1 - self.augmentation, 1 + self.augmentation)
        return torch.stack([number, factor.double()])

    def _open_pictures(self) -> PictureFolder:
        # Only for training: a trained model can be used where the pictures are not.
        if self._pictures is None:
            self._pictures = PictureFolder(Path(str(self.penalty_images)), setting="model.penalty_images")
        return self._pictures

    def _draw_pictures(self, image: Tensor) -> Tensor:
        """Returns the centres of as many random pictures, which are stretched to twice the size."""
        pictures, (height, width) = self._open_pictures(), image.shape[-2:]
        found = []

        def draw(count: int) -> Tensor:
            pairs = [(float(torch.randint(len(pictures), ())), float(torch.rand(()))) for _ in range(count)]
            return torch.tensor(pairs, dtype=torch.float64)

        for index, grey in drawn_for_all(draw, images=len(image)).tolist():
            picture = torch.from_numpy(pictures.read(int(index), size=(2 * height, 2 * width)))
            found.append(V.rgb_to_grayscale(picture, 3) if grey < self.penalty_grey else picture)
        cropped: Tensor = V.center_crop(torch.stack(found), [height, width])
        return cropped.to(image)


def mean_of_hardest(errors: Tensor, *, quantile: float) -> Tensor:
    """Computes the mean of the values that are not below a quantile of them (paper, eq. 2).

    Args:
        errors: of any shape.
        quantile: in [0, 1).

    Returns:
        A scalar.

    Example:
        >>> float(mean_of_hardest(torch.tensor([1.0, 2.0, 3.0, 4.0]), quantile=0.5))
        3.5
    """
    flat = errors.flatten()
    everything = int(total_of_all(torch.tensor(len(flat), device=flat.device)))
    count = max(1, round((1 - quantile) * everything))
    hardest = flat.topk(min(count, len(flat))).values
    limit = values_of_all(hardest).topk(count).values[-1]
    chosen = hardest[hardest >= limit]
    return ratio_of_all(chosen.sum(), torch.tensor(len(chosen), device=flat.device))
