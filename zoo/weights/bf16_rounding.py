"""Round the weights of convolutions to bfloat16 so that the sum of each filter is kept.

bfloat16 keeps eight binary digits. If each weight is rounded to the nearest value, a filter's sum changes. Its input is
mostly positive (after a ReLU), so its whole output is shifted, by the same amount on every frame. Here the rounding
error of one weight is carried over to the next one. This costs nothing when features are computed. How close they come
to float32 is measured by harness.features.encoder_probe. (Features of the default encoder, norms folded, 256 demo
frames, median distance from float32 relative to the features' norm: faces 5.4 % rounded to the nearest, 3.7 % by this
method; scenes 6.3 % and 3.6 %. The same with weights perturbed by 0.2 %, eight times: faces 4.7 to 16.3 % and 3.3 to
3.8 %, scenes 4.1 to 15.6 % and 3.3 to 4.1 %.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, from_numpy, nn

from zoo.weights.batch_norm_folding import plain_convolution


class Rounded:
    """Rounded weights for the convolutions of a network that compute in bfloat16.

    ``run`` runs the network under autocast; if it fails, no weights are rounded.
    """

    def __init__(self, network: nn.Module, run: Callable[[], object]) -> None:
        self.weights = [(part, part.weight, _parameter(part.weight)) for part in _in_bf16(network, run)]

    @contextmanager
    def used(self) -> Iterator[None]:
        """Use the rounded weights inside the context; autocast leaves them unchanged. Not thread-safe."""
        try:
            for part, _, weight in self.weights:
                part.weight = weight
            yield
        finally:
            for part, weight, _ in self.weights:  # type: ignore[assignment]
                part.weight = weight


def _in_bf16(network: nn.Module, run: Callable[[], object]) -> list[nn.Conv2d]:
    """Return the convolutions with float32 weights whose output is bfloat16."""
    found: dict[nn.Conv2d, None] = {}

    def look(part: nn.Conv2d, _: object, out: Tensor) -> None:
        if out.dtype == torch.bfloat16:
            found[part] = None

    plain = [part for part in network.modules() if plain_convolution(part) and part.weight.dtype == torch.float32]
    hooks = [part.register_forward_hook(look) for part in plain]
    try:
        if plain:
            run()
    except Exception:  # some networks fail on noise: autocast rounds their weights
        return []
    finally:
        for handle in hooks:
            handle.remove()
    return list(found)


def _parameter(weight: Tensor) -> nn.Parameter:
    values = from_numpy(sums_kept(weight.detach().cpu().flatten(1).double().numpy()))
    kept = torch.empty_like(weight).copy_(values.view(weight.shape))  # same memory layout and device as the weight
    return nn.Parameter(kept, requires_grad=False)


def sums_kept(rows: np.ndarray) -> np.ndarray:
    """Round rows (R, n) float64 to bfloat16 values in float32; a row's sum changes by at most one rounding."""
    out = np.empty(rows.T.shape, np.float32)
    owed = np.zeros(len(rows))
    for column, given in zip(np.ascontiguousarray(rows.T), out, strict=True):
        owed += column
        given[:] = _nearest(owed.astype(np.float32))
        owed -= given
    return np.ascontiguousarray(out.T)


def _nearest(x: np.ndarray) -> np.ndarray:
    """Round float32 to the nearest bfloat16 value, ties to even."""
    bits = x.view(np.uint32)
    kept: np.ndarray = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32)
    return kept.view(np.float32)
