"""What steps are taken with: weight decay, learning rates, running averages of the weights, each against its formula."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from torch import nn

from harness.config.schema import Train
from harness.training.optimizers import make_optimizer, make_schedule, running_average
from harness.training.parameter_groups import parameter_groups


class Blocks(nn.Module):
    """A matrix, a convolution, and everything that is never decayed: biases, a norm, a learned vector."""

    adapted: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.conv = nn.Conv1d(2, 2, 3)
        self.norm = nn.LayerNorm(2)
        self.absent = nn.Parameter(torch.ones(4))
        self.fixed = nn.Parameter(torch.ones(2, 2), requires_grad=False)


class Plain(nn.Linear):
    """A network without adapters."""

    adapted: tuple[str, ...] = ()


DECAYED = {"linear.weight", "conv.weight"}


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_step_without_gradient_shrinks_matrices_and_leaves_biases_norms_and_vectors(optimizer: str) -> None:
    """Both multiply a weight by 1 - lr * decay where the gradient is 0."""
    torch.manual_seed(0)
    net = Blocks()
    before = {name: value.detach().clone() for name, value in net.named_parameters()}
    settings = Train(optimizer=optimizer, lr=0.1, weight_decay=0.5)  # type: ignore[arg-type]
    steps = make_optimizer(net, settings, parameter_groups(net, settings))  # type: ignore[arg-type]
    for value in net.parameters():
        value.grad = torch.zeros_like(value)
    steps.step()
    for name, value in net.named_parameters():
        expected = before[name] * (1 - 0.1 * 0.5) if name in DECAYED else before[name]
        torch.testing.assert_close(value.detach(), expected, rtol=1e-6, atol=0)


def rates(settings: Train, total: int) -> list[float]:
    """The learning rate of each of so many steps."""
    steps = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=settings.lr)
    schedule = make_schedule(steps, settings, total)
    seen = []
    for _ in range(total):
        seen.append(steps.param_groups[0]["lr"])
        steps.step()
        if schedule is not None:
            schedule.step()
    return seen


@pytest.mark.parametrize(("warmup", "warm"), [(0.2, 4), (0.0, 1)])
def test_cosine_rises_in_equal_steps_and_falls_along_half_a_cosine(warmup: float, warm: int) -> None:
    found = rates(Train(schedule="cosine", lr=0.3, warmup=warmup), 20)
    rise = [0.3 * (i + 1) / warm for i in range(warm)]
    fall = [0.15 * (1 + math.cos(math.pi * i / (20 - warm))) for i in range(20 - warm)]
    assert found == pytest.approx([*rise, *fall], rel=1e-12)
    assert found[-1] < 0.01 * 0.3


def test_a_constant_schedule_and_one_cycle() -> None:
    assert rates(Train(schedule="constant", lr=0.3), 5) == [0.3] * 5
    cycle = rates(Train(schedule="one_cycle", lr=0.3), 20)
    top, first = 0.3 * 21 - 1, 0.3 / 25  # torch's defaults: up for 30 % of the steps, from a 25th, along half a cosine
    rise = [first + (0.3 - first) * (1 - math.cos(math.pi * i / top)) / 2 for i in range(6)]
    assert cycle[:6] == pytest.approx(rise, rel=1e-9)
    assert all(a > b for a, b in pairwise(cycle[6:]))


def averages(settings: Train, values: Sequence[float]) -> list[float]:
    """The average after each of the weight's values."""
    net = Plain(1, 1, bias=False)
    average = running_average(net, settings)  # type: ignore[arg-type]
    assert average is not None
    seen = []
    for value in values:
        nn.init.constant_(net.weight, value)
        average.update_parameters(net)
        seen.append(average.module.weight.item())
    return seen


VALUES = [0.0, 1.0, 4.0, 2.0, -3.0, 5.0, 0.5, 2.5]


def test_an_exponential_average_forgets_the_beginning_by_its_warm_up() -> None:
    """By hand: after the first value, the decay at step n is (1 + n) / (10 + n), far below the setting's 0.999."""
    expected, now = [0.0], 0.0
    for value, decay in zip(VALUES[1:], (2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17), strict=True):
        now = decay * now + (1 - decay) * value
        expected.append(now)
    assert averages(Train(average="ema", ema_decay=0.999), VALUES) == pytest.approx(expected, rel=1e-5)


def test_an_exponential_average_ends_with_the_decay_that_is_set() -> None:
    """0.3 is passed between the second step, 3 / 12, and the third, 4 / 13: both sides of the minimum are in use."""
    expected, now = [0.0], 0.0
    for value, decay in zip(VALUES[1:], (2 / 11, 3 / 12, 0.3, 0.3, 0.3, 0.3, 0.3), strict=True):
        now = decay * now + (1 - decay) * value
        expected.append(now)
    assert averages(Train(average="ema", ema_decay=0.3), VALUES) == pytest.approx(expected, rel=1e-5)


def test_a_plain_average_is_the_mean() -> None:
    expected = [sum(VALUES[: n + 1]) / (n + 1) for n in range(len(VALUES))]
    assert averages(Train(average="swa"), VALUES) == pytest.approx(expected, rel=1e-5)
    assert running_average(nn.Linear(1, 1), Train()) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("score", [0.5, -0.5])
def test_a_score_that_stays_the_same_lowers_the_rate_whatever_its_sign(score: float) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make_schedule(optimizer, Train(schedule="plateau", plateau=2, plateau_factor=0.1), 8)
    for _ in range(4):
        schedule.step(score)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)
