"""The temporal convolutional network against sums in NumPy; how far it sees; option values that make no sense."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from plugins.heads.tcn import Tcn
from tests.support.refusals import refused

FRAMES = 90


def seen(net, frame):
    """The frames whose change alone changes the answer at ``frame``, in float64."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(1, FRAMES, 3, dtype=torch.float64, generator=generator).expand(FRAMES + 1, -1, -1).clone()
    for changed in range(FRAMES):
        x[changed, changed] += 3 * torch.randn(3, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        answers = net(x, torch.ones(FRAMES + 1, FRAMES, dtype=torch.bool))[:, frame]
    return [k for k in range(FRAMES) if not torch.equal(answers[k], answers[-1])]


@pytest.mark.parametrize(
    ("layers", "kernel", "causal", "reach"),
    [
        (1, 3, False, (2, 2)),
        (3, 3, False, (14, 14)),
        (3, 3, True, (28, 0)),
        (2, 5, False, (12, 12)),
        (4, 2, True, (30, 0)),
        (1, 2, False, (2, 0)),  # an even kernel has no middle
    ],
)
def test_it_sees_exactly_as_far_as_it_says(layers, kernel, causal, reach):
    torch.manual_seed(0)
    net = Tcn(3, hidden=32, layers=layers, kernel=kernel, causal=causal).double().eval()
    assert net.reach == reach
    assert 1 + sum(reach) == 1 + 2 * (kernel - 1) * (2**layers - 1)
    assert seen(net, 45) == list(range(45 - reach[0], 45 + reach[1] + 1))


def convolved(conv, x, dilation, back):
    """x (T, inputs) -> (T, outputs): y_t = b + sum over taps of W_tap x_(t - back + tap * dilation), 0 outside."""
    weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()
    out = np.tile(bias, (len(x), 1))
    for t in range(len(x)):
        for tap in range(weight.shape[2]):
            source = t - back + tap * dilation
            if 0 <= source < len(x):
                out[t] += weight[:, :, tap] @ x[source]
    return out


@pytest.mark.parametrize("causal", [False, True])
def test_against_a_sum_over_taps(causal):
    torch.manual_seed(0)
    net = Tcn(3, hidden=4, layers=3, kernel=3, causal=causal).double().eval()
    lengths = (13, 8)
    x = torch.randn(2, 13, 3, dtype=torch.float64)
    out = net(x, torch.arange(13) < torch.tensor(lengths).unsqueeze(1)).detach().numpy()
    for clip, length in enumerate(lengths):
        y = x[clip, :length].numpy()
        for layer, block in enumerate(net.blocks):
            dilation = 2**layer
            back = 2 * dilation if causal else dilation
            first = np.maximum(convolved(block.first, y, dilation, back), 0)
            second = np.maximum(convolved(block.second, first, dilation, back), 0)
            y = np.maximum(second + (convolved(block.shortcut, y, 1, 0) if layer == 0 else y), 0)
        np.testing.assert_allclose(out[clip, :length], y, rtol=0, atol=1e-12)
    assert not out[1, 8:].any()


def test_weights_are_normalised_filter_by_filter():
    """Weight normalisation: the length of a filter is a parameter of its own, its direction another."""
    conv = Tcn(3, hidden=4, layers=1).blocks[0].first
    length, direction = conv.parametrizations.weight.original0, conv.parametrizations.weight.original1
    with torch.no_grad():
        direction.mul_(7)
        length.fill_(2)
    torch.testing.assert_close(conv.weight.flatten(1).norm(dim=1), torch.full((4,), 2.0))


@pytest.mark.parametrize("options", [{"hidden": 0}, {"layers": 0}, {"kernel": 1}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_senseless_values_are_named(options):
    ((name, value),) = options.items()
    code = "option-not-a-share" if name == "dropout" else "option-too-small"
    with refused(code, who="head tcn", name=name, value=value):
        Tcn(3, **options)
