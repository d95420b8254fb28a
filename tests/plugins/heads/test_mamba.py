"""The selective scan against a sequential loop in NumPy, its gradient against finite differences, and the head."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from plugins.heads import scan
from plugins.heads.mamba import Mamba, Mixer, reversal
from plugins.heads.tcn_mamba import TcnMamba
from tests.support.refusals import refused

CLIPS, FRAMES, CHANNELS, STATE = 2, 37, 3, 4


def inputs(frames=FRAMES, dtype=torch.float64):
    """u, step, a, b, c of a scan whose memory is neither lost at once nor kept for ever."""
    generator = torch.Generator().manual_seed(5)

    def noise(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    step = torch.nn.functional.softplus(noise(CLIPS, frames, CHANNELS) - 1)
    a = -noise(CHANNELS, STATE).exp()
    values = (noise(CLIPS, frames, CHANNELS), step, a, noise(CLIPS, frames, STATE), noise(CLIPS, frames, STATE))
    return tuple(value.to(dtype) for value in values)


def looped(u, step, a, b, c):
    """The definition, number by number."""
    y = np.zeros_like(u)
    for clip in range(u.shape[0]):
        for d in range(u.shape[2]):
            h = np.zeros(a.shape[1])
            for t in range(u.shape[1]):
                for n in range(a.shape[1]):
                    h[n] = np.exp(step[clip, t, d] * a[d, n]) * h[n] + step[clip, t, d] * b[clip, t, n] * u[clip, t, d]
                y[clip, t, d] = h @ c[clip, t]
    return y


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 2e-6)])
@pytest.mark.parametrize("chunk", [1, 8, 37, 128])
def test_the_scan_is_the_loop(dtype, tolerance, chunk, monkeypatch):
    monkeypatch.setattr(scan, "CHUNK", chunk)
    expected = looped(*(value.double().numpy() for value in inputs(dtype=dtype)))
    y = scan.selective_scan(*inputs(dtype=dtype))
    assert y.dtype == dtype
    np.testing.assert_allclose(y.numpy(), expected, rtol=0, atol=tolerance * abs(expected).max())


def test_a_long_scan_does_not_drift():
    """700 frames in float32 against the loop in float64."""
    expected = looped(*(value.numpy() for value in inputs(700)))
    y = scan.selective_scan(*inputs(700, torch.float32))
    np.testing.assert_allclose(y.numpy(), expected, rtol=0, atol=2e-6 * abs(expected).max())


@pytest.mark.parametrize("chunk", [2, 128])
def test_the_gradient_is_that_of_finite_differences(chunk, monkeypatch):
    monkeypatch.setattr(scan, "CHUNK", chunk)
    values = tuple(value.requires_grad_() for value in inputs(5))
    assert torch.autograd.gradcheck(scan.selective_scan, values, atol=1e-8, rtol=1e-6)


def test_the_gradient_is_that_of_autograd_through_a_loop():
    """Also in float32, at a length where an error would grow."""

    def gradients(function, dtype):
        values = tuple(value.requires_grad_() for value in inputs(100, dtype))
        weight = torch.randn(CLIPS, 100, CHANNELS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        (function(*values) * weight.to(dtype)).sum().backward()
        return [value.grad for value in values]

    def plain(u, step, a, b, c):
        h, y = 0, []
        for t in range(u.shape[1]):
            h = (step[:, t, :, None] * a).exp() * h + (step[:, t] * u[:, t]).unsqueeze(-1) * b[:, t, None, :]
            y.append((h * c[:, t, None, :]).sum(-1))
        return torch.stack(y, 1)

    for expected, exact, single in zip(
        gradients(plain, torch.float64),
        gradients(scan.selective_scan, torch.float64),
        gradients(scan.selective_scan, torch.float32),
        strict=True,
    ):
        torch.testing.assert_close(exact, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))
        torch.testing.assert_close(single.double(), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def mixed(net, x):
    """A Mixer in NumPy, (T, hidden) -> (T, hidden)."""

    def weight(name):
        return net.get_parameter(name).detach().numpy()

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    inner, kernel = weight("conv.weight").shape[0], weight("conv.weight").shape[2]
    u, gate = np.split(x @ weight("enter.weight").T, 2, -1)
    early = np.concatenate([np.zeros((kernel - 1, inner)), u])
    u = np.stack([(early[t : t + kernel].T * weight("conv.weight")[:, 0]).sum(1) for t in range(len(x))])
    u = u + weight("conv.bias")
    u = u * sigmoid(u)
    rank, b, c = np.split(u @ weight("select.weight").T, np.cumsum(net.widths)[:2], -1)
    step = np.log1p(np.exp(rank @ weight("step.weight").T + weight("step.bias")))
    y = looped(u[None], step[None], -np.exp(weight("log_a")), b[None], c[None])[0] + weight("d") * u
    return (y * gate * sigmoid(gate)) @ weight("leave.weight").T


@pytest.mark.parametrize("bidirectional", [True, False])
def test_the_head_step_by_step(bidirectional):
    """Each clip alone, its valid frames only, the second direction from its last valid frame."""
    torch.manual_seed(0)
    net = Mamba(3, hidden=20, layers=2, state=3, kernel=3, bidirectional=bidirectional).double().eval()
    lengths = (9, 6)
    x = torch.randn(2, 9, 3, dtype=torch.float64)
    out = net(x, torch.arange(9) < torch.tensor(lengths).unsqueeze(1)).detach().numpy()

    def normed(v, layer):
        eps = np.finfo(np.float64).eps
        return v / np.sqrt((v**2).mean(-1, keepdims=True) + eps) * layer.weight.detach().numpy()

    for clip, length in enumerate(lengths):
        y = x[clip, :length].numpy() @ net.enter.weight.detach().numpy().T + net.enter.bias.detach().numpy()
        for layer in range(2):
            z = normed(y, net.norms[layer])
            y = y + mixed(net.ahead[layer], z) + (mixed(net.back[layer], z[::-1])[::-1] if bidirectional else 0)
        np.testing.assert_allclose(out[clip, :length], normed(y, net.norm), rtol=0, atol=1e-10)
    assert not out[1, 6:].any()


def test_valid_frames_are_turned_round_and_padding_stays():
    valid = torch.arange(5) < torch.tensor([[5], [3], [1], [0]])
    assert reversal(valid).tolist() == [[4, 3, 2, 1, 0], [2, 1, 0, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]


def test_it_starts_as_the_public_code_does():
    torch.manual_seed(0)
    net = Mixer(hidden=40, state=5, kernel=4, expand=2)
    assert net.widths == (3, 5, 5)  # a rank of hidden / 16, rounded up
    torch.testing.assert_close(-net.log_a.exp(), -torch.arange(1.0, 6).repeat(80, 1))
    step = torch.nn.functional.softplus(net.step.bias)
    assert 0.00099 < step.min() < 0.003
    assert 0.03 < step.max() < 0.101


@pytest.mark.parametrize(
    "options", [{"hidden": 0}, {"layers": 0}, {"state": 0}, {"kernel": 0}, {"expand": 0}, {"dropout": 1.0}]
)
def test_senseless_values_are_named(options):
    ((name, value),) = options.items()
    code = "option-not-a-share" if name == "dropout" else "option-too-small"
    with refused(code, who="head mamba", name=name, value=value):
        Mamba(3, **options)


@pytest.mark.parametrize("options", [{"tcn_layers": 0}, {"tcn_kernel": 1}])
def test_senseless_values_of_the_tcn_before_it_are_named(options):
    ((name, value),) = options.items()
    with refused("option-too-small", who="head tcn_mamba", name=name, value=value):
        TcnMamba(3, **options)
