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
    """A head's spec with the options to check it with.

    Attributes:
        spec: The head's spec.
        options: Options in place of the defaults.
        values: Other values for the rule *options*.
    """

    spec: HeadSpec
    options: Mapping[str, Any]
    values: Mapping[str, Any]

    def build(self, seed: int = 0, **changed: Any) -> nn.Module:
        """Build the head on 6 features in evaluation mode, with randomised parameters.

        Args:
            seed: Seed of torch's generator.
            **changed: Options in place of the case's.

        Returns:
            The head.
        """
        return randomise_parameters(self.fresh(seed, **changed))

    def fresh(self, seed: int = 0, **changed: Any) -> nn.Module:
        """Build the head with its initial parameters.

        Args:
            seed: Seed of torch's generator.
            **changed: Options in place of the case's.

        Returns:
            The head.

        Raises:
            ConformanceError: It is not a torch module.
        """
        torch.manual_seed(seed)
        head = construct(self.spec, DIM, **defaults(self.spec, {**self.options, **changed}))
        expect(isinstance(head, nn.Module), f"build gives a {type(head).__name__}, not a torch module")
        return head

    def arguments(self, block: nn.Module) -> tuple[Any, ...]:
        """Return x and valid.

        Args:
            block: The head.

        Returns:
            The arguments of forward.
        """
        return example()

    def outputs(self, block: nn.Module, *arguments: Any) -> list[Tensor]:
        """Return the output.

        Args:
            block: The head.
            *arguments: The arguments of forward.

        Returns:
            One tensor.
        """
        return [block(*arguments)]

    def causal(self, options: Mapping[str, Any]) -> bool:
        """Return True if the spec declares the head causal with these options.

        Args:
            options: Options in place of the defaults.

        Returns:
            True if it is causal.
        """
        declared = self.spec.causal
        return declared if isinstance(declared, bool) else bool(resolve(declared)(**defaults(self.spec, options)))


def head_checks(spec: HeadSpec, *, values: Mapping[str, Any] | None = None, **options: Any) -> list[Check]:
    """Return every rule for a head, one by one.

    Args:
        spec: The head's spec.
        values: Other values for the rule *options*.
        **options: Options in place of the defaults.

    Returns:
        The checks.

    Examples:
        >>> from zoo.api import HeadSpec
        >>> from zoo.testing import head_checks
        >>> checks = head_checks(HeadSpec("live", "my_head:Live"))
        >>> [str(check) for check in checks][:3]
        ['live-offline', 'live-shape', 'live-single_frame']
    """
    return checks_of(spec.name, RULES, HeadCase(spec, options, values or {}))


def check_head(spec: HeadSpec, *, values: Mapping[str, Any] | None = None, **options: Any) -> None:
    """Run every rule for a head.

    Args:
        spec: The head's spec.
        values: Other values for the rule *options*.
        **options: Options in place of the defaults.

    Raises:
        ConformanceError: The first rule that is broken.

    Examples:
        >>> from torch import nn
        >>> from zoo.api import HeadSpec
        >>> from zoo.testing import check_head
        >>> class Flat(nn.Linear):
        ...     def __init__(self, dim):
        ...         super().__init__(dim, 4)
        ...         self.out_dim = 4
        ...     def forward(self, x, valid):
        ...         return super().forward(x)
        >>> check_head(HeadSpec("flat", Flat, frame_wise=True))
    """
    run_all(head_checks(spec, values=values, **options))


def example(lengths: tuple[int, ...] = LENGTHS) -> tuple[Tensor, Tensor]:
    """Return synthetic clips.

    Args:
        lengths: Frames of each clip.

    Returns:
        x (B, T, 6) and valid (B, T).
    """
    frames = max(lengths)
    x = torch.randn(len(lengths), frames, DIM, generator=torch.Generator().manual_seed(1))
    return x, torch.arange(frames) < torch.tensor(lengths).unsqueeze(1)


@torch.no_grad()
def answer(head: nn.Module, x: Tensor, valid: Tensor) -> Tensor:
    """Return the head's output without a graph.

    Args:
        head: The head.
        x: (B, T, 6).
        valid: (B, T) bool.

    Returns:
        (B, T, out_dim).
    """
    out: Tensor = head(x, valid)
    return out


# --- rules ------------------------------------------------------------------------------------------------------------


def offline(case: HeadCase) -> None:
    """Check that building does not access the network.

    Machines that train often have none. Weights are found by the model card, which checks their digest.
    """
    with no_network():
        case.build()


def shape(case: HeadCase) -> None:
    """Check that the output has the declared width and is finite, and the same at a second call.

    The layer after the head is built with out_dim, and a number that is not finite ends the training.
    """
    head = case.build()
    out_dim = getattr(head, "out_dim", None)
    expect(isinstance(out_dim, int), f"out_dim must be an int, it is {out_dim!r}")
    first = head(*example())
    expect_tensor(first, (*example()[1].shape, int(out_dim or 0)), "the output")
    expect_same(first, head(*example()), "a second call in evaluation mode gives another answer")


def single_frame(case: HeadCase) -> None:
    """Check that clips of one frame work.

    A video, or the rest at its end, may be one frame long.
    """
    head = case.build()
    expect_tensor(answer(head, *example((1, 1))), (2, 1, int(head.out_dim)), "the output for T=1")  # type: ignore[arg-type]


def padding(case: HeadCase) -> None:
    """Check that values in the padding, and the amount of padding, change no output at a valid frame.

    Clips of one batch have different lengths. If padding counts, a video's score depends on what it is batched
    with.
    """
    head, (x, valid) = case.build(), example()
    before = answer(head, x, valid)
    garbage = torch.where(valid.unsqueeze(-1), x, torch.full_like(x, 100.0))
    expect_same(before[valid], answer(head, garbage, valid)[valid], "garbage in the padding changes an answer")
    longer, mask = nn.functional.pad(x, (0, 0, 0, 4), value=3.0), nn.functional.pad(valid, (0, 4))
    expect_same(before[valid], answer(head, longer, mask)[:, : x.shape[1]][valid], "more padding changes an answer")


def batch_mates(case: HeadCase) -> None:
    """Check that a clip gets the same output alone and in a batch.

    Otherwise scores change with the batch size, and nobody can reproduce them.
    """
    head, (x, valid) = case.build(), example()
    together = answer(head, x, valid)
    for i, length in enumerate(LENGTHS):
        alone = answer(head, x[i : i + 1, :length], valid[i : i + 1, :length])
        expect_same(together[i, :length], alone[0], f"clip {i} is answered otherwise when it is alone")


def other_frames(case: HeadCase) -> None:
    """Check that the output depends on earlier frames (unless frame_wise) and later ones (unless causal), as declared.

    A head that ignores other frames is not a temporal model; one that is declared causal and looks ahead cannot be used
    live.

    It is checked for the defaults, and for each option at another value.
    """
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
    """Check that padding gets no gradient, and valid frames a finite one.

    Features that get no gradient are never learned; one number that is not finite makes all weights NaN.
    """
    head, (x, valid) = case.build(), example()
    x.requires_grad_()
    head(x, valid)[valid].square().sum().backward()
    assert x.grad is not None
    expect(x.grad.isfinite().all(), "a gradient is not finite")
    expect(x.grad[~valid].abs().sum() == 0, "padding gets a gradient")
    idle = x.grad[valid].abs().sum(-1) == 0
    expect(not idle.any(), f"{int(idle.sum())} of {len(idle)} valid frames get no gradient", describe(x.grad))


def options(case: HeadCase) -> None:
    """Check that every option makes a difference.

    An option without effect wastes the time of everyone who compares its values.
    """

    def outcome(**chosen: Any) -> list[Any]:
        return list(both_modes(case.build(**chosen), lambda head: head(*example())))

    expect_options_matter(case.spec, case.options, case.values, outcome)


def learns(case: HeadCase) -> None:
    """Check that it overfits 8 clips of a temporal XOR that no frame solves alone (frame_wise heads are excused).

    Shapes and gradients can be right in a network that cannot learn: this is the minimum.
    """
    if case.spec.frame_wise:
        excuse("declared frame_wise")
    a, b = toy_tasks.bits()
    x = torch.cat([toy_tasks.embed_bits(a, DIM // 2), toy_tasks.embed_bits(b, DIM // 2)], -1)
    head = case.fresh()
    net = nn.ModuleList([head, nn.Linear(int(head.out_dim), 1)])  # type: ignore[arg-type]
    valid = torch.ones(a.shape, dtype=torch.bool)
    toy_tasks.expect_learned(net, lambda: net[1](net[0](x, valid)).squeeze(-1), toy_tasks.crossed(a, b))


def saved(case: HeadCase) -> None:
    """Check that a fresh head with the saved state of a trained one gives the same output.

    Evaluation, submission and resuming read the weights back from a file.
    """
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
