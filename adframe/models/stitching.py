"""An image seen through complementary masks, put together of what each mask hid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adframe.models.masking import FIXED, Masking
from adframe.models.vit import Vit


def stitched_tokens(
    vit: Vit, normal: Tensor, *, masking: Masking, covers: Sequence[Tensor], chunk: int
) -> Tensor:
    """Patch tokens of every cover: each patch's as it came out where it was hidden.

    Args:
        vit: the network.
        normal: (B, 3, H, W) normalised images.
        masking: fills what is hidden.
        covers: (K, h, w) complementary masks each.
        chunk: masked images that go through the network together.

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
        tokens = vit.patches(vit(masking.filled(normal[image], hidden, step=FIXED)))
        row, patch = masks[which].flatten(1).nonzero(as_tuple=True)
        stitched[cover_of[which[row]], image[row], patch] = tokens[row, patch].to(stitched)
    return stitched
