"""Fold the batch norms of frozen networks into the convolutions before them.

A batch norm in evaluation mode multiplies each channel by a number and adds another. The convolution before it does
this at no cost once its weights are multiplied by the same number. Features stay the same except for rounding and are
computed faster (docs/performance.md): a norm is one more pass over activations that hardly fit the CPU's caches.
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
TOLERANCE = 1e-4  # relative to the features' norm; rounding in float32 is some 1e-6 of it
Pair = tuple[str, str]  # names of a convolution and of the norm after it


def fold(network: nn.Module, features: Callable[[int], Tensor]) -> int:
    """Fold, in place, every batch norm that is the only reader of a convolution's output, and return their number.

    ``features(n)`` returns the network's features (n, D) of n images in float32, other images for another n. The first
    call shows which norm follows which convolution; the second verifies the result. A network is left unchanged if its
    features then differ by more than ``TOLERANCE``, if it fails on such images, or if some part is not in eval mode.
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
        except Exception:  # some networks fail on noise, or access the norm themselves: they stay unfolded
            proven = False
        if not proven:
            for module, name, value in reversed(undo):
                setattr(module, name, value)
    return len(pairs) if proven else 0


def plain_convolution(part: nn.Module) -> bool:
    """Return True if the module is not parametrised and has no hooks: it computes with the weights that it stores."""
    from timm.layers import Conv2dSame

    return type(part) in (*CONVOLUTIONS, Conv2dSame) and not is_parametrized(part) and not _heard(part)


def _heard(part: nn.Module) -> bool:
    return bool(part._forward_hooks or part._forward_pre_hooks)


def _remainder(part: nn.Module) -> nn.Module | None:
    """Return what replaces a folded norm: an identity, or timm's activation; None if the norm cannot be folded."""
    from timm.layers import BatchNormAct2d

    if _heard(part) or getattr(part, "running_var", None) is None:
        return None
    if type(part) is BatchNormAct2d:
        return nn.Sequential(part.drop, part.act).eval()  # type: ignore[arg-type]
    return nn.Identity().eval() if type(part) in NORMS else None


class _Looks(TorchFunctionMode):
    """A counter of the functions that read a convolution's output, norms included. Reading its shape does not count."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[int, tuple[str, Tensor]] = {}  # keeps the tensors alive, so that no id is used again
        self.at: Counter[str] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if any(not isinstance(leaf, int | torch.dtype | torch.device) for leaf in tree_leaves(out)):
            self.at.update(self.made[id(x)][0] for x in tree_leaves((args, kwargs)) if id(x) in self.made)
        return out


def _followed(network: nn.Module, run: Callable[[], Tensor]) -> list[Pair]:
    """Return pairs of a convolution and a norm, each called once, if the norm alone reads the convolution's output."""
    looks, pairs, calls = _Looks(), list[Pair](), Counter[str]()

    def record_output(name: str, out: Tensor) -> None:
        calls[name] += 1
        looks.made[id(out)] = name, out

    def record_reader(name: str, inputs: tuple[Any, ...]) -> None:
        calls[name] += 1
        if inputs and id(inputs[0]) in looks.made:
            pairs.append((looks.made[id(inputs[0])][0], name))

    hooks = []
    for name, part in network.named_modules():
        if plain_convolution(part):
            hooks.append(part.register_forward_hook(lambda _, __, out, name=name: record_output(name, out)))
        elif _remainder(part) is not None:
            hooks.append(part.register_forward_pre_hook(lambda _, inputs, name=name: record_reader(name, inputs)))
    try:
        with looks:
            run()
    finally:
        for handle in hooks:
            handle.remove()
    return [(conv, norm) for conv, norm in pairs if calls[conv] == calls[norm] == looks.at[conv] == 1]


def _fold(network: nn.Module, convolution: str, norm: str) -> list[tuple[nn.Module, str, Any]]:
    """Fold one pair, and return what undoes it: modules, names of attributes and values."""
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
    """Return True if features (n, D) are the same except for rounding; False if any of them are all zero."""
    lengths = before.norm(dim=-1)
    return bool(((after - before).norm(dim=-1) <= TOLERANCE * lengths).all() and (lengths > 0).all())


@contextmanager
def _exactly() -> Iterator[None]:
    """Run convolutions in full float32 on a GPU, where TF32 would round by more than ``TOLERANCE``."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield
