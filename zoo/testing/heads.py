"""Rules for heads: (B, T, D), valid (B, T) -> (B, T, out_dim)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zoo.api import HeadSpec
from zoo.registry.registry import resolve
from zoo.testing import numerics, toy_tasks
from zoo.testing.comparisons import (
    both_modes,
    defaults,
    expect_options_matter,
    expect_other,
    expect_same,
    expect_saved,
    expect_tensor,
    no_network,
    other_value,
    randomise_parameters,
    train_a_little,
)
from zoo.testing.rules import Check, checks_of, construct, describe, excuse, expect, run_all

DIM = 6
LENGTHS = (9, 5, 7)


@dataclass(frozen=True)
class HeadCase:
    """A head's spec with the options to check it with."""

    spec: HeadSpec
    options: Mapping[str, Any]
    values: Mapping[str, Any]

    def build(self, seed: int = 0, **changed: Any) -> nn.Module:
        """The head on 6 features, in evaluation mode, its parameters shaken."""
        return randomise_parameters(self.fresh(seed, **changed))

    def fresh(self, seed: int = 0, **changed: Any) -> nn.Module:
        """The head as it is built."""
        torch.manual_seed(seed)
        head = construct(self.spec, DIM, **defaults(self.spec, {**self.options, **changed}))
        expect(isinstance(head, nn.Module), f"build gives a {type(head).__name__}, not a torch module")
        return head

    def arguments(self, block: nn.Module) -> tuple[Any, ...]:
        """x and valid."""
        return example()

    def outputs(self, block: nn.Module, *arguments: Any) -> list[Tensor]:
        """The output."""
        return [block(*arguments)]

    def causal(self, options: Mapping[str, Any]) -> bool:
        """What the spec declares for these options."""
        declared = self.spec.causal
        return declared if isinstance(declared, bool) else bool(resolve(declared)(**defaults(self.spec, options)))


def head_checks(spec: HeadSpec, *, values: Mapping[str, Any] | None = None, **options: Any) -> list[Check]:
    """Every rule for a head, one by one."""
    return checks_of(spec.name, RULES, HeadCase(spec, options, values or {}))


def check_head(spec: HeadSpec, *, values: Mapping[str, Any] | None = None, **options: Any) -> None:
    """Every rule for a head; ConformanceError at the first one broken."""
    run_all(head_checks(spec, values=values, **options))


def example(lengths: tuple[int, ...] = LENGTHS) -> tuple[Tensor, Tensor]:
    """x (B, T, 6) and valid (B, T) of clips with these lengths."""
    frames = max(lengths)
    x = torch.randn(len(lengths), frames, DIM, generator=torch.Generator().manual_seed(1))
    return x, torch.arange(frames) < torch.tensor(lengths).unsqueeze(1)


@torch.no_grad()
def answer(head: nn.Module, x: Tensor, valid: Tensor) -> Tensor:
    """The head's output without a graph."""
    out: Tensor = head(x, valid)
    return out


# --- rules ------------------------------------------------------------------------------------------------------------


def offline(case: HeadCase) -> None:
    """Building does not touch the network.

    Machines that train often have none. Weights come by the passport, with their digest checked."""
    with no_network():
        case.build()


def shape(case: HeadCase) -> None:
    """The output has the declared width and is finite, the same at a second call.

    The layer after the head is built with out_dim, and a number that is not finite ends the training."""
    head = case.build()
    out_dim = getattr(head, "out_dim", None)
    expect(isinstance(out_dim, int), f"out_dim must be an int, it is {out_dim!r}")
    first = head(*example())
    expect_tensor(first, (*example()[1].shape, int(out_dim or 0)), "the output")
    expect_same(first, head(*example()), "a second call in evaluation mode gives another answer")


def single_frame(case: HeadCase) -> None:
    """Clips of one frame are answered.

    A video, or what is left of it at its end, may be one frame long."""
    head = case.build()
    expect_tensor(answer(head, *example((1, 1))), (2, 1, int(head.out_dim)), "the output for T=1")  # type: ignore[arg-type]


def padding(case: HeadCase) -> None:
    """What stands in padding, and how much padding there is, does not change a valid frame's answer.

    Clips of one batch have different lengths. If padding counts, a video's score depends on what it is batched
    with."""
    head, (x, valid) = case.build(), example()
    before = answer(head, x, valid)
    garbage = torch.where(valid.unsqueeze(-1), x, torch.full_like(x, 100.0))
    expect_same(before[valid], answer(head, garbage, valid)[valid], "garbage in the padding changes an answer")
    longer, mask = nn.functional.pad(x, (0, 0, 0, 4), value=3.0), nn.functional.pad(valid, (0, 4))
    expect_same(before[valid], answer(head, longer, mask)[:, : x.shape[1]][valid], "more padding changes an answer")


def batch_mates(case: HeadCase) -> None:
    """A clip is answered alone as it is in a batch.

    Else scores change with the batch size, and nobody can repeat them."""
    head, (x, valid) = case.build(), example()
    together = answer(head, x, valid)
    for i, length in enumerate(LENGTHS):
        alone = answer(head, x[i : i + 1, :length], valid[i : i + 1, :length])
        expect_same(together[i, :length], alone[0], f"clip {i} is answered otherwise when it is alone")


def other_frames(case: HeadCase) -> None:
    """A frame's answer depends on earlier frames (unless frame_wise) and on later ones (unless causal), as declared,
    also with each option at another value.

    A head that ignores other frames is no temporal model; one that is called causal and looks ahead cannot be used
    live."""
    changes = [{}, *({n: case.values.get(n, other_value(o, o.default))} for n, o in case.spec.options.items())]
    for change in changes:
        causal = case.causal({**case.options, **change})
        head = case.build(**change)
        for where, reacts in (("earlier", not case.spec.frame_wise), ("later", not (case.spec.frame_wise or causal))):
            _expect_reaction(head, where, reacts, f" with {change}" if change else "")


def _expect_reaction(head: nn.Module, where: str, reacts: bool, note: str) -> None:
    x, valid = example((9,))
    middle = 4
    frames = slice(0, middle) if where == "earlier" else slice(middle + 1, None)
    moved = x.clone()
    moved[:, frames] += 1 + torch.randn(moved[:, frames].shape, generator=torch.Generator().manual_seed(2))
    before, after = (answer(head, clip, valid)[:, middle] for clip in (x, moved))
    if reacts:
        expect_other(before, after, f"no answer depends on {where} frames{note}: declare frame_wise or causal")
    else:
        expect_same(before, after, f"an answer depends on {where} frames{note}, against the declaration")


def gradient(case: HeadCase) -> None:
    """Padding gets no gradient, valid frames get a finite one.

    Features that get no gradient are never learned; one number that is not finite spoils all weights."""
    head, (x, valid) = case.build(), example()
    x.requires_grad_()
    head(x, valid)[valid].square().sum().backward()
    assert x.grad is not None
    expect(x.grad.isfinite().all(), "a gradient is not finite")
    expect(x.grad[~valid].abs().sum() == 0, "padding gets a gradient")
    idle = x.grad[valid].abs().sum(-1) == 0
    expect(not idle.any(), f"{int(idle.sum())} of {len(idle)} valid frames get no gradient", describe(x.grad))


def options(case: HeadCase) -> None:
    """Every option makes a difference.

    An option that does nothing is a comparison that somebody runs for nothing."""

    def outcome(**chosen: Any) -> list[Any]:
        return list(both_modes(case.build(**chosen), lambda head: head(*example())))

    expect_options_matter(case.spec, case.options, case.values, outcome)


def learns(case: HeadCase) -> None:
    """It overfits 8 clips of a temporal XOR that no frame solves by itself (frame-wise heads are excused).

    Shapes and gradients can be right in a network that cannot learn: this is the least it must."""
    if case.spec.frame_wise:
        excuse("declared frame_wise")
    a, b = toy_tasks.bits()
    x = torch.cat([toy_tasks.spread(a, DIM // 2), toy_tasks.spread(b, DIM // 2)], -1)
    head = case.fresh()
    net = nn.ModuleList([head, nn.Linear(int(head.out_dim), 1)])  # type: ignore[arg-type]
    valid = torch.ones(a.shape, dtype=torch.bool)
    toy_tasks.expect_learned(net, lambda: net[1](net[0](x, valid)).squeeze(-1), toy_tasks.crossed(a, b))


def saved(case: HeadCase) -> None:
    """A fresh head with the saved state of a trained one gives the same answers.

    Evaluation, submission and resuming read the weights back from a file."""
    head, (x, valid) = case.build(), example()
    train_a_little(head, lambda: head(x, valid)[valid].square().mean())
    expect_saved(head, case.build(seed=1), lambda module: answer(module, x, valid)[valid])


RULES = (
    offline,
    shape,
    single_frame,
    padding,
    batch_mates,
    other_frames,
    gradient,
    options,
    learns,
    saved,
    *numerics.RULES,
)
