"""Batch norms of frozen networks, folded into the convolutions before them.

A batch norm that no longer learns multiplies each channel by a number and adds another, which the convolution before
it does at no cost once its weights are multiplied by the same number. Features stay the same but for rounding, and
come sooner (docs/performance.md): a norm is one more pass over activations that hardly fit the processor's caches.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
TOLERANCE = 1e-4  # of the features' length; float32 rounds some 1e-6 of it, an operation that is missed much more
Net = nn.Module
N = TypeVar("N", bound=nn.Module)


def folded(network: N, run: Callable[[N], Tensor]) -> N:
    """The network with every batch norm folded that directly follows a convolution; itself where there is none.

    ``run`` gives the network's features (rows, D) of some input in float32. It tells which norm follows which
    convolution, and proves the result: where features differ by more than ``TOLERANCE``, as they do where something
    else looks at what a convolution gives, the network is left as it is. It must be in eval mode.
    """
    if not any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in network.modules()):
        return network
    with torch.no_grad():
        pairs, before = _followed(network, run)
        if not pairs:
            return network
        changed = copy.deepcopy(network)
        for convolution, norm in pairs:
            _fold(changed, convolution, norm)
        return changed if _same(before, run(changed)) else network


def _followed(network: N, run: Callable[[N], Tensor]) -> tuple[list[tuple[str, str]], Tensor]:
    """Names of convolutions and of the norms that are given what they make, each at work once; and the features."""
    made: dict[int, tuple[str, Tensor]] = {}  # by the tensor, which is kept so that no other takes its place
    pairs: list[tuple[str, str]] = []
    calls: Counter[str] = Counter()
    hooks = []

    def watch_convolution(name: str) -> Callable[..., None]:
        def hook(_: Net, __: object, out: Tensor) -> None:
            calls[name] += 1
            made[id(out)] = name, out

        return hook

    def watch_norm(name: str) -> Callable[..., None]:
        def hook(_: Net, given: tuple[Tensor, ...]) -> None:
            calls[name] += 1
            if given and id(given[0]) in made:
                pairs.append((made[id(given[0])][0], name))

        return hook

    for name, part in network.named_modules():
        if plain_convolution(part):
            hooks.append(part.register_forward_hook(watch_convolution(name)))
        elif _remainder(part) is not None:
            hooks.append(part.register_forward_pre_hook(watch_norm(name)))
    try:
        features = run(network)
    finally:
        for handle in hooks:
            handle.remove()
    return [pair for pair in pairs if all(calls[name] == 1 for name in pair)], features


def plain_convolution(part: Net) -> bool:
    """Whether it computes with the very weights that it stores."""
    from timm.layers import Conv2dSame

    plain = type(part) in (*CONVOLUTIONS, Conv2dSame)
    return plain and not is_parametrized(part) and not part._forward_pre_hooks


def _remainder(part: Net) -> Net | None:
    """What is left of a norm without its numbers: nothing, or timm's activation; None where it cannot be folded."""
    from timm.layers import BatchNormAct2d

    if getattr(part, "running_var", None) is None:
        return None
    if type(part) is BatchNormAct2d:
        return nn.Sequential(part.drop, part.act)  # type: ignore[arg-type]
    return nn.Identity() if type(part) in NORMS else None


def _fold(network: Net, convolution: str, norm: str) -> None:
    conv, batch_norm = network.get_submodule(convolution), network.get_submodule(norm)
    remainder = _remainder(batch_norm)
    assert remainder is not None
    network.set_submodule(convolution, fuse_conv_bn_eval(conv, batch_norm))  # type: ignore[type-var, arg-type]
    network.set_submodule(norm, remainder.eval())


def _same(before: Tensor, after: Tensor) -> bool:
    difference = (after - before).norm(dim=-1) / before.norm(dim=-1).clamp_min(1e-30)
    return bool((difference <= TOLERANCE).all())
