"""Weights in bfloat16 that keep the sums of their filters."""

import numpy as np
import pytest
import torch
from torch import nn

from zoo.weights.bf16_rounding import Rounded, sums_kept


def test_what_is_rounded_off_one_number_is_given_to_the_next():
    """Between 1 and 2 bfloat16 has steps of 1/128."""
    step = 1 / 128
    rows = np.array([[1 + 0.4 * step] * 5, [1 + step] * 5, [-(1 + 0.4 * step)] * 5])
    kept = (sums_kept(rows) - np.sign(rows)) / step
    assert kept.tolist() == [[0, 1, 0, 1, 0], [1, 1, 1, 1, 1], [0, -1, 0, -1, 0]]


def test_against_the_same_rule_one_number_at_a_time():
    """Rounded by torch; sums are off by half a step of the last number at most, beside what nearest numbers leave."""
    rows = np.random.default_rng(0).normal(0.02, 0.1, (6, 900))
    kept = sums_kept(rows)
    for row, got in zip(rows.tolist(), kept.tolist(), strict=True):
        owed = 0.0
        for wanted, given in zip(row, got, strict=True):
            assert given == torch.tensor(wanted + owed, dtype=torch.float32).bfloat16().item()
            owed += wanted - given
        assert abs(sum(row) - sum(got)) <= 2**-9 * max(map(abs, got))
    assert kept.dtype == np.float32
    assert torch.equal(torch.from_numpy(kept), torch.from_numpy(kept).bfloat16().float())
    nearest = torch.from_numpy(rows).bfloat16().double().numpy()
    off, usual = (np.abs(x.sum(1, dtype=np.float64) - rows.sum(1)).mean() for x in (kept, nearest))
    assert off < usual / 10


class Network(nn.Module):
    """Convolutions under autocast, one that keeps to float32 by itself, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.deep = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=4)
        self.exact, self.last = nn.Conv2d(4, 4, 1), nn.Linear(4, 2)

    def forward(self, x):
        x = self.deep(self.first(x).relu())
        with torch.autocast("cpu", enabled=False):
            x = self.exact(x.float())
        return self.last(x.mean((2, 3)))


def under_autocast(network: nn.Module) -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        network(torch.rand(2, 3, 8, 8))


def test_convolutions_that_compute_in_bfloat16_have_other_weights_inside_and_their_own_again_behind():
    network = Network().eval().requires_grad_(False).to(memory_format=torch.channels_last)
    own = dict(network.named_parameters())
    rounded = Rounded(network, lambda: under_autocast(network))
    assert dict(network.named_parameters()) == own
    with rounded.used():
        others = {name for name, value in network.named_parameters() if value is not own[name]}
        assert others == {"first.weight", "deep.weight"}
        for name in others:
            weight = network.get_parameter(name)
            assert torch.equal(weight.bfloat16().float(), weight)
            assert not torch.equal(weight, own[name])
            assert weight.is_contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(weight.sum((1, 2, 3)), own[name].sum((1, 2, 3)), rtol=0, atol=2e-3)
    assert all(value is own[name] for name, value in network.named_parameters())
    assert not [hook for part in network.modules() for hook in part._forward_hooks]


def test_own_weights_are_put_back_where_the_network_fails():
    network = Network().eval().requires_grad_(False)
    own, rounded = dict(network.named_parameters()), Rounded(network, lambda: under_autocast(network))
    with pytest.raises(RuntimeError), rounded.used():
        network(torch.rand(2, 1, 8, 8))
    assert all(value is own[name] for name, value in network.named_parameters())


def test_a_network_that_cannot_be_run_on_noise_is_left_to_autocast():
    network = Network().eval().requires_grad_(False)

    def fails() -> None:
        under_autocast(network)
        raise ValueError("no face in it")

    assert Rounded(network, fails).weights == []
    assert Rounded(network, lambda: None).weights == []  # an encoder of no pictures
    assert not [hook for part in network.modules() for hook in part._forward_hooks]
