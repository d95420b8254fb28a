"""Batch norms of frozen networks, folded into the convolutions before them.

A batch norm that no longer learns multiplies each channel by a number and adds another, which the convolution before
it does at no cost once its weights are multiplied by the same number. Features stay the same but for rounding, and
come sooner (docs/performance.md): a norm is one more pass over activations that hardly fit the processor's caches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.nn.utils.parametrize import is_parametrized
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
TOLERANCE = 1e-4  # of the features' length; float32 rounds some 1e-6 of it
Pair = tuple[str, str]  # names of a convolution and of the norm behind it


def fold(network: nn.Module, features: Callable[[int], Tensor]) -> int:
    """Fold, in place, every batch norm that is all that looks at what a convolution gives; how many were.

    ``features(n)``: the network's features (n, D) of n pictures in float32, other pictures for another n. The first
    shows what follows what; the second proves the result. A network whose features then differ by more than
    ``TOLERANCE``, that fails on such pictures, or some part of which is not in eval mode, is left as it was.
    """
    parts = list(network.modules())
    if any(part.training for part in parts) or not any(_remainder(part) is not None for part in parts):
        return 0
    undo: list[tuple[nn.Module, str, Any]] = []
    with torch.no_grad(), _exactly():
        try:
            pairs = _followed(network, lambda: features(2))
            before = features(3) if pairs else torch.zeros(0)
            for pair in pairs:
                undo += _fold(network, *pair)
            proven = bool(pairs) and _same(before, features(3))
        except Exception:  # some networks bear no noise, or look at the norm themselves: they work as they are
            proven = False
        if not proven:
            for module, name, value in reversed(undo):
                setattr(module, name, value)
    return len(pairs) if proven else 0


def plain_convolution(part: nn.Module) -> bool:
    """Whether it computes with the very weights that it stores, and nobody listens."""
    from timm.layers import Conv2dSame

    return type(part) in (*CONVOLUTIONS, Conv2dSame) and not is_parametrized(part) and not _heard(part)


def _heard(part: nn.Module) -> bool:
    return bool(part._forward_hooks or part._forward_pre_hooks)


def _remainder(part: nn.Module) -> nn.Module | None:
    """What is left of a norm without its numbers: nothing, or timm's activation; None where it cannot be folded."""
    from timm.layers import BatchNormAct2d

    if _heard(part) or getattr(part, "running_var", None) is None:
        return None
    if type(part) is BatchNormAct2d:
        return nn.Sequential(part.drop, part.act).eval()  # type: ignore[arg-type]
    return nn.Identity().eval() if type(part) in NORMS else None


class _Looks(TorchFunctionMode):
    """How often what convolutions make is looked at, be it by a norm; asking for its shape does not count."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[int, tuple[str, Tensor]] = {}  # kept, so that no other tensor takes its place
        self.at: Counter[str] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if any(not isinstance(leaf, int | torch.dtype | torch.device) for leaf in tree_leaves(out)):
            self.at.update(self.made[id(x)][0] for x in tree_leaves((args, kwargs)) if id(x) in self.made)
        return out


def _followed(network: nn.Module, run: Callable[[], Tensor]) -> list[Pair]:
    """Convolutions and norms, each at work once, where the norm alone looks at what the convolution makes."""
    looks, pairs, calls = _Looks(), list[Pair](), Counter[str]()

    def made(name: str, out: Tensor) -> None:
        calls[name] += 1
        looks.made[id(out)] = name, out

    def given(name: str, inputs: tuple[Any, ...]) -> None:
        calls[name] += 1
        if inputs and id(inputs[0]) in looks.made:
            pairs.append((looks.made[id(inputs[0])][0], name))

    hooks = []
    for name, part in network.named_modules():
        if plain_convolution(part):
            hooks.append(part.register_forward_hook(lambda _, __, out, name=name: made(name, out)))
        elif _remainder(part) is not None:
            hooks.append(part.register_forward_pre_hook(lambda _, inputs, name=name: given(name, inputs)))
    try:
        with looks:
            run()
    finally:
        for handle in hooks:
            handle.remove()
    return [(conv, norm) for conv, norm in pairs if calls[conv] == calls[norm] == looks.at[conv] == 1]


def _fold(network: nn.Module, convolution: str, norm: str) -> list[tuple[nn.Module, str, Any]]:
    """What to set to undo it: modules, names of attributes and values."""
    conv: Any = network.get_submodule(convolution)
    place, _, name = norm.rpartition(".")
    holder = network.get_submodule(place)
    old: Any = getattr(holder, name)
    undo = [(conv, "weight", conv.weight), (conv, "bias", conv.bias), (holder, name, old)]
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, old.running_mean, old.running_var, old.eps, old.weight, old.bias
    )
    setattr(holder, name, _remainder(old))
    return undo


def _same(before: Tensor, after: Tensor) -> bool:
    """Whether features (n, D) are the same but for rounding; of nothing but zeros that cannot be said."""
    lengths = before.norm(dim=-1)
    return bool(((after - before).norm(dim=-1) <= TOLERANCE * lengths).all() and (lengths > 0).all())


@contextmanager
def _exactly() -> Iterator[None]:
    """Convolutions in full float32 on a GPU, which else rounds more than ``TOLERANCE``."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield
