"""Compares an adapted network with the same network before training, without any real defect.

A network that learns to find synthetic anomalies may lose what real defects need, while the loss falls and
even a bank of its features finds held-out synthetic anomalies better. What tells such a network is what
happened to normal patches: it gives them other neighbours. With DINOv2 on juice_bottle a learning rate of
2e-3 raised the image AUROC of held-out synthetic anomalies from 91.6 to 95.9, lowered that of real ones from
90.9 to 72.2, and kept 11 % of the neighbours (docs/results.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor
from torch.nn import functional as F

from adframe.contracts import IMAGE, LABEL, MASK, RECORD, Adapted
from adframe.data.datamodule import AnomalyData
from adframe.ops.neighbours import nearest

BANK_ROWS = 10_000  # training patches of each bank: enough to compare two networks, and fast to search
NEAREST = 10  # training patches around a normal patch whose change is measured
DRAWS = 5  # anomalies of each held-out image
PROBES = 1_000  # normal patches whose neighbourhoods are compared
# An adapted network that changes more than half of the neighbours of normal patches is another network.
FEWEST_KEPT = 0.5
_LEVEL = 0.05
FROZEN, ADAPTED = 0, 1
_SIDES = (False, True)  # whether tokens are adapted, in that order


@dataclass(frozen=True, slots=True)
class TwinComparison:
    """What adapting changed: neighbours of normal patches, and synthetic anomalies that banks of tokens find.

    Attributes:
        image: (n, 2) of each held-out image with anomalies, frozen and adapted: the share of normal images
            that score below it, in the mean over its anomalies. The mean over images is the image AUROC.
        patch: (n, 2) of each held-out image: the share of normal patches that score below a patch of an
            anomaly, a pixel AUROC in which every anomaly counts alike.
        neighbours: mean share of the nearest training patches of a normal patch that stay its nearest ones.
    """

    image: np.ndarray
    patch: np.ndarray
    neighbours: float

    def facts(self) -> dict[str, float]:
        """Returns the means for `metrics.json`."""
        found = {"adaptation/neighbours_kept": self.neighbours}
        for name, pairs in self._pairs().items():
            for side, place in (("frozen", FROZEN), ("adapted", ADAPTED)):
                found[f"adaptation/{name}_auroc_{side}"] = float(pairs[:, place].mean())
        return found

    def losses(self) -> dict[str, tuple[float, float]]:
        """Finds where the adapted network is significantly worse by Wilcoxon's test over images.

        Returns:
            `image` or `patch` -> AUROC frozen and adapted.
        """
        found = {}
        for name, pairs in self._pairs().items():
            gains = np.round(pairs[:, ADAPTED] - pairs[:, FROZEN], 12)
            if gains.mean() < 0 and stats.wilcoxon(gains[gains != 0]).pvalue < _LEVEL:
                found[name] = (float(pairs[:, FROZEN].mean()), float(pairs[:, ADAPTED].mean()))
        return found

    def warning(self) -> str | None:
        """Returns a sentence where the adapted network is not to be trusted; None otherwise."""
        reasons = []
        if self.neighbours < FEWEST_KEPT:
            reasons.append(
                f"of the {NEAREST} training patches nearest to a normal patch, only "
                f"{100 * self.neighbours:.0f} % are still its nearest ones: these are features of another "
                "network"
            )
        for name, (frozen, adapted) in self.losses().items():
            reasons.append(
                f"a bank of its tokens finds held-out synthetic anomalies with an {name} AUROC of "
                f"{100 * adapted:.1f} instead of {100 * frozen:.1f}"
            )
        if not reasons:
            return None
        return (
            f"the adapted network may be worse than the frozen one: {'; '.join(reasons)}; use a lower "
            "learning.optimizer.lr, or the frozen twin, learning.epochs=0"
        )

    def _pairs(self) -> Mapping[str, np.ndarray]:
        return {"image": self.image, "patch": self.patch}


@torch.no_grad()
def compare_with_twin(
    detector: Adapted, data: AnomalyData, *, device: torch.device, seed: int
) -> TwinComparison:
    """Scores held-out normal images and synthetic anomalies by banks of frozen and of adapted tokens.

    Args:
        detector: the adapted method, after training.
        data: its images, with a synthesis.
        device: the device of the detector.
        seed: draws the patches of the banks, the same places for both.

    Returns:
        The comparison.
    """
    generator = torch.Generator().manual_seed(seed)
    banks = _banks(detector, data, device=device, generator=generator)
    images: list[tuple[str, int, Tensor, Tensor]] = []  # path, label, (2, h, w) distances, anomalous cells
    probes: list[tuple[Tensor, ...]] = []
    for batch in data.synthetic_dataloader("val", draws=DRAWS):
        image = batch[IMAGE].to(device)
        sides = [detector.token_maps(image, adapted=adapted) for adapted in _SIDES]
        height, width = sides[0].shape[-2:]
        cells = F.adaptive_avg_pool2d(batch[MASK], (height, width))[:, 0]
        for place, label in enumerate(batch[LABEL].tolist()):
            rows = [side[place].flatten(1).T for side in sides]
            pairs = zip(rows, banks, strict=True)
            found = [nearest(own, bank)[0].view(height, width) for own, bank in pairs]
            # An anomaly smaller than half a cell is where it covers most.
            cell = cells[place] >= min(0.5, float(cells[place].max()))
            path = batch[RECORD][place].path.as_posix()
            images.append((path, int(label), torch.stack(found).cpu(), cell))
            if not label:
                drawn = torch.randperm(len(rows[0]), generator=generator)[: PROBES // 10]
                probes.append(tuple(own[drawn.to(own.device)] for own in rows))
    probed = [torch.cat(own) for own in zip(*probes, strict=True)]
    # Of all images: the first ones may be all of one category.
    chosen = torch.randperm(len(probed[FROZEN]), generator=generator)[:PROBES]
    kept = _neighbours_kept([own[chosen.to(own.device)] for own in probed], banks)
    return TwinComparison(*_shares_below(images), kept)


def _banks(
    detector: Adapted, data: AnomalyData, *, device: torch.device, generator: torch.Generator
) -> list[Tensor]:
    """Draws the same patches of the training images from frozen and from adapted tokens."""
    loader = data.plain_dataloader()
    count = sum(record.split == "train" for record in data.records)
    each = max(1, BANK_ROWS // max(1, count))
    parts: list[list[Tensor]] = [[], []]
    for batch in loader:
        image = batch[IMAGE].to(device)
        sides = [detector.token_maps(image, adapted=adapted).flatten(2) for adapted in _SIDES]
        for place in range(len(image)):
            drawn = torch.randperm(sides[0].shape[2], generator=generator)[:each].to(device)
            for own, side in zip(parts, sides, strict=True):
                own.append(side[place][:, drawn].T)
    return [torch.cat(own) for own in parts]


def _shares_below(images: list[tuple[str, int, Tensor, Tensor]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns (n, 2) shares of normal images, and of normal patches, below the anomalies of each image."""
    # Images of several sizes have different numbers of patches.
    normal = [distances.flatten(1) for _, label, distances, _ in images if not label]  # m of (2, P)
    highest = torch.stack([each.amax(1) for each in normal], dim=1).sort(1).values  # (2, m)
    patches = torch.cat(normal, dim=1).sort(1).values  # (2, sum of P)
    image: dict[str, list[Tensor]] = defaultdict(list)
    patch: dict[str, list[Tensor]] = defaultdict(list)
    for path, label, distances, cell in images:
        if label:
            own = distances.flatten(1).amax(1, keepdim=True)
            image[path].append(_share_below(own, highest)[:, 0])
            patch[path].append(_share_below(distances[:, cell], patches).mean(1))
    found = (torch.stack([torch.stack(each).mean(0) for each in part.values()]) for part in (image, patch))
    by_image, by_patch = (each.numpy() for each in found)
    return by_image, by_patch


def _share_below(values: Tensor, ascending: Tensor) -> Tensor:
    """Returns (2, n), the share of (2, m) sorted values below each of (2, n); ties count half."""
    values, ascending = values.contiguous().double(), ascending.contiguous().double()
    low = torch.searchsorted(ascending, values)
    high = torch.searchsorted(ascending, values, right=True)
    return (low + high) / (2 * ascending.shape[1])


def _neighbours_kept(probes: list[Tensor], banks: list[Tensor]) -> float:
    """Compares the nearest bank rows of normal patches on both sides."""
    count = min(NEAREST, len(banks[FROZEN]))
    frozen, adapted = (nearest(own, bank, count=count)[1] for own, bank in zip(probes, banks, strict=True))
    shared = (frozen[:, :, None] == adapted[:, None, :]).sum((1, 2))
    return float(shared.double().mean() / count)
