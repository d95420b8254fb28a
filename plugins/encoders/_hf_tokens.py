"""From the hidden states of a network's layers to one vector: which layers, and which tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.modules import Encoder

_RANGE = re.compile(r"(\d+)(?::(\d+))?")


class Layers(nn.Module):
    """Choice of layers: the network's output, one layer, or the mean of several.

    ``layer``: ``last`` (the output, after the last norm), a number from 1, a range ``6:12`` with both ends, ``mean`` of
    all, or ``learned``, softmax(w) over all (SUPERB, arXiv:2105.01051). The encoder owns w.

    Raises:
        UserError: The network has no such layer.
    """

    def __init__(self, layer: str, count: int) -> None:
        super().__init__()
        self.learned = layer == "learned"
        self.numbers: list[int] = []
        if layer == "last":
            return
        if not count:
            raise UserError(
                f"encoder 'hf': this network has stages instead of layers: layer must be last, got {layer!r}"
            )
        match = _RANGE.fullmatch(layer)
        if layer in ("mean", "learned"):
            self.numbers = list(range(1, count + 1))
        elif match and 1 <= int(match[1]) <= int(match[2] or match[1]) <= count:
            self.numbers = list(range(int(match[1]), int(match[2] or match[1]) + 1))
        else:
            raise UserError(
                f"encoder 'hf': layer must be last, mean, learned, 1 to {count} or a range 1:{count}, not {layer!r}"
            )

    @property
    def all(self) -> bool:
        """True if the states of single layers are needed."""
        return bool(self.numbers)

    def forward(self, output: Tensor, states: Sequence[Tensor] | None, mix: Tensor | None) -> Tensor:
        """Return the chosen states.

        Args:
            output: (N, S, D), the network's output.
            states: The input of the first layer and the output of each layer, (N, S, D).
            mix: Weights of ``learned``, one for each layer.
        """
        if not self.numbers:
            return output
        assert states is not None
        chosen = torch.stack([states[number] for number in self.numbers])  # (L, N, S, D)
        if mix is None:
            return chosen.mean(0)
        return torch.einsum("l,lnsd->nsd", mix.softmax(0).to(chosen.dtype), chosen)


def choose_layers(encoder: Encoder, layer: str, count: int) -> tuple[Layers, nn.Parameter | None]:
    """Return the choice of layers of an encoder, and its ``mix``: the weights of ``learned``, not to be frozen."""
    layers = Layers(layer, count)
    if not layers.learned:
        return layers, None
    encoder.last_layer = ("mix",)
    encoder.needs_training = "layer=learned has weights to learn, and cached features cannot change"
    return layers, nn.Parameter(torch.zeros(count))


class Undecayed(nn.Module):
    """Base of encoders whose tokens, tables of positions and gains weight decay leaves as they are."""

    def no_weight_decay(self) -> set[str]:
        """Return the names of parameters that are not decayed."""
        return {
            name
            for name, parameter in self.named_parameters()
            if not name.endswith(("weight", "original1")) or sum(size > 1 for size in parameter.shape) < 2
        }


def pooled(x: Tensor, pool: str, special: int = 0, mask: Tensor | None = None) -> Tensor:
    """Make one vector of tokens.

    Args:
        x: (N, S, D).
        pool: ``cls``: the first token. ``mean``, ``mean_std``: of all but the ``special`` first tokens; the standard
            deviation is sqrt(E[x^2] - E[x]^2 + 1e-6). ``last``: the last token under the mask.
        special: Tokens in front that are no part of the input: class, distillation, registers.
        mask: (N, S) bool, tokens that count.

    Returns:
        (N, D); (N, 2 D) for ``mean_std``.
    """
    if pool == "cls":
        return x[:, 0]
    if pool == "last":
        if mask is None:
            return x[:, -1]
        index = torch.arange(x.shape[1], device=x.device)
        last = torch.where(mask, index, 0).amax(1)
        return x.gather(1, last[:, None, None].expand(-1, 1, x.shape[-1])).squeeze(1)
    x = x[:, special:]
    weight = torch.ones_like(x[..., :1]) if mask is None else mask[:, special:, None].to(x.dtype)
    count = weight.sum(1).clamp_min(1)
    mean = (x * weight).sum(1) / count
    if pool == "mean":
        return mean
    square = (x.square() * weight).sum(1) / count
    return torch.cat([mean, (square - mean.square()).clamp_min(0).add(1e-6).sqrt()], -1)
