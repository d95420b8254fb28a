"""Rules for losses: raw predictions and labels -> a number to minimise; raw predictions -> values and probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zoo.api import Answer, Counts, LossSpec
from zoo.modules import Loss
from zoo.testing import numerics
from zoo.testing.comparisons import (
    defaults,
    expect_options_matter,
    expect_same,
    expect_saved,
    expect_tensor,
    no_network,
    train_a_little,
)
from zoo.testing.rules import Check, checks_of, construct, describe, excuse, expect, run_all

SHAPE = (4, 11)  # clips, frames
ANSWERS = {
    "value": (Answer("valence", "value", -5), Answer("pain", "value", -1, low=0.0, high=5.0)),
    "class": (Answer("expression", "class", -1, classes=("calm", "glad", "sad", "other")),),
    "binary": tuple(Answer(name, "binary", -1) for name in ("AU1", "AU2", "AU4")),
}
COUNTS = {
    "value": (Counts(40, (10, 20, 10)), Counts(40, (20, 10, 10))),
    "class": (Counts(100, (50, 30, 15, 5)),),
    "binary": (Counts(100, (50, 50)), Counts(100, (80, 20)), Counts(100, (96, 4))),
}


@dataclass(frozen=True)
class LossCase:
    """A loss's spec and one kind of answers that it allows, with the options to check it with.

    Attributes:
        spec: The loss's spec.
        kind: The kind of answers.
        options: Options in place of the defaults.
        values: Other values for the rule *options*.
    """

    spec: LossSpec
    kind: str
    options: Mapping[str, Any]
    values: Mapping[str, Any]

    def build(self, seed: int = 0, **changed: Any) -> Loss:
        """Build the loss for some answers of the kind.

        Args:
            seed: Seed of torch's generator.
            **changed: Options in place of the case's.

        Returns:
            The loss.

        Raises:
            ConformanceError: It is not a zoo.modules.Loss.
        """
        torch.manual_seed(seed)
        chosen = defaults(self.spec, {**self.options, **changed})
        loss = construct(self.spec, ANSWERS[self.kind], COUNTS[self.kind], **chosen)
        expect(isinstance(loss, Loss), f"build gives a {type(loss).__name__}, not a zoo.modules.Loss")
        return loss

    def fresh(self, seed: int = 0) -> nn.Module:
        """Build the loss with its initial parameters.

        Args:
            seed: Seed of torch's generator.

        Returns:
            The loss.
        """
        return self.build(seed)

    def arguments(self, block: nn.Module) -> tuple[Any, ...]:
        """Return raw, target and labelled.

        Args:
            block: The loss.

        Returns:
            The arguments of forward.
        """
        assert isinstance(block, Loss)
        return self.raw(block), *self.labels()

    def outputs(self, block: nn.Module, *arguments: Any) -> list[Tensor]:
        """Return the loss and the decoded predictions.

        Args:
            block: The loss.
            *arguments: The arguments of forward.

        Returns:
            The tensors.
        """
        assert isinstance(block, Loss)
        return [block(*arguments).reshape(-1), block.decode(arguments[0])]

    def labels(self) -> tuple[Tensor, Tensor]:
        """Return synthetic labels; about a third of the elements are unlabelled.

        Returns:
            target (4, 11, A) and labelled (4, 11, A).
        """
        generator = torch.Generator().manual_seed(1)
        columns = []
        for answer in ANSWERS[self.kind]:
            if answer.kind == "value":
                columns.append(answer.low + (answer.high - answer.low) * torch.rand(SHAPE, generator=generator))
            else:
                classes = max(2, len(answer.classes))
                columns.append(torch.randint(classes, SHAPE, generator=generator).float())
        labelled = torch.rand(*SHAPE, len(columns), generator=generator) > 0.3
        return torch.stack(columns, -1), labelled

    def raw(self, loss: Loss) -> Tensor:
        """Return synthetic raw predictions.

        Args:
            loss: The loss.

        Returns:
            (4, 11, K).
        """
        return torch.randn(*SHAPE, loss.width, generator=torch.Generator().manual_seed(2))


def loss_checks(spec: LossSpec, *, values: Mapping[str, Any] | None = None, **options: Any) -> list[Check]:
    """Return every rule for a loss and each kind of answers that it allows, one by one.

    See ``head_checks`` for an example.

    Args:
        spec: The loss's spec.
        values: Other values for the rule *options*.
        **options: Options in place of the defaults.

    Returns:
        The checks.
    """
    cases = [LossCase(spec, kind, options, values or {}) for kind in spec.kinds]
    return [check for case in cases for check in checks_of(f"{spec.name}[{case.kind}]", RULES, case)]


def check_loss(spec: LossSpec, *, values: Mapping[str, Any] | None = None, **options: Any) -> None:
    """Run every rule for a loss.

    See ``check_head`` for an example.

    Args:
        spec: The loss's spec.
        values: Other values for the rule *options*.
        **options: Options in place of the defaults.

    Raises:
        ConformanceError: The first rule that is broken.
    """
    run_all(loss_checks(spec, values=values, **options))


def slope(loss: Loss, raw: Tensor, target: Tensor, labelled: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the loss and its gradient with respect to the raw predictions.

    Args:
        loss: The loss.
        raw: (B, T, K).
        target: (B, T, A).
        labelled: (B, T, A) bool.

    Returns:
        The loss, a scalar, and the gradient (B, T, K).

    Raises:
        ConformanceError: The loss has no graph, or a number is not finite.
    """
    raw = raw.clone().requires_grad_()
    value = loss(raw, target, labelled)
    expect_tensor(value, (), "the loss")
    expect(value.requires_grad, "the loss has no graph")
    value.backward()
    expect(raw.grad is not None, "the loss does not depend on the raw answers")
    assert raw.grad is not None
    expect(raw.grad.isfinite().all(), "the gradient is not finite")
    return value.detach(), raw.grad


# --- rules ------------------------------------------------------------------------------------------------------------


def offline(case: LossCase) -> None:
    """Check that building does not access the network.

    Machines that train often have none.
    """
    with no_network():
        case.build()


def shape(case: LossCase) -> None:
    """Check that the loss is a finite scalar with a graph, and that labelled elements get a gradient.

    A labelled frame without gradient is wasted data.
    """
    loss = case.build()
    expect(isinstance(loss.width, int) and loss.width > 0, f"width must be a positive int, it is {loss.width!r}")
    target, labelled = case.labels()
    _, grad = slope(loss, case.raw(loss), target, labelled)
    idle = grad[labelled.any(-1)].abs().sum(-1) == 0
    expect(not idle.any(), f"{int(idle.sum())} of {len(idle)} labelled frames get no gradient", describe(grad))


def decode(case: LossCase) -> None:
    """Check that decoded predictions have their widths and ranges, even for huge raw values.

    Submissions and post-processors need values in range and probabilities; the organisers refuse others.

    Class probabilities add up to 1.
    """
    loss = case.build()
    decoded = loss.decode(torch.cat([case.raw(loss), 100 * case.raw(loss)]))
    widths = [answer.width for answer in ANSWERS[case.kind]]
    expect_tensor(decoded, (2 * SHAPE[0], SHAPE[1], sum(widths)), "decode's output")
    for answer, part in zip(ANSWERS[case.kind], decoded.split(widths, -1), strict=True):
        low, high = (answer.low, answer.high) if answer.kind == "value" else (0.0, 1.0)
        inside = (part >= low).all() and (part <= high).all()
        expect(inside, f"{answer.name}: decoded answers leave [{low}, {high}]", describe(part))
        if answer.kind == "class":
            expect_same(part.sum(-1), torch.ones(part.shape[:-1]), f"{answer.name}: probabilities do not add up to 1")


def unlabelled(case: LossCase) -> None:
    """Check that unlabelled targets (NaN here) change nothing, and that their frames get no gradient.

    Aff-Wild2 marks them by -5 and -1. Training on these numbers would be training on labels that nobody gave.
    """
    loss = case.build()
    raw, (target, labelled) = case.raw(loss), case.labels()
    labelled[0] = False
    value, grad = slope(loss, raw, target, labelled)
    hidden, same = slope(loss, raw, torch.where(labelled, target, torch.nan), labelled)
    expect_same(value, hidden, "a target that is not labelled changes the loss")
    expect_same(grad, same, "a target that is not labelled changes the gradient")
    expect(grad[~labelled.any(-1)].abs().sum() == 0, "a frame without labels gets a gradient")


def nothing_labelled(case: LossCase) -> None:
    """Check that a batch without labels gives 0, with a graph and zero gradients.

    In multi-task training most batches lack some label: a mean over nothing is NaN and ends the training.
    """
    loss = case.build()
    target, labelled = case.labels()
    value, grad = slope(loss, case.raw(loss), torch.full_like(target, torch.nan), torch.zeros_like(labelled))
    expect(value == 0, f"a batch without labels has loss {float(value)}, not 0")
    expect(grad.abs().sum() == 0, "a batch without labels gives a gradient")


def few_labels(case: LossCase) -> None:
    """Check that one labelled frame, constant labels and constant predictions give finite numbers.

    A correlation divides by a variance, which is 0 there. This happens in the first steps and in quiet videos.
    """
    loss = case.build()
    raw, (target, labelled) = case.raw(loss), case.labels()
    single = torch.zeros_like(labelled)
    single[0, 0] = True
    constant = target[:1, :1].expand_as(target)
    for flat in (raw, raw[:1, :1].expand_as(raw)):
        slope(loss, flat, target, single)
        slope(loss, flat, constant, labelled)
        slope(loss, flat, target, labelled)


def additive(case: LossCase) -> None:
    """Check, for a loss that declares it, that loss times labelled elements adds up over the clips of a batch.

    Gradients of such a loss are accumulated over parts of a batch. For other losses (CCC) this would be another loss.
    """
    loss = case.build()
    if not loss.additive:
        excuse("not declared additive")
    raw, (target, labelled) = case.raw(loss), case.labels()
    whole = loss(raw, target, labelled) * labelled.sum()
    clips = zip(raw.split(1), target.split(1), labelled.split(1), strict=True)
    parts = torch.stack([loss(r, t, m) * m.sum() for r, t, m in clips]).sum()
    expect_same(whole.detach(), parts.detach(), "it is declared additive, but the clips' losses do not add up")


def minimum(case: LossCase) -> None:
    """Check that raw predictions that minimise the loss decode to the targets.

    A loss whose minimum is elsewhere (a swapped class, a range that is not undone) trains well and scores badly.
    """
    loss = case.build()
    target, labelled = case.labels()
    raw = torch.nn.Parameter(0.1 * case.raw(loss))
    optimiser = torch.optim.Adam([raw, *loss.parameters()], 0.05)
    for _ in range(400):
        optimiser.zero_grad()
        loss(raw, target, labelled).backward()
        optimiser.step()
    widths = [answer.width for answer in ANSWERS[case.kind]]
    for i, part in enumerate(loss.decode(raw.detach()).split(widths, -1)):
        answer, wanted, got = ANSWERS[case.kind][i], target[..., i][labelled[..., i]], part[labelled[..., i]]
        if answer.kind == "value":
            right = (got.squeeze(-1) - wanted).abs() < 0.1 * (answer.high - answer.low)
        else:
            right = (got.argmax(-1) if answer.kind == "class" else got.squeeze(-1).round()) == wanted
        share = float(right.float().mean())
        expect(share > 0.9, f"{answer.name}: the least loss decodes to the target at {share:.0%} of the frames only")


def options(case: LossCase) -> None:
    """Check that every option makes a difference.

    An option without effect wastes the time of everyone who compares its values.
    """

    def outcome(**chosen: Any) -> list[Any]:
        loss = case.build(**chosen)
        return [loss(case.raw(loss), *case.labels()).detach(), loss.decode(3 * case.raw(loss)).detach()]

    expect_options_matter(case.spec, case.options, case.values, outcome)


def saved(case: LossCase) -> None:
    """Check that a fresh loss with the saved state gives the same value.

    A loss may have learned weights (of tasks), which are saved with the model.
    """
    loss = case.build()
    raw, labels = case.raw(loss), case.labels()
    train_a_little(loss, lambda: loss(raw, *labels))
    expect_saved(loss, case.build(seed=1), lambda module: module(raw, *labels).detach().reshape(1))


def no_numbers(case: LossCase) -> None:
    """Check that on the meta device it decodes to the shape that it gives with real tensors.

    `harness check`, and every run before it trains, tries the combination there: a .item() or a shape that depends
    on values (x[mask]) fails.
    """
    raw = case.raw(case.build())
    with torch.device("meta"):
        loss = case.build()
    expect_tensor(loss.decode(raw.to("meta")), tuple(case.build().decode(raw).shape), "decode on the meta device")


RULES = (
    offline,
    shape,
    decode,
    unlabelled,
    nothing_labelled,
    few_labels,
    additive,
    minimum,
    options,
    saved,
    numerics.repeatable,
    numerics.precisions,
    no_numbers,
    numerics.devices,
)
