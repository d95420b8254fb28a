"""Weights in bfloat16 that keep the sums of their filters."""

import numpy as np
import torch
from torch import nn

from zoo.rounding import rounded, sums_kept


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


def test_only_weights_of_convolutions_are_others():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(4, 2))
    network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    changed = rounded(network)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
        same = changed.state_dict()[name].data_ptr() == value.data_ptr()
        assert same is (name not in ("0.weight", "2.weight")), name
    assert changed[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert not torch.equal(changed[0].weight, network[0].weight)
    assert torch.equal(changed[0].weight.bfloat16().float(), changed[0].weight)
    torch.testing.assert_close(changed[0].weight.sum((1, 2, 3)), network[0].weight.sum((1, 2, 3)), rtol=0, atol=1e-3)


def test_a_network_without_convolutions_is_left_alone():
    network = nn.Linear(2, 2)
    assert rounded(network) is network
