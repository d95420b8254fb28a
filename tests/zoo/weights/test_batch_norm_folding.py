"""Batch norms folded into convolutions: against float64 and by hand, and what must be left alone."""

import copy
import math
import threading

import pytest
import timm
import torch
from torch import nn

from zoo.weights.batch_norm_folding import fold


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


def pictures(n: int, *shape: int) -> torch.Tensor:
    return torch.randn(n, 3, *shape, generator=torch.Generator().manual_seed(n))


def folded(network: nn.Module, *shape: int) -> int:
    dtype = next(network.parameters()).dtype
    return fold(network, lambda n: network(pictures(n, *shape).to(dtype)))


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


# name -> norms that are left: a dense block's and a pre-activated block's first norms follow no convolution
@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("resnet18", 0),
        ("tf_efficientnet_lite0", 0),
        ("mobilenetv3_small_050", 0),
        ("resnetv2_50", 17),
        ("densenet121", 62),
        ("vit_tiny_patch16_224", 0),
    ],
)
def test_a_network_of_timm_says_the_same_without_its_norms(name, left):
    side = 224 if name.startswith("vit") else 64
    network = lived(timm.create_model(name, num_classes=0)).double()
    x, all_of_them = pictures(2, side, side).double(), norms(network)
    with torch.no_grad():
        before = network(x)
        assert folded(network, side, side) == all_of_them - left
        assert norms(network) == left
        torch.testing.assert_close(network(x), before, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(("kind", "shape"), [(1, (20,)), (2, (9, 8)), (3, (5, 6, 7))])
def test_one_norm_by_hand(kind, shape, own):
    """y = (Wx + b - m) / sqrt(v + eps) * g + s; in float64, with and without numbers b, g and s."""
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[kind - 1](3, 4, 3, bias=own)
    norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[kind - 1](4, eps=0.3, affine=own)
    network = lived(nn.Sequential(conv, norm, nn.Flatten())).double()
    x = pictures(2, *shape).double()
    each = (-1, *[1] * kind)
    scale = (norm.weight if own else torch.ones(4)) / (norm.running_var + 0.3).sqrt()
    shift = norm.bias if own else torch.zeros(4)
    by_hand = (conv(x) - norm.running_mean.view(each)) * scale.view(each) + shift.view(each)
    assert folded(network, *shape) == 1
    assert norms(network) == 0
    torch.testing.assert_close(network(x), by_hand.flatten(1), rtol=1e-12, atol=1e-12)


def test_the_layout_of_weights_stays():
    network = lived(Block("plain")).to(memory_format=torch.channels_last)
    assert folded(network, 8, 8) == 1
    assert network.conv.weight.is_contiguous(memory_format=torch.channels_last)


class Block(nn.Module):
    """A convolution and a norm, used in a way that does not admit folding, or in the plain one."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.twin = nn.BatchNorm2d(3)
        self.kept = {}
        if way == "weights by a rule":
            nn.utils.parametrizations.weight_norm(self.conv)
        if way == "weights by an old rule":
            nn.utils.weight_norm(self.conv)
        if way == "statistics of the batch":
            self.norm = nn.BatchNorm2d(3, track_running_stats=False)
        if way == "heard by a hook":
            self.conv.register_forward_hook(lambda _, __, out: self.kept.update(made=out))
        if way == "the norm heard by a hook":
            self.norm.register_forward_hook(lambda _, __, out: self.kept.update(made=out))

    def train(self, mode=True):
        super().train(mode)
        self.norm.train(mode or self.way == "never in eval mode")
        return self

    def forward(self, x):
        if self.way == "noise is refused" and float(x.std()) > 0.5:
            raise ValueError("no face in it")
        made = self.conv(x)
        assert made.shape[1] == 3  # asking for a shape is no use of it
        if self.way == "read by something else":
            return (self.norm(made) + made).flatten(1)
        if self.way == "read where it hardly shows":
            return (self.norm(made) + 1e-9 * made).flatten(1)
        if self.way == "read by a decision":
            return (self.norm(made) * (2.0 if made.max().item() > 1e9 else 1.0)).flatten(1)
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
        if self.way == "the norm is looked at":
            return (self.norm(made) * self.norm.weight.sum()).flatten(1)
        if self.way == "its features are zeros":
            return (0 * self.norm(made)).flatten(1)
        if self.way == "its features are not finite":
            return (math.nan * self.norm(made)).flatten(1)
        return self.norm(made).flatten(1)


LEFT_ALONE = [
    "read by something else",
    "read where it hardly shows",
    "read by a decision",
    "read by two norms",
    "the convolution again",
    "the norm again",
    "something between",
    "something between, in place",
    "weights by a rule",
    "weights by an old rule",
    "statistics of the batch",
    "never in eval mode",
    "heard by a hook",
    "the norm heard by a hook",
    "the norm is looked at",
    "its features are zeros",
    "its features are not finite",
    "noise is refused",
]


@pytest.mark.parametrize("way", LEFT_ALONE)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
def test_what_does_not_admit_it_is_left_as_it_was(way):
    network = lived(Block(way))
    parts, state = dict(network.named_modules()), {k: v.clone() for k, v in network.state_dict().items()}
    listening = {name: len(part._forward_hooks) for name, part in parts.items()}
    assert folded(network, 8, 8) == 0
    assert dict(network.named_modules()) == parts
    assert {name: len(part._forward_hooks) for name, part in parts.items()} == listening
    assert state.keys() == network.state_dict().keys()
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_the_plain_way_admits_it_whatever_else_the_network_holds():
    network = lived(Block("plain"))
    network.lock = threading.Lock()  # no copy can be made of it
    before = network(pictures(2, 8, 8))
    assert folded(network, 8, 8) == 1
    assert norms(network) == 1  # the twin, which is not used
    torch.testing.assert_close(network(pictures(2, 8, 8)), before)


def test_a_network_that_would_say_something_else_is_put_back(monkeypatch):
    """Whatever mistake is made: here norms are folded as if they added nothing."""
    network = lived(timm.create_model("resnet18", num_classes=0))
    before = copy.deepcopy(network)
    real = torch.nn.utils.fusion.fuse_conv_bn_weights
    monkeypatch.setattr(
        "zoo.weights.batch_norm_folding.fuse_conv_bn_weights",
        lambda *a: real(*a[:-1], torch.zeros_like(a[-1])),  # type: ignore[call-arg]
    )
    assert folded(network, 64, 64) == 0
    assert norms(network) == 20
    assert all(torch.equal(x, y) for x, y in zip(network.parameters(), before.parameters(), strict=True))
    with torch.no_grad():
        assert torch.equal(network(pictures(2, 64, 64)), before(pictures(2, 64, 64)))
