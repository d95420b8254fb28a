"""Task tokens against their steps in NumPy, token by token; and that tasks have outputs of their own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from plugins.fusions.task_tokens import TaskTokens
from plugins.heads.mlp import Mlp
from plugins.heads.recurrent import Gru
from tests.plugins.fusions.test_fusions_attention import (
    THREE,
    attention,
    clips,
    layer,
    linear,
    mean_of_present,
    norm,
    one,
)
from tests.support.refusals import refused
from zoo.modules import Build

SMALL = {"hidden": 8, "heads": 2}
TASKS = (2, 4, 3)  # raw outputs of three kinds of answers


def made(dims=THREE, tasks=TASKS, head=Mlp, **options) -> TaskTokens:
    torch.manual_seed(0)
    net = TaskTokens(dims, Build(head, sum(tasks), tasks=tasks), **{**SMALL, **options}).double().eval()
    with torch.no_grad():  # biases, norms and tokens away from what they start as
        for parameter in net.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return net


@pytest.mark.parametrize(("layers", "window"), [(1, 0), (2, 0), (2, 1)])
@pytest.mark.parametrize("dims", [THREE, {"audio": 2, "face": 3}, {"face": 3}], ids=len)
def test_against_loops_over_tokens(dims, layers, window):
    net = made(dims, layers=layers, window=window)
    features, present, valid = clips(dims)
    with torch.no_grad():
        got, raw = net.read(features, present, valid), net(features, present, valid).raw.numpy()
    tokens = net.tokens.detach().numpy()
    for b in range(2):
        own, seen = one(b, features, present, valid)
        frames, count = seen.shape[1], len(tokens)
        states = np.stack([linear(p, own[slot]) for p, slot in zip(net.projections, dims, strict=True)])
        memory = norm(net.norm_memory, states.reshape(-1, 8))
        places = [t for t in range(frames) for _ in range(count)]
        there = [t for _ in dims for t in range(frames)]
        x = np.repeat(mean_of_present(states, seen), count, 0) + np.tile(tokens, (frames, 1))

        known = seen.reshape(-1)

        def admitted(q, k, known=known, places=places, there=there):
            return known[k] and (not window or abs(places[q] - there[k]) <= window)

        for reader, exchange in zip(net.readers, net.exchanges, strict=True):
            x = layer(reader, x, memory, places, there, admitted)
            for t in range(frames):
                rows = slice(t * count, (t + 1) * count)
                each = norm(exchange.norm, x[rows])
                nowhere = [None] * count
                x[rows] = x[rows] + attention(exchange.attention, each, each, nowhere, nowhere, lambda q, k: True)
        expected = norm(net.norm, x).reshape(frames, count, 8)
        np.testing.assert_allclose(got[b, :frames].numpy(), expected, rtol=1e-5, atol=1e-12)
        columns = []
        for k, predictor in enumerate(net.predictors):
            part = torch.from_numpy(expected[None, :, k])
            columns.append(predictor(part, torch.ones(1, frames, dtype=torch.bool))[0].detach().numpy())
        np.testing.assert_allclose(raw[b, :frames], np.concatenate(columns, -1), rtol=1e-5, atol=1e-12)


def test_each_task_has_its_own_head_and_all_share_what_is_read():
    net = made(head=lambda dim: Gru(dim, hidden=3, dropout=0.0))
    features, present, valid = clips(THREE)
    for k, columns in enumerate(torch.arange(sum(TASKS)).split(TASKS)):
        net.zero_grad(set_to_none=True)
        net(features, present, valid).raw[..., columns].square().sum().backward()
        for other, predictor in enumerate(net.predictors):
            got = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in predictor.parameters()]
            assert all(got) if other == k else not any(got)
        assert net.tokens.grad is not None
        assert bool((net.tokens.grad.abs().sum(1) > 0).all())  # tokens read one another


def test_what_an_absent_slot_holds_changes_nothing():
    net = made(layers=2)
    features, present, valid = clips(THREE)
    before = net(features, present, valid).raw
    noisy = {slot: torch.where(present[slot].unsqueeze(-1), x, 9.0) for slot, x in features.items()}
    torch.testing.assert_close(net(noisy, present, valid).raw[valid], before[valid], rtol=1e-12, atol=1e-12)


def test_without_tasks_there_is_one_token():
    assert len(TaskTokens(THREE, Build(Mlp, 5), **SMALL).tokens) == 1


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"layers": 0}, refused("option-too-small", name="layers", value=0)),
        ({"window": -1}, refused("option-too-small", name="window", value=-1)),
        ({"heads": 3}, refused("attention-heads", heads=3, dim=8)),
    ],
)
def test_values_that_make_no_sense(options, refusal):
    with refusal:
        made(**options)
