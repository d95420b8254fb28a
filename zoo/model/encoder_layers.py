"""Layers of an encoder, from its input to its features: for rates by layer, staged unfreezing and checkpointing.

A network of timm says itself which weights form a layer (``group_matcher``); an encoder of a plugin may define the same
method. In any other network the layers are its longest stack: a ModuleList or Sequential of blocks of one kind.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn


def layer_numbers(encoder: nn.Module) -> dict[str, int]:
    """Return the layer of each parameter by name, counted from 0 at the input without gaps.

    Parameters before the stack are in layer 0, and those after it in the last layer, as in timm. So are those that an
    encoder names in ``last_layer``, such as the shares of a sum of all layers. All parameters are in layer 0 if the
    encoder has no layers.
    """
    last = set(getattr(encoder, "last_layer", ()))
    names = [name for name, _ in encoder.named_parameters()]
    found = _by_matcher(encoder) or _by_stack(encoder, [name for name in names if name not in last])
    top = max(found.values(), default=0)
    numbers = {name: found.get(name, top) for name in names}
    order = {number: i for i, number in enumerate(sorted(set(numbers.values())))}
    return {name: order[number] for name, number in numbers.items()}


def blocks(module: nn.Module) -> list[nn.Module]:
    """Return the parts of the longest stack of a network, in order; the network alone if it has none."""
    return [part for _, part in _stack(module)] or [module]


def _by_matcher(encoder: nn.Module) -> dict[str, int]:
    """Return the layers as the network's own ``group_matcher`` gives them; empty if it has none."""
    for prefix, part in encoder.named_modules():
        if callable(matcher := getattr(part, "group_matcher", None)):
            from timm.models import group_parameters

            numbers = group_parameters(part, matcher(coarse=False), reverse=True)
            return {f"{prefix}.{name}".lstrip("."): int(number) for name, number in numbers.items()}
    return {}


def _by_stack(encoder: nn.Module, names: list[str]) -> dict[str, int]:
    """Return the layers by the longest stack: 0 before it, its parts from 1 on, and the last for what follows."""
    prefixes = [prefix for prefix, _ in _stack(encoder)]
    numbers, reached = {}, False
    for name in names:
        inside = next((i for i, prefix in enumerate(prefixes) if name.startswith(f"{prefix}.")), None)
        reached = reached or inside is not None
        numbers[name] = inside + 1 if inside is not None else len(prefixes) if reached else 0
    return numbers


def _stack(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the parts of the longest stack with their names; of equally long ones the first."""
    return max(_stacks(module), key=len, default=[])


def _stacks(module: nn.Module) -> Iterator[list[tuple[str, nn.Module]]]:
    for prefix, part in module.named_modules():
        if not isinstance(part, nn.ModuleList | nn.Sequential) or len(part) < 2:
            continue
        if len({type(block) for block in part}) == 1 and any(True for _ in part.parameters()):
            yield [(f"{prefix}.{name}".lstrip("."), block) for name, block in part.named_children()]
