"""Memory grows with the bank, not with the number of training images."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, torch
from torch import nn
from adframe.models.patchcore import PatchCore

torch.set_num_threads(1)

class Maps(nn.Module):
    layers = ['only']

    def forward(self, image):  # (B, 128, 32, 32): 512 KiB an image
        latent = torch.randn(len(image), 4, 32, 32)
        return [torch.einsum("bchw,cd->bdhw", latent, torch.ones(4, 128).cumsum(1).sin())]

def peak(images):
    model = PatchCore(Maps(), coreset=64 / (1024 * images), neighbourhood=1)
    for _ in range(images // 4):
        model.collect(torch.zeros(4, 3, 8, 8))
    model.finalise()
    assert model.facts()['rows'] == 64, model.facts()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB

peak(60)  # what any first run loads and allocates
few = peak(60)
print(peak(240) - few)
"""


@pytest.mark.slow
def test_four_times_the_images_do_not_need_their_features_in_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=True
    )
    growth = float(done.stdout)
    features = 180 * 1024 * 128 * 4 / 2**20  # 90 MiB more on disk
    assert growth < 0.3 * features
