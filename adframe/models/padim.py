"""PaDiM (Defard et al., PaDiM: a Patch Distribution Modeling Framework, ICPR 2021)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.contracts import FeatureReader, Prediction
from adframe.errors import AdframeError, above, at_least
from adframe.io.disk_matrix import Spool
from adframe.io.feature_cache import Store
from adframe.models.backbones import TimmBackbone
from adframe.models.buffers import make_room, refuse_update
from adframe.models.cached_backbone import with_store
from adframe.models.named_backbones import create_backbone
from adframe.models.robust import checked_robust
from adframe.ops.gaussians import Moments, mahalanobis
from adframe.ops.smoothing import heatmap

# Channels of ResNet18's three layers.
NARROW_CHANNELS = 448
# Channels that the paper draws: for ResNet18, and for Wide-ResNet50's 1792.
FEW, MANY = 100, 550
# Images whose features are read at once.
_READ_IMAGES = 8


class PaDiM(nn.Module):
    """Fits a Gaussian of normal features at every position; the score is the Mahalanobis distance from it.

    All layers are brought to the finest one's grid, where each patch takes the activation that covers it, and
    a random part of the channels is kept. As each position has its own Gaussian, images must show the object
    in one pose, and all must have one size. Training images are not stored.

    Memory is positions x channels^2 float32, twice while fitting: 164 MB for ResNet18 at 256 pixels, 5 GB for
    Wide-ResNet50. The image score is the maximum of the smoothed heatmap (paper, 3.3).

    Args:
        backbone: computes the feature maps, or a name for `create_backbone` (`backbone.layers=pyramid` are
            the paper's three layers).
        channels: number of drawn channels; all where there are fewer. None: 100 of up to 448 channels, 550 of
            more, the paper's choices for ResNet18 and Wide-ResNet50.
        regularisation: added to the diagonal of every covariance, above 0 (0.01 in the paper).
        sigma: standard deviation of the heatmap's Gaussian, in pixels of the network's view.
        seed: draws the channels.
        store: stores features for later runs; None stores nothing.
        robust: leaves training images out that the others do not explain (see `systems.screening`): the
            number of scaled median absolute deviations above the median. None leaves none out. Features of
            all images then wait on disk, 1.6 MB per image for ResNet18 at 256 pixels.

    Raises:
        AdframeError: if a number is out of range.

    Example:
        >>> model = PaDiM("efficientnet_lite0", channels=10)
        >>> model.collect(torch.rand(4, 3, 64, 64))
        >>> model.finalise()
        >>> model(torch.rand(2, 3, 64, 64)).heatmap.shape
        torch.Size([2, 1, 64, 64])
    """

    index: Tensor
    grid: Tensor
    count: Tensor
    mean: Tensor
    whitening: Tensor

    def __init__(
        self,
        backbone: TimmBackbone | str,
        *,
        channels: int | None = None,
        regularisation: float = 0.01,
        sigma: float = 4.0,
        seed: int = 42,
        store: Store | None = None,
        robust: float | None = None,
    ) -> None:
        super().__init__()
        self.robust = checked_robust(robust)
        if isinstance(backbone, str):
            backbone = create_backbone(backbone)
        if (channels is not None and channels < 1) or not (above(regularisation, 0) and at_least(sigma, 0)):
            raise AdframeError(
                f"model.channels={channels} must be null or above 0, "
                f"model.regularisation={regularisation} above 0, model.sigma={sigma} 0 or more"
            )
        self.backbone = with_store(backbone, store)
        self.channels, self.regularisation, self.sigma, self.seed = channels, regularisation, sigma, seed
        self.register_buffer("index", torch.empty(0, dtype=torch.int64))  # (D,) ascending, among all channels
        self.register_buffer("grid", torch.zeros(2, dtype=torch.int64))  # (h, w)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))  # images behind the Gaussians
        self.register_buffer("mean", torch.empty(0, 0))  # (h * w, D)
        self.register_buffer("whitening", torch.empty(0, 0, 0))  # (h * w, D, D) lower triangular
        self.register_state_dict_post_hook(_pack_triangles)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_unpack_triangles)  # type: ignore[no-untyped-call]
        self._per_layer: list[Tensor] = []  # the chosen channels of each layer, from the last image on
        self._moments: Moments | None = None
        self._waiting: Spool | None = None  # (N, P * D) features, where images may be left out
        self._size = (0, 0)  # of the collected images

    def collect(self, image: Tensor) -> None:
        """Adds the features of normal images.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Raises:
            AdframeError: if the model was loaded, or the image has another size.
        """
        self.collect_features(self.features(image))

    def features(self, image: Tensor) -> Tensor:
        """Returns the chosen channels (B, h * w, D) of images.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Raises:
            AdframeError: as `collect`.
        """
        if self._moments is None:
            refuse_update(fitted=bool(len(self.mean)))
            self._moments = Moments()
            self.grid.zero_()
            self._waiting = None if self.robust is None else Spool()
            self._size = (image.shape[-2], image.shape[-1])
        return self._features(image).flatten(1, 2)

    def collect_features(self, found: Tensor) -> None:
        """Adds the features of normal images, as `collect`.

        Args:
            found: (B, h * w, D), result of `features`.
        """
        assert self._moments is not None
        self._moments.add(found)
        if self._waiting is not None:
            self._waiting.append(found.flatten(1))

    @torch.no_grad()
    def leave_one_out_scores(self) -> Tensor:
        """Returns (N,) scores of the collected images by the Gaussians of all others.

        Without image x, mean and covariance of n images change by terms of d = x - mean alone, so that its
        distance follows from the one q to all images by the formula of Sherman and Morrison:
        (n / (n - 1))^2 q / (1 - b q) with b = n / ((n - 1)(n - 2)).

        Raises:
            AdframeError: there are fewer than three images.
        """
        assert self._moments is not None
        assert self._waiting is not None
        count = len(self._waiting)
        if count < 3:
            raise AdframeError(f"model.robust= needs 3 training images or more, and there are {count}")
        # The covariance of the others is this factor times that of all, and only then regularised.
        factor = (count - 1) / (count - 2)
        mean, whitening = self._moments.gaussians(regularisation=self.regularisation / factor)
        share = count / ((count - 1) * (count - 2))
        scores = []
        for start in range(0, count, _READ_IMAGES):
            rows = self._waiting.read(start, start + _READ_IMAGES).to(mean.device)
            rows = rows.view(len(rows), *mean.shape)
            squared = mahalanobis(rows, mean=mean, whitening=whitening).square() / factor
            # Rounding must not make the denominator negative.
            squared /= (1 - share * squared).clamp(min=1e-6)
            distances = squared.sqrt() * count / (count - 1)
            smooth = heatmap(
                distances.view(len(rows), 1, *self.grid.tolist()), size=self._size, sigma=self.sigma
            )
            scores.append(smooth.amax(dim=(1, 2, 3)).cpu())
        return torch.cat(scores)

    def keep(self, images: Tensor) -> None:
        """Forgets images, as if only the others had been collected.

        Args:
            images: (N,) bool, True for those that stay.
        """
        assert self._waiting is not None
        waiting, self._waiting = self._waiting, None
        self._moments = Moments()
        for index in torch.split(torch.nonzero(images).flatten(), _READ_IMAGES):
            rows = waiting.gather(index).to(self.index.device)
            self._moments.add(rows.view(len(rows), int(self.grid.prod()), len(self.index)))
        waiting.close()

    def finalise(self) -> None:
        """Fits the Gaussians to all images collected so far."""
        if self._moments is None:
            raise RuntimeError("finalise before collect: there are no features to describe")
        # Frees the old ones before the new ones are computed.
        self.whitening = torch.empty(0, 0, 0)
        self.mean, self.whitening = self._moments.gaussians(regularisation=self.regularisation)
        self.count = torch.tensor(self._moments.images, device=self.mean.device)

    def reopen(self) -> str:
        """Restores the sums over the images from the Gaussians, so that more images can be collected.

        Returns:
            How exact the result is.

        Raises:
            AdframeError: the model is from an earlier version, which did not store the number of images.
        """
        if not int(self.count):
            raise AdframeError(
                "the model is from an earlier version of adframe, which did not store the number of its "
                "training images; fit it again"
            )
        self._moments = Moments.of_gaussians(
            self.mean, self.whitening, images=int(self.count), regularisation=self.regularisation
        )
        return "exact: mean and covariance of old and new images together, up to rounding"

    def release(self) -> None:
        """Releases memory that only more images would need."""
        self._moments = None
        if self._waiting is not None:
            self._waiting.close()
        self._waiting = None

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """Scores images.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Raw scores (B,) and heatmaps (B, 1, H, W).

        Raises:
            RuntimeError: if the model is not fitted.
        """
        if not len(self.mean):
            raise RuntimeError("there are no Gaussians: collect and finalise, or load a checkpoint, first")
        features = self._features(image)  # (B, h, w, D)
        distances = mahalanobis(features.flatten(1, 2), mean=self.mean, whitening=self.whitening)
        patches = distances.view(len(image), 1, *features.shape[1:3])
        smooth = heatmap(patches, size=(image.shape[-2], image.shape[-1]), sigma=self.sigma)
        return Prediction(smooth.amax(dim=(1, 2, 3)), smooth)

    def feature_reader(self) -> FeatureReader:
        """Returns the backbone with its store, which computes maps at the original size of the image."""
        return self.backbone

    def facts(self) -> dict[str, float]:
        """Returns the number of positions and channels, and the bytes of the Gaussians."""
        positions, width = self.mean.shape
        return {
            "positions": positions,
            "width": width,
            "bytes": sum(t.element_size() * t.numel() for t in (self.mean, self.whitening)),
        }

    def _features(self, image: Tensor) -> Tensor:
        maps = self.backbone(image)
        if not len(self.index):
            self.index = self._draw(sum(m.shape[1] for m in maps)).to(image.device)
        if torch.compiler.is_exporting():  # values of tensors are unknown here, and were checked before
            return stack_channels(maps, index=self._per_layer)
        self._per_layer = split_channels(self.index, [m.shape[1] for m in maps])
        features = stack_channels(maps, index=self._per_layer)  # (B, h, w, D)
        own, found = tuple(self.grid.tolist()), tuple(features.shape[1:3])
        if not any(own):
            self.grid = torch.tensor(found, device=image.device)
        elif own != found:
            raise AdframeError(
                f"an image of {image.shape[-2]}x{image.shape[-1]} gives a grid of {found[0]}x{found[1]}, "
                f"the Gaussians are of {own[0]}x{own[1]}; PaDiM needs one image_size for all images"
            )
        return features

    def _draw(self, total: int) -> Tensor:
        count = self.channels or (FEW if total <= NARROW_CHANNELS else MANY)
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randperm(total, generator=generator)[:count].sort().values


def split_channels(index: Tensor, widths: Sequence[int]) -> list[Tensor]:
    """Splits the numbers of channels of all layers into those of each layer.

    Args:
        index: (D,) ascending, among the sum of `widths` channels.
        widths: number of channels of each layer.

    Returns:
        The numbers of the chosen channels of each layer.

    Example:
        >>> [own.tolist() for own in split_channels(torch.tensor([1, 3]), [2, 4])]
        [[1], [1]]
    """
    starts = [sum(widths[:layer]) for layer in range(len(widths))]
    return [
        index[(index >= start) & (index < start + width)] - start
        for start, width in zip(starts, widths, strict=True)
    ]


def stack_channels(maps: Sequence[Tensor], *, index: Sequence[Tensor]) -> Tensor:
    """Selects channels of all layers on the grid of the finest layer.

    Args:
        maps: (B, C_i, h_i, w_i) of several layers; a patch takes the activation that covers its centre.
        index: the chosen channels of each layer, from `split_channels`; D in all.

    Returns:
        (B, h, w, D).
    """
    finest = max(maps, key=lambda m: m.shape[-1] * m.shape[-2]).shape[-2:]
    parts = []
    for layer, own in zip(maps, index, strict=True):
        if len(own):
            chosen = layer.permute(0, 2, 3, 1).index_select(3, own).permute(0, 3, 1, 2)  # channels last
            same = layer.shape[-2:] == finest
            parts.append(chosen if same else F.interpolate(chosen, size=finest, mode="nearest-exact"))
    return torch.cat(parts, dim=1).permute(0, 2, 3, 1).contiguous()


def _triangle(width: int, device: torch.device) -> Tensor:
    return torch.ones(width, width, dtype=torch.bool, device=device).tril()


def _pack_triangles(_: nn.Module, state: dict[str, Any], prefix: str, *__: Any) -> None:
    """Keeps only the lower triangles in checkpoints, which halves their size."""
    whitening = state[f"{prefix}whitening"]
    if whitening.numel():
        state[f"{prefix}whitening"] = whitening[:, _triangle(whitening.shape[1], whitening.device)]


def _unpack_triangles(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Gives buffers the stored shapes before a strict load fills them."""
    state.setdefault(f"{prefix}count", torch.zeros((), dtype=torch.int64))  # earlier versions have none
    packed = state.get(f"{prefix}whitening")
    if packed is not None and packed.dim() == 2:
        # The width of a triangle with this number of entries.
        width = (math.isqrt(8 * packed.shape[1] + 1) - 1) // 2
        whole = packed.new_zeros(len(packed), width, width)
        whole[:, _triangle(width, packed.device)] = packed
        state[f"{prefix}whitening"] = whole
    make_room(module, state, prefix)
