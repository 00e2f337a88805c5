"""Combines the tokens of complementary masks into those of one image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adframe.models.masking import FIXED_STEP, Masking
from adframe.models.vit import Vit


def stitched_tokens(
    vit: Vit, normal: Tensor, *, masking: Masking, covers: Sequence[Tensor], chunk: int
) -> Tensor:
    """Computes the patch tokens of every cover: each patch's token as computed where the patch was hidden.

    Args:
        vit: the network.
        normal: (B, 3, H, W) normalised images.
        masking: fills hidden patches.
        covers: complementary masks (K, h, w) each.
        chunk: number of masked images per pass of the network.

    Returns:
        (len(covers), B, h * w, D).
    """
    masks = torch.cat(list(covers)).to(normal.device)  # (P, h, w)
    counts = torch.tensor([len(each) for each in covers])
    cover_of = torch.repeat_interleave(torch.arange(len(covers)), counts).to(normal.device)  # (P,)
    stitched = normal.new_zeros(len(covers), len(normal), masks[0].numel(), vit.width)
    jobs = torch.cartesian_prod(torch.arange(len(masks)), torch.arange(len(normal))).to(normal.device)
    for part in torch.split(jobs, chunk):
        which, image = part.T
        hidden = masking.pixels(masks[which]).to(normal)
        tokens = vit.patches(vit(masking.filled(normal[image], hidden, step=FIXED_STEP)))
        row, patch = masks[which].flatten(1).nonzero(as_tuple=True)
        stitched[cover_of[which[row]], image[row], patch] = tokens[row, patch].to(stitched)
    return stitched
