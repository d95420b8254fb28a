"""The registered heads keep the rules, and the built-in ones compute what they say."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from plugins.heads.mlp import Mlp
from plugins.heads.recurrent import Gru, Lstm
from tests.support.refusals import refused
from zoo.registry import registry
from zoo.registry.options import check_options
from zoo.registry.registry import resolve
from zoo.testing import check_light

SPECS = [entry.spec for entry in registry.load().entries("heads")]


def test_the_catalogue_is_light():
    check_light("plugins.heads")


@pytest.mark.parametrize("head", [Gru, Lstm])
def test_both_directions_start_at_the_clips_own_ends(head):
    """Against torch's cell run by hand, forwards and backwards, over each clip alone."""
    torch.manual_seed(0)
    net = head(3, hidden=4).eval()
    lengths = (7, 4)
    x, valid = torch.randn(2, 7, 3), torch.arange(7) < torch.tensor(lengths).unsqueeze(1)
    out = net(x, valid)
    cell_type = nn.GRUCell if head is Gru else nn.LSTMCell
    for direction, suffix in ((0, "l0"), (1, "l0_reverse")):
        cell = cell_type(3, 4)
        cell.load_state_dict(
            {name: getattr(net.rnn, f"{name}_{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        )
        for clip, length in enumerate(lengths):
            state = None
            for t in range(length) if direction == 0 else reversed(range(length)):
                state = cell(x[clip, t].unsqueeze(0), state)
                hidden = state if head is Gru else state[0]
                torch.testing.assert_close(out[clip, t, 4 * direction : 4 * direction + 4], hidden[0])
    assert not out[~valid].any()


@pytest.mark.parametrize(
    ("head", "options", "width"),
    [(Mlp, {"hidden": 5, "layers": 3}, 5), (Gru, {"hidden": 5}, 10), (Lstm, {"hidden": 5, "bidirectional": False}, 5)],
)
def test_the_declared_width_also_without_numbers(head, options, width):
    with torch.device("meta"):
        net = head(3, **options)
        assert net.out_dim == width
        assert net(torch.empty(2, 4, 3), torch.ones(2, 4, dtype=torch.bool)).shape == (2, 4, width)


def test_dropout_is_at_work_with_a_single_layer():
    """torch's own dropout argument does nothing there."""
    net = Gru(3, dropout=0.5).train()
    x, valid = torch.randn(1, 4, 3), torch.ones(1, 4, dtype=torch.bool)
    assert not torch.equal(net(x, valid), net(x, valid))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_clip_much_longer_than_those_in_training(spec):
    """Nothing in a head knows how long clips were; beside it a clip of one frame, both finite."""
    torch.manual_seed(0)
    net = resolve(spec.build)(4, **check_options(spec, {})).eval()
    x, valid = torch.randn(2, 700, 4), torch.arange(700) < torch.tensor([[700], [1]])
    with torch.no_grad():
        out = net(x, valid)
    assert out.shape == (2, 700, net.out_dim)
    assert out[valid].isfinite().all()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_head_has_its_width_without_numbers(spec):
    with torch.device("meta"):
        net = resolve(spec.build)(3, **check_options(spec, {}))
        assert net(torch.empty(2, 5, 3), torch.ones(2, 5, dtype=torch.bool)).shape == (2, 5, net.out_dim)


@pytest.mark.parametrize("name", ["mlp", "gru", "lstm"])
@pytest.mark.parametrize(("option", "value"), [("hidden", 0), ("layers", -1), ("dropout", 1.0)])
def test_values_that_make_no_sense(name: str, option: str, value: float):
    spec = registry.load().get("heads", name)
    code = "option-not-a-share" if option == "dropout" else "option-too-small"
    with refused(code, who=f"head {name}", name=option, value=value):
        resolve(spec.build)(8, **{option: value})
