"""MuSc (Li et al., MuSc: Zero-Shot Industrial Anomaly Classification and Segmentation with Mutual Scoring of
the Unlabeled Images, ICLR 2024, arXiv 2401.16753).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.contracts import FeatureReader, Prediction
from adframe.errors import AdframeError, at_least
from adframe.models.backbones import TimmBackbone
from adframe.models.buffers import make_room
from adframe.models.cached_backbone import image_key
from adframe.models.named_backbones import create_backbone
from adframe.models.rad import BANK_DTYPES
from adframe.ops.patches import as_rows, patch_grid
from adframe.ops.smoothing import heatmap

# Images whose distances are computed together: they share the averages of the stored tokens.
_QUERIES = 16


class MuSc(nn.Module):
    """Lets the unlabelled test images score each other: what few of the other images have is anomalous.

    It is transductive: no normal image is needed, but the test images of a category, which `collect_test`
    stores without their labels. A patch is compared with every other stored image by the distance to its
    nearest patch there, and its score is the mean of the lowest of these distances. This is done for tokens
    of several blocks, averaged over neighbourhoods of several sizes, and all scores are averaged. The score
    of an image, that of its highest patch, is then averaged with those of the images that are most similar by
    class token.

    An image that is stored is recognised by its pixels and is not compared with itself; identical images are
    one. Any other image, such as a validation image or a new one, is compared with all stored images. Scores
    do not depend on the order of the images.

    Args:
        backbone: Vision transformer with a class token, or a name for `create_backbone`.
        degrees: Odd sides of the neighbourhoods over which tokens are averaged, in patches.
        share: Share of the other images with the lowest distances whose mean is the score, in (0, 1].
        windows: Numbers of images, with the image itself, over which image scores are averaged by similarity;
            the results for all windows are averaged. [1] leaves scores unchanged.
        images: Largest number of stored images; of more, those with the smallest hash of their pixels stay.
        sigma: Standard deviation of the Gaussian that smooths the heatmap, in pixels of the network's input;
            0 does not smooth, as in the paper.
        dtype: Number format of the stored tokens, `float32` or `float16`.
        limit_mb: Largest memory of a distance matrix, in MiB.

    Raises:
        AdframeError: An argument is outside its range, or the weights of a named backbone are unavailable.

    Example:
        >>> model = MuSc(TimmBackbone("test_vit", layers="quarters", source="random"))
        >>> images = torch.rand(4, 3, 64, 64)
        >>> model.collect_test(images)
        >>> model.finalise_test()
        >>> model(images).score.shape
        torch.Size([4])
    """

    reads_class_token = True
    tokens: Tensor
    classes: Tensor
    keys: Tensor
    grids: Tensor

    def __init__(
        self,
        backbone: TimmBackbone | str,
        *,
        degrees: Sequence[int] = (1, 3, 5),
        share: float = 0.3,
        windows: Sequence[int] = (1, 2, 3),
        images: int = 256,
        sigma: float = 0.0,
        dtype: Literal["float32", "float16"] = "float16",
        limit_mb: int = 256,
    ) -> None:
        super().__init__()
        if not degrees or any(side < 1 or side % 2 == 0 for side in degrees):
            raise AdframeError(f"model.degrees={list(degrees)} must be odd and positive")
        if not windows or min(windows) < 1:
            raise AdframeError(f"model.windows={list(windows)} must be 1 (the image itself) or more")
        if not 0 < share <= 1:
            raise AdframeError(f"model.share={share} must lie in (0, 1]")
        if images < 2 or limit_mb < 1:
            raise AdframeError(
                f"model.images={images} must be 2 or more, model.limit_mb={limit_mb} 1 or more"
            )
        if not at_least(sigma, 0):
            raise AdframeError(f"model.sigma={sigma} must be a finite number, 0 or more")
        if dtype not in BANK_DTYPES:
            raise AdframeError(f"model.dtype={dtype} must be float32 or float16")
        self.backbone = create_backbone(backbone) if isinstance(backbone, str) else backbone
        self.degrees, self.share, self.windows = list(degrees), share, list(windows)
        self.images, self.sigma, self.dtype, self.limit_mb = images, sigma, BANK_DTYPES[dtype], limit_mb
        self.register_buffer("tokens", torch.empty(0, 0, 0, 0, 0, dtype=self.dtype))  # (L, M, D, h, w)
        self.register_buffer("classes", torch.empty(0, 0))  # (M, D) unit length
        self.register_buffer("keys", torch.empty(0, 0, dtype=torch.uint8))  # (M, 20) hashes of the images
        self.register_buffer("grids", torch.empty(0, 0, 0))  # (M, h, w) patch scores of the stored images
        self.register_load_state_dict_pre_hook(make_room)  # type: ignore[no-untyped-call]
        self._waiting: dict[str, tuple[Tensor, Tensor]] = {}  # tokens (L, D, h, w) and class token by hash

    def collect(self, image: Tensor) -> None:
        """Ignores normal images, because none is needed.

        Args:
            image: not used.
        """
        del image

    def finalise(self) -> None:
        """Does nothing, because nothing is fitted to normal images."""

    def release(self) -> None:
        """Forgets tokens that wait; the stored ones stay."""
        self._waiting = {}

    def collect_test(self, image: Tensor) -> None:
        """Adds unlabelled test images to those that will be stored.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].

        Raises:
            AdframeError: the image has another size than earlier ones, or the network no class token.
        """
        tokens, classes = self._tokens(image)
        for one, own, whole in zip(image.cpu(), tokens, classes, strict=True):
            self._waiting[image_key(one)] = own.to(self.dtype), whole
        if len(shapes := {own.shape[2:] for own, _ in self._waiting.values()}) > 1:
            sizes = " and ".join("x".join(map(str, shape)) for shape in sorted(shapes))
            raise AdframeError(
                f"test images have grids of {sizes} patches: MuSc needs one image_size for all"
            )
        # The smallest hashes are a random sample that depends neither on the order nor on the batches.
        for key in sorted(self._waiting)[self.images :]:
            del self._waiting[key]

    @torch.no_grad()
    def finalise_test(self) -> None:
        """Stores the images that were collected, and lets them score each other.

        Raises:
            AdframeError: there are fewer than two different images.
        """
        if len(self._waiting) < 2:
            raise AdframeError(
                f"MuSc compares test images with each other and needs 2 different ones; there are "
                f"{len(self._waiting)}"
            )
        keys = sorted(self._waiting)
        device = self.classes.device
        self.tokens = torch.stack([self._waiting[key][0] for key in keys], dim=1)
        self.classes = torch.stack([self._waiting[key][1] for key in keys])
        self.keys = torch.stack([torch.frombuffer(bytearray.fromhex(key), dtype=torch.uint8) for key in keys])
        self.keys = self.keys.to(device)
        self._waiting = {}
        places = torch.arange(len(keys))
        parts = [self._mutual(self.tokens[:, own], own.tolist()) for own in torch.split(places, _QUERIES)]
        self.grids = torch.cat(parts)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """Scores images; the result of a stored image is looked up.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].

        Returns:
            Raw scores (B,) and heatmaps (B, 1, H, W).

        Raises:
            RuntimeError: No test images are stored.
        """
        if not len(self.grids):
            raise RuntimeError("no test images are stored: collect_test and finalise_test first")
        known = {bytes(key).hex(): place for place, key in enumerate(self.keys.cpu().tolist())}
        places = [known.get(image_key(one)) for one in image.cpu()]
        grids, classes = [], []
        for one, place in zip(image, places, strict=True):
            if place is not None:
                grids.append(self.grids[place])
                classes.append(self.classes[place])
                continue
            # By itself: a network rounds in another way in another batch.
            tokens, whole = self._tokens(one[None])
            grids.append(self._mutual(tokens.transpose(0, 1), [None])[0])
            classes.append(whole[0])
        scores = [
            self._rescored(grid.amax(), whole, place)
            for grid, whole, place in zip(grids, classes, places, strict=True)
        ]
        size = (image.shape[-2], image.shape[-1])
        return Prediction(
            torch.stack(scores), heatmap(torch.stack(grids)[:, None], size=size, sigma=self.sigma)
        )

    def feature_reader(self) -> FeatureReader:
        """Returns the backbone: its feature maps before they are normalised."""
        return self.backbone

    def facts(self) -> dict[str, float]:
        """Returns the stored images, their tokens (of all layers), and the width and bytes of these."""
        width = self.tokens.shape[2]
        return {
            "images": len(self.classes),
            "rows": self.tokens.numel() // max(1, width),
            "width": width,
            "bytes": self.tokens.element_size() * self.tokens.numel(),
        }

    def _tokens(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Returns tokens (B, L, D, h, w), each token with mean 0 and variance 1, and unit class tokens."""
        maps, whole = self.backbone.with_class_token(image)
        normal = [
            F.layer_norm(grid.permute(0, 2, 3, 1), grid.shape[1:2]).permute(0, 3, 1, 2) for grid in maps
        ]
        return torch.stack(normal, dim=1), F.normalize(whole, dim=1)

    def _mutual(self, tokens: Tensor, places: Sequence[int | None]) -> Tensor:
        """Scores patches by the stored images.

        Args:
            tokens: (L, Q, D, h, w).
            places: the place of each image among the stored ones, or None.

        Returns:
            (Q, h, w).
        """
        count = tokens.shape[1]
        total = torch.zeros(count, tokens.shape[-2] * tokens.shape[-1], device=tokens.device)
        for own, stored in zip(tokens, self.tokens, strict=True):
            for degree in self.degrees:
                for place, least in enumerate(self._minima(own, stored, degree)):
                    if (known := places[place]) is not None:
                        least = torch.cat([least[:, :known], least[:, known + 1 :]], dim=1)
                    lowest = max(1, round(self.share * least.shape[1]))
                    total[place] += least.topk(lowest, dim=1, largest=False).values.mean(1)
        mean = total / (len(tokens) * len(self.degrees))
        return mean.view(count, *tokens.shape[-2:])

    def _minima(self, own: Tensor, stored: Tensor, degree: int) -> Tensor:
        """Returns (Q, P, M): the distance of each patch to the nearest patch of each stored image.

        Args:
            own: (Q, D, h, w).
            stored: (M, D, h, w).
            degree: side of the neighbourhood over which both are averaged.
        """
        patches = own.shape[-2] * own.shape[-1]
        queries = _averaged(own, degree).view(len(own), patches, -1)
        found = []
        for part in torch.split(stored, max(1, (self.limit_mb << 20) // (4 * patches**2))):
            keys = _averaged(part, degree)  # (m * P, D)
            norms = keys.square().sum(1)
            # One image at a time, so that its distances do not depend on the images next to it. The squared
            # norm of the query is added after the minimum.
            squares = (torch.addmm(norms, query, keys.T, alpha=-2) for query in queries)
            found.append(torch.stack([each.view(patches, len(part), patches).amin(2) for each in squares]))
        least = torch.cat(found, dim=2) + queries.square().sum(2, keepdim=True)
        return least.clamp(min=0).sqrt()

    def _rescored(self, score: Tensor, whole: Tensor, place: int | None) -> Tensor:
        """Averages an image's score with those of its most similar stored images (RsCIN in the paper).

        Args:
            score: the image's own, a scalar.
            whole: (D,) its class token.
            place: its place among the stored images, or None.
        """
        others = self.grids.flatten(1).amax(1)
        likeness = (self.classes @ whole).clamp(min=0)
        if place is not None:
            stay = torch.arange(len(others), device=others.device) != place
            others, likeness = others[stay], likeness[stay]
        order = likeness.argsort(descending=True, stable=True)
        results = []
        for window in self.windows:
            near = order[: window - 1]
            weighted = score + (likeness[near] * others[near]).sum()  # its similarity to itself is 1
            results.append(weighted / (1 + likeness[near].sum()))
        return torch.stack(results).mean()


def _averaged(grid: Tensor, degree: int) -> Tensor:
    """Averages (B, D, h, w) over neighbourhoods; returns (B * h * w, D) float32."""
    return as_rows(patch_grid([grid.float()], neighbourhood=degree))
