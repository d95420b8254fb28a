"""Rules for networks of every kind: repeatable, in any precision, on any device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from zoo.testing.comparisons import both_modes, distance, randomise_parameters
from zoo.testing.rules import describe, excuse, expect

LOOSE = 1e-3
"""Largest relative difference between float32 and float64 from rounding over many layers."""
DEVICE = 1e-2
"""Largest relative difference between a CPU and an accelerator, whose convolutions may round to ten bits."""


class Case(Protocol):
    """The methods of a case that these rules need."""

    def fresh(self, seed: int = 0) -> nn.Module:
        """Build the block.

        Args:
            seed: Seed of torch's generator.

        Returns:
            The block with its initial parameters.
        """

    def arguments(self, block: nn.Module) -> tuple[Any, ...]:
        """Return the arguments of a call: tensors, or dicts of them.

        Args:
            block: The block.

        Returns:
            The arguments.
        """

    def outputs(self, block: nn.Module, *arguments: Any) -> list[Tensor]:
        """Return all outputs of a call.

        Args:
            block: The block.
            *arguments: The arguments.

        Returns:
            The tensors.
        """


def repeatable(case: Case) -> None:
    """Check that blocks built from one seed are equal, and so are two calls (in training mode with the same seed).

    A run is repeated from its seed. Numbers drawn from another generator than torch's, or at import, make the second
    run differ from the record.
    """
    one, two = case.fresh(), case.fresh()
    first, second = one.state_dict(), two.state_dict()
    expect(first.keys() == second.keys(), "two blocks built alike have other parameters")
    for name, value in first.items():
        expect(torch.equal(value, second[name]), f"{name} differs between two blocks built from one seed")
    arguments = case.arguments(one)

    def every(block: nn.Module) -> Tensor:
        return torch.cat([out.flatten() for out in case.outputs(block, *arguments)])

    with torch.no_grad():
        usual, again = every(randomise_parameters(one)), every(one)
    expect(
        torch.equal(usual, again), "a second call gives other answers", f"a difference of {distance(usual, again):.2g}"
    )
    modes = zip(
        ("evaluation", "training"), both_modes(one, every), both_modes(randomise_parameters(two), every), strict=True
    )
    for mode, a, b in modes:
        gap = f"a difference of {distance(a, b):.2g}" if a.shape == b.shape else ""
        expect(torch.equal(a, b), f"another block from the same seed gives other answers in {mode} mode", gap)


def precisions(case: Case) -> None:
    """Check that float64 gives the output of float32, and bfloat16 autocast a finite one of the same shape.

    Training uses mixed precision on accelerators, and tests use float64. A tensor made with a fixed dtype, or a number
    too small for half precision (1e-50), breaks one or the other.
    """
    block = randomise_parameters(case.fresh())
    arguments = case.arguments(block)
    with torch.no_grad():
        usual = case.outputs(block, *arguments)
        with torch.autocast("cpu", torch.bfloat16):
            low = case.outputs(block, *arguments)
        wide = case.outputs(block.double(), *converted(arguments, lambda x: x.double() if x.is_floating_point() else x))
    for a, b, c in zip(usual, low, wide, strict=True):
        expect(b.shape == a.shape, f"bfloat16 autocast gives the shape {tuple(b.shape)}, not {tuple(a.shape)}")
        expect(b.isfinite().all(), "bfloat16 autocast gives numbers that are not finite", describe(b))
        expect(c.shape == a.shape, f"float64 gives the shape {tuple(c.shape)}, not {tuple(a.shape)}")
        gap = distance(a.double(), c.double())
        expect(gap <= LOOSE, f"float64 gives another answer (by {gap:.2g} of the largest number)", describe(c))


def no_numbers(case: Case) -> None:
    """Check that on the meta device it gives the shapes that it gives with real tensors.

    `harness check`, and every run before it trains, tries the combination there: a .item() or a shape that depends
    on values (x[mask]) fails.
    """
    real = case.fresh().eval()
    arguments = case.arguments(real)
    with torch.no_grad():
        shapes = [tuple(out.shape) for out in case.outputs(real, *arguments)]
        with torch.device("meta"):
            block = case.fresh().eval()
        outs = case.outputs(block, *converted(arguments, lambda x: x.to("meta")))
    found = [tuple(out.shape) for out in outs]
    expect(found == shapes, f"on the meta device it gives {found}, with numbers {shapes}")
    expect(all(out.is_meta for out in outs), "its answers on the meta device lie on another one")


def devices(case: Case) -> None:
    """Check that a CUDA device, if there is one, gives the output of the CPU.

    A tensor made in forward without its device, or a buffer kept as a plain attribute, stops the first run on an
    accelerator.
    """
    if not torch.cuda.is_available():
        excuse("there is no CUDA device here")
    block = randomise_parameters(case.fresh())
    arguments = case.arguments(block)
    with torch.no_grad():
        here = case.outputs(block, *arguments)
        there = case.outputs(block.to("cuda"), *converted(arguments, lambda x: x.to("cuda")))
    for a, b in zip(here, there, strict=True):
        expect(b.device.type == "cuda", f"called on a CUDA device it answers on {b.device}")
        gap = distance(a, b.cpu().to(a.dtype))
        expect(gap <= DEVICE, f"a CUDA device gives another answer (by {gap:.2g} of the largest number)", describe(b))


def converted(tree: Any, convert: Callable[[Tensor], Tensor]) -> Any:
    """Convert every tensor in a tree of tuples and dicts.

    Args:
        tree: A tensor, or a tuple or dict of trees.
        convert: Converts one tensor.

    Returns:
        A new tree.
    """
    if isinstance(tree, Tensor):
        return convert(tree)
    if isinstance(tree, dict):
        return {name: converted(value, convert) for name, value in tree.items()}
    return tuple(converted(value, convert) for value in tree)


RULES = (repeatable, precisions, no_numbers, devices)
