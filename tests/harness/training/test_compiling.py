"""Compiled networks: the same predictions and gradients, and eager ones where a compiler fails."""

from __future__ import annotations

import copy
import subprocess
import sys
import warnings

import pytest
import torch

from harness.training import compiling
from harness.training.compiling import compile_model
from tests.support.two_processes import Case, batches, make_model
from zoo.model.mixup import training_loss
from zoo.model.model import Batch, Model

CASE = Case(raw=True, fusion="late", head="mlp")

LIMIT = """
import torch
from torch._dynamo.testing import CompileCounter
from harness.training import compiling

counter = compiling.BACKEND = CompileCounter()
parts = [torch.nn.Linear(2, 2 + width) for width in range(24)]
for i, part in enumerate(parts):
    part.forward = compiling._Compiled(f"encoder {i}", part)
for _ in range(2):
    for part in parts:
        assert part(torch.ones(3, 2)).shape == (3, part.out_features)
assert counter.frame_count == len(parts), counter.frame_count
"""


def learned(net: Model, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    torch.manual_seed(3)
    loss, _ = training_loss(net.eval(), batch)
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in net.named_parameters() if p.grad is not None}


def both(backend: object, monkeypatch: pytest.MonkeyPatch, steps: int = 1) -> None:
    """Compare loss, gradients and the predictions of a copy with those without compilation, to 1e-5."""
    monkeypatch.setattr(compiling, "BACKEND", backend)
    torch._dynamo.reset()
    net, other = make_model(CASE), make_model(CASE)
    compile_model(other)
    assert list(other.state_dict()) == list(net.state_dict())
    for batch in list(batches(CASE))[:steps]:
        net.zero_grad()
        other.zero_grad()
        (loss, wanted), (same, found) = learned(net, batch), learned(other, batch)
        torch.testing.assert_close(same, loss, rtol=1e-5, atol=1e-6)
        for name, gradient in wanted.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-6)
    twin = copy.deepcopy(other)
    with torch.no_grad():
        for p in twin.fusion.parameters():
            p.zero_()
        assert not twin(batch).raw.any()
        assert other(batch).raw.any()


@pytest.mark.slow
def test_a_traced_model_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the tracer but no code generator, which needs seconds and a C++ compiler."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", message="(?!train.compile)")
        both("eager", monkeypatch, steps=3)


@pytest.mark.slow
def test_a_compiled_model_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        both("inductor", monkeypatch)
    assert [str(one.message) for one in said if str(one.message).startswith("train.compile")] == []


@pytest.mark.slow
def test_where_the_compiler_fails_a_warning_says_so_and_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: object, inputs: object) -> object:
        raise RuntimeError("there is no compiler")

    with pytest.warns(UserWarning, match="encoder face runs without compilation.*no compiler"):
        both(broken, monkeypatch)


@pytest.mark.slow
def test_every_part_has_its_own_limit_of_compilations() -> None:
    """Three times as many parts as compilations of one part that torch allows: each is compiled, and stays so.

    A process of its own: what torch has compiled before in this one counts too.
    """
    done = subprocess.run([sys.executable, "-c", LIMIT], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr


def test_a_mistake_of_the_network_itself_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "BACKEND", "eager")
    net = make_model(CASE)
    net.encoders["face"].net[0].weight = torch.nn.Parameter(torch.zeros(4, 5, 3, 3))
    compile_model(net)
    with pytest.raises(RuntimeError, match="channels"):
        net(next(batches(CASE)))
