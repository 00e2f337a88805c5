"""WinCLIP (Jeong et al., WinCLIP: Zero-/Few-Shot Anomaly Classification and Segmentation, CVPR 2023, arXiv
2303.14814): images and their windows are compared with texts about normal and anomalous objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from adframe.contracts import FeatureReader, Prediction
from adframe.errors import AdframeError, at_least, unknown
from adframe.models.buffers import make_room, refuse_update
from adframe.models.clip_backbone import ClipBackbone, ClipEmbeddings
from adframe.models.prompts import PromptEnsemble
from adframe.ops.smoothing import heatmap
from adframe.ops.windows import harmonic_mean, harmonic_mean_of_windows, window_places

REFERENCES = ("none", "collected")


class ClipZeroShot(nn.Module):
    """Scores images by texts about normal and anomalous objects, without a normal image.

    The mean embedding of all texts of a kind stands for the kind. The score of an image is the probability of
    `anomalous` by softmax over the two cosines (section 4.1 of the paper). The same score of each window of
    patches gives a map for each size of windows: a patch has the harmonic mean of the windows that cover it.
    The heatmap is the harmonic mean of these maps and the image's score (section 4.2).

    With `references="collected"` (WinCLIP+, section 4.3), windows and patches are also compared with those of
    the normal images: (1 - largest cosine) / 2, for windows again as a harmonic mean, then as a mean over
    the sizes and the patches. The heatmap is the mean of both maps, which ranks pixels as their sum does, and
    the score is the mean of the texts' score and the largest value of the references' map.

    For SigLIP, whose texts are compared by a sigmoid each, the same softmax is used: it is the sigmoid of the
    difference of both logits, in which SigLIP's bias cancels.

    Args:
        backbone: CLIP or SigLIP with both towers.
        prompts: the texts.
        windows: sides of the windows, in patches.
        temperature: by which differences of cosines are divided; `learned` takes the network's own.
        references: `none`, or `collected` to compare with the normal images as well.
        sigma: standard deviation of the Gaussian that smooths the heatmap, in pixels of the network's input;
            0 does not smooth.
        chunk: number of windows that pass through the network together, which bounds memory.

    Raises:
        AdframeError: an argument is outside its range, or the backbone has no text tower.

    Example:
        >>> prompts = PromptEnsemble(normal=["{}"], anomalous=["broken {}"], templates=["a photo of a {}."])
        >>> model = ClipZeroShot(ClipBackbone("clip", source="random"), prompts)
        >>> model.name_categories(["screw"])
        >>> model.finalise()
        >>> model(torch.rand(2, 3, 64, 64)).heatmap.shape
        torch.Size([2, 1, 64, 64])
    """

    reads_class_token = True
    texts: Tensor

    def __init__(
        self,
        backbone: ClipBackbone,
        prompts: PromptEnsemble,
        *,
        windows: Sequence[int] = (2, 3),
        temperature: float | Literal["learned"] = 0.07,
        references: Literal["none", "collected"] = "none",
        sigma: float = 0.0,
        chunk: int = 256,
    ) -> None:
        super().__init__()
        if not isinstance(backbone, ClipBackbone):
            raise AdframeError(
                f"backbone={getattr(backbone, 'name', backbone)} has no text tower, and this method compares "
                "images with texts; timm has the image towers only: choose "
                "backbone=clip_vit_b16_transformers or backbone=siglip2_b16_transformers"
            )
        if not windows or min(windows) < 1 or len(set(windows)) < len(windows):
            raise AdframeError(f"model.windows={list(windows)} must be different sides, 1 or more")
        if temperature != "learned" and not (isinstance(temperature, int | float) and temperature > 0):
            raise AdframeError(f"model.temperature={temperature} must be a number above 0, or learned")
        if references not in REFERENCES:
            raise AdframeError(unknown("model.references", str(references), REFERENCES))
        if not at_least(sigma, 0):
            raise AdframeError(f"model.sigma={sigma} must be a finite number, 0 or more")
        if chunk < 1:
            raise AdframeError(f"model.chunk={chunk} must be 1 or more")
        self.backbone, self.prompts = backbone, prompts
        self.windows, self.references = list(windows), references
        self.scale = backbone.logit_scale if temperature == "learned" else 1 / float(temperature)
        self.sigma, self.chunk = float(sigma), chunk
        self.register_buffer("texts", torch.empty(0, 0))  # (2, E): normal, anomalous
        self._banks = [*(f"windows_{side}" for side in self.windows), "patches"]
        for name in self._banks:
            self.register_buffer(name, torch.empty(0, 0))  # (M, E or D) of the normal images, unit length
        self.register_load_state_dict_pre_hook(make_room)  # type: ignore[no-untyped-call]
        self._collected: list[list[Tensor]] = [[] for _ in self._banks]

    @property
    def zero_shot(self) -> bool:
        """Tells whether no normal image is used."""
        return self.references == "none"

    def name_categories(self, categories: Sequence[str]) -> None:
        """Encodes the texts about the categories; several are called by the general name.

        Args:
            categories: the categories of the model.

        Raises:
            AdframeError: the text tower or its tokenizer is unavailable, or a text is too long.
        """
        kinds = [self.backbone.encode_texts(texts).mean(0) for texts in self.prompts.texts(categories)]
        self.texts = nn.functional.normalize(torch.stack(kinds), dim=1).to(self.texts.device)

    def collect(self, image: Tensor) -> None:
        """Collects windows and patches of normal images; ignores them where no references are used.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].

        Raises:
            AdframeError: the model was loaded or released.
        """
        if self.zero_shot:
            return
        refuse_update(fitted=not self._collected[0] and self._bank("patches").numel() > 0)
        seen = self._embed(image)
        for rows, found in zip(self._collected, [*seen.windows, seen.patches], strict=True):
            rows.append(found.flatten(0, 1))

    def finalise(self) -> None:
        """Stores the references, and encodes texts with the general name where none is known.

        Raises:
            AdframeError: references are used and no image was collected.
        """
        if not len(self.texts):
            self.name_categories([])
        if self.zero_shot:
            return
        if not self._collected[0]:
            raise AdframeError("model.references=collected needs normal images, and none was collected")
        for name, rows in zip(self._banks, self._collected, strict=True):
            setattr(self, name, torch.cat(rows))

    def release(self) -> None:
        """Forgets what only more images would need."""
        self._collected = [[] for _ in self._banks]

    def reopen(self) -> str:
        """Makes a fitted model ready to collect more images.

        Returns:
            How exact the result is.

        Raises:
            AdframeError: the model uses no normal images.
        """
        if self.zero_shot:
            raise AdframeError("model.references=none uses no normal images, so that more change nothing")
        self._collected = [[self._bank(name)] for name in self._banks]
        return "exact: the new images are added to the references"

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """Scores images.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].

        Returns:
            Raw scores (B,) in [0, 1] and heatmaps (B, 1, H, W).

        Raises:
            RuntimeError: the model was not fitted.
        """
        if not len(self.texts):
            raise RuntimeError("no texts are encoded: name_categories and finalise first")
        seen = self._embed(image)
        score = self._anomalous(seen.whole)
        maps = [self._spread(self._anomalous(found), seen, place) for place, found in enumerate(seen.windows)]
        map_ = harmonic_mean(torch.stack([score[:, None].expand_as(maps[0]), *maps]))
        if not self.zero_shot:
            apart = self._reference_map(seen)
            map_, score = (map_ + apart) / 2, (score + apart.amax(1)) / 2
        grid = map_.view(len(image), 1, *seen.grid)
        return Prediction(score, heatmap(grid, size=(image.shape[-2], image.shape[-1]), sigma=self.sigma))

    def feature_reader(self) -> FeatureReader:
        """Returns the backbone: the tokens of the patches after the last block."""
        return self.backbone

    def facts(self) -> dict[str, float]:
        """Returns the number of texts and bytes; with references, their number (rows) and width."""
        banks = [self._bank(name) for name in self._banks]
        found = {"texts": len(self.prompts), "bytes": sum(each.nbytes for each in (self.texts, *banks))}
        if not self.zero_shot:
            found |= {"rows": sum(map(len, banks)), "width": banks[-1].shape[1]}
        return dict(found)

    def _bank(self, name: str) -> Tensor:
        bank: Tensor = getattr(self, name)
        return bank

    def _embed(self, image: Tensor) -> ClipEmbeddings:
        return self.backbone.embed(image, sides=self.windows, chunk=self.chunk)

    def _anomalous(self, embeddings: Tensor) -> Tensor:
        """Returns the probabilities (...) of `anomalous` of unit embeddings (..., E)."""
        # The softmax over two classes is the sigmoid of the difference. By sums and not by a matrix product,
        # which OpenVINO cannot fuse with a scale.
        direction = self.scale * (self.texts[1] - self.texts[0])
        return torch.sigmoid((embeddings * direction).sum(-1))

    def _spread(self, scores: Tensor, seen: ClipEmbeddings, place: int) -> Tensor:
        """Returns the patch scores (B, h * w) of the window scores (B, W) of a size."""
        places = window_places(seen.grid, side=self.windows[place])
        return harmonic_mean_of_windows(scores, places, patches=seen.grid[0] * seen.grid[1])

    def _reference_map(self, seen: ClipEmbeddings) -> Tensor:
        """Returns how far patches (B, h * w) are from the normal images, in [0, 1]."""
        parts = [
            self._spread(_distance(found, self._bank(name)), seen, place)
            for place, (name, found) in enumerate(zip(self._banks[:-1], seen.windows, strict=True))
        ]
        return torch.stack([*parts, _distance(seen.patches, self._bank("patches"))]).mean(0)


def _distance(embeddings: Tensor, bank: Tensor, *, rows: int = 16384) -> Tensor:
    """Returns (1 - largest cosine) / 2 of embeddings (B, N, E) to a bank (M, E), in blocks of its rows."""
    largest = [(embeddings @ part.T).amax(-1) for part in torch.split(bank, rows)]
    return ((1 - torch.stack(largest).amax(0)) / 2).clamp(min=0)
