"""Batch norms folded into convolutions: against float64 and by hand, and what must be left alone."""

import math

import pytest
import timm
import torch
from torch import nn

from zoo.folding import folded


def norms(network: nn.Module) -> int:
    return sum(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in network.modules())


def lived(network: nn.Module) -> nn.Module:
    """As after a training: every norm has statistics, scale and shift of its own."""
    for part in network.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            if part.running_mean is not None:
                part.running_mean.normal_(0, 0.1)
                part.running_var.uniform_(0.5, 1.5)
            if part.weight is not None:
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias, 0, 0.1)
    return network.eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


# name -> norms that are left: a dense block's and a pre-activated block's first norms follow no convolution
@pytest.mark.parametrize(
    ("name", "left"),
    [("resnet18", 0), ("tf_efficientnet_lite0", 0), ("mobilenetv3_small_050", 0), ("resnetv2_50", 17),
     ("densenet121", 62), ("vit_tiny_patch16_224", 0)],
)  # fmt: skip
def test_a_network_of_timm_says_the_same_without_its_norms(name, left):
    side = 224 if name.startswith("vit") else 64
    network = lived(timm.create_model(name, num_classes=0)).double()
    x = torch.randn(2, 3, side, side, dtype=torch.float64)
    changed = folded(network, lambda net: net(x))
    assert norms(changed) == left
    with torch.no_grad():
        torch.testing.assert_close(changed(x), network(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("kind", "shape"), [(1, (20,)), (2, (9, 8)), (3, (5, 6, 7))])
def test_one_norm_by_hand(kind, shape):
    """y = (Wx + b - m) / sqrt(v + eps) * g + s; in float64, the norm without a number of its own too."""
    for own in (True, False):
        conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[kind - 1](3, 4, 3, bias=own)
        norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[kind - 1](4, eps=0.3, affine=own)
        network = lived(nn.Sequential(conv, norm, nn.Flatten())).double()
        x = torch.randn(2, 3, *shape, dtype=torch.float64)
        each = (-1, *[1] * kind)
        scale = (norm.weight if own else torch.ones(4)) / (norm.running_var + 0.3).sqrt()
        shift = norm.bias if own else torch.zeros(4)
        with torch.no_grad():
            by_hand = (conv(x) - norm.running_mean.view(each)) * scale.view(each) + shift.view(each)
        changed = folded(network, lambda net, x=x: net(x))
        assert norms(changed) == 0
        torch.testing.assert_close(changed(x), by_hand.flatten(1), rtol=1e-12, atol=1e-12)


class Block(nn.Module):
    """A convolution and a norm, used in a way that does not admit folding."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.twin = nn.BatchNorm2d(3)
        if way == "weights by a rule":
            nn.utils.parametrizations.weight_norm(self.conv)
        if way == "weights by an old rule":
            nn.utils.weight_norm(self.conv)
        if way == "statistics of the batch":
            self.norm = nn.BatchNorm2d(3, track_running_stats=False)

    def forward(self, x):
        made = self.conv(x)
        if self.way == "read by something else":
            return (self.norm(made) + made).flatten(1)
        if self.way == "read by two norms":
            return (self.norm(made) + self.twin(made)).flatten(1)
        if self.way == "the convolution again":
            return self.conv(self.norm(made)).flatten(1)
        if self.way == "the norm again":
            return self.norm(self.norm(made)).flatten(1)
        if self.way == "something between":
            return self.norm(made.relu()).flatten(1)
        if self.way == "something between, in place":
            return self.norm(made.relu_()).flatten(1)
        return self.norm(made).flatten(1)


@pytest.mark.parametrize(
    "way",
    ["read by something else", "read by two norms", "the convolution again", "the norm again", "something between",
     "something between, in place", "weights by a rule", "weights by an old rule", "statistics of the batch"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
def test_what_does_not_admit_it_is_left_alone(way):
    network, x = lived(Block(way)), torch.randn(2, 3, 8, 8)
    assert folded(network, lambda net: net(x)) is network
    assert norms(network) == 2
    assert not [hook for part in network.modules() for hook in part._forward_hooks]


def test_what_does_admit_it_is_changed_in_a_copy():
    network, x = lived(Block("plain")), torch.randn(2, 3, 8, 8)
    before = network(x)
    changed = folded(network, lambda net: net(x))
    assert norms(changed) == 1  # the twin, which is not used
    assert norms(network) == 2
    assert torch.equal(network(x), before)


def test_features_that_are_not_finite_prove_nothing():
    network, x = lived(Block("plain")), torch.full((2, 3, 8, 8), math.nan)
    assert folded(network, lambda net: net(x)) is network
