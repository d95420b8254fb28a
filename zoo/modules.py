"""Base classes and masked helpers for the networks of the zoo. With zoo/api.py all that a plugin author reads.

Shapes: B clips, T frames, D features, K raw outputs. ``valid`` (B, T) is always a prefix: padding is at the end.

Weight decay is for what multiplies features. Biases, norms and vectors are left out by themselves; a module with other
parameters to be left alone (tables, rates, tokens) names them: ``def no_weight_decay(self) -> set[str]``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from zoo.errors import UserError
from zoo.layers.precision import computes_bfloat16
from zoo.tracks import Answer, Counts


@dataclass
class FusionOut:
    """What a fusion gives: ``raw`` (B, T, K); ``per_slot``: raw answers of single slots, supervised too where given;
    ``aux``: named scalar losses, added to the loss and logged."""

    raw: Tensor
    per_slot: dict[str, Tensor] = field(default_factory=dict)
    aux: dict[str, Tensor] = field(default_factory=dict)


class Encoder(nn.Module):
    """A slot's input -> features per video frame; declares ``dim`` and ``input`` (FrameInput, AudioInput, VectorInput).

    forward by kind of input:
    frames ``(B, T, 3, H, W)``, normalised (with context frames also ``present (B, T + 2 context)``);
    sound ``samples (B, S)``, ``samples_valid (B, S)``, ``times (B, T)`` in seconds from the first sample;
    vectors ``(B, T, input.dim)``. Returns ``(B, T, dim)``.
    ``needs_training``: why it cannot be frozen with these options, empty where it can.
    """

    needs_training = ""

    def __init__(self, dim: int, input: object) -> None:
        super().__init__()
        self.dim = dim
        self.input = input


class FrameEncoder(Encoder):
    """An encoder that looks at one frame at a time: write ``encode``."""

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, dim)."""

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, 3, H, W) -> (B, T, dim)."""
        return self.encode(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])


class OwnClassifier(nn.Module):
    """The last layer that a file of weights has beside a network's features: (..., dim) -> (..., width) logits.

    It is never trained: its numbers are buffers, part of the state. They are zero until a file gives them; a state of
    before encoders kept them may lack them.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(width, dim))
        self.register_buffer("bias", torch.zeros(width))

    def forward(self, features: Tensor) -> Tensor:
        """(..., dim) -> (..., width), in float32; UserError where no file has given its numbers."""
        if not self.weight.is_meta and not bool(self.weight.any()):
            raise UserError("scores-no-classifier")
        with torch.autocast(features.device.type, enabled=False):
            return nn.functional.linear(features.float(), self.weight.float(), self.bias.float())

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any, **more: Any) -> None:
        own = {prefix + name: buffer for name, buffer in self.named_buffers(recurse=False)}
        super()._load_from_state_dict({**own, **state_dict}, prefix, *rest, **more)


def weighted_mean(raw: Tensor, shares: Tensor) -> Tensor:
    """Return the mean of several raw answers: raw and shares (S, ..., K), shares adding up to 1 over S -> (..., K)."""
    return (raw * shares).sum(0)


class Loss(nn.Module):
    """A loss and its decoding, for ``answers``; ``width`` is K, the raw outputs it wants.

    ``additive``: the loss of a batch is the sum of its clips' losses over a count, so that gradients may be
    accumulated. CCC is not.
    """

    additive = False

    def __init__(self, answers: tuple[Answer, ...], width: int) -> None:
        super().__init__()
        self.answers = answers
        self.width = width

    @abstractmethod
    def forward(self, raw: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """raw (B, T, K) float32, target (B, T, A), labelled (B, T, A) bool -> scalar; 0 with a graph where nothing
        is labelled. Targets where not labelled are arbitrary and must not matter."""

    @abstractmethod
    def decode(self, raw: Tensor) -> Tensor:
        """(B, T, K) -> (B, T, sum of answer.width): values in [low, high], class probabilities, probabilities of 1."""

    def average(self, raw: Tensor, shares: Tensor) -> Tensor:
        """Return raw outputs (..., K) whose decoding is the mean of the decodings of several, raw and shares
        (S, ..., K), where these are probabilities; of others the mean of the raw outputs, as here. A share of 0 has no
        say and gets no gradient."""
        return weighted_mean(raw, shares)


LossBuilder = Callable[[tuple[Answer, ...], tuple[Counts, ...]], Loss]


@dataclass(frozen=True)
class Build:
    """How a fusion makes its parts: ``head(dim)`` the temporal model (with ``out_dim``), ``output(dim)`` the last
    layer to the ``width`` raw outputs, ``predictor(dim)`` both. ``average(raw, shares)``: one raw answer from several
    whose probabilities are the mean of theirs (Loss.average)."""

    head: Callable[[int], nn.Module]
    width: int
    dropout: float = 0.0
    average: Callable[[Tensor, Tensor], Tensor] = weighted_mean

    def output(self, dim: int) -> nn.Module:
        """(B, T, dim) -> (B, T, width)."""
        return nn.Sequential(nn.Dropout(self.dropout), nn.Linear(dim, self.width))

    def predictor(self, dim: int) -> Predictor:
        """(B, T, dim), valid (B, T) -> (B, T, width)."""
        head = self.head(dim)
        return Predictor(head, self.output(int(head.out_dim)))  # type: ignore[arg-type]


class Predictor(nn.Module):
    """Head and output: (B, T, D), valid (B, T) -> raw (B, T, K)."""

    def __init__(self, head: nn.Module, output: nn.Module) -> None:
        super().__init__()
        self.head = head
        self.output = output

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """x (B, T, D), valid (B, T) -> raw (B, T, K)."""
        out: Tensor = self.output(self.head(x, valid))
        return out


Features = dict[str, Tensor]
Masks = dict[str, Tensor]


class FeatureFusion(nn.Module):
    """Fuse features, then predict once: write ``fuse``, which gives (B, T, dim)."""

    def __init__(self, dims: dict[str, int], build: Build, dim: int) -> None:
        super().__init__()
        self.slots = tuple(dims)
        self.predictor = build.predictor(dim)

    @abstractmethod
    def fuse(self, features: Features, present: Masks, valid: Tensor) -> Tensor:
        """features: slot -> (B, T, D_slot); an absent frame's features are the slot's learned vector."""

    def forward(self, features: Features, present: Masks, valid: Tensor) -> FusionOut:
        """Features and masks by slot, valid (B, T) -> raw (B, T, K)."""
        return FusionOut(self.predictor(self.fuse(features, present, valid), valid))


class DecisionFusion(nn.Module):
    """Predict from every slot, then combine the raw answers: write ``combine``."""

    def __init__(self, dims: dict[str, int], build: Build) -> None:
        super().__init__()
        self.slots = tuple(dims)
        self.predictors = nn.ModuleList(build.predictor(dim) for dim in dims.values())

    @abstractmethod
    def combine(self, raw: Tensor, present: Tensor) -> Tensor:
        """raw (S, B, T, K), present (S, B, T) -> (B, T, K); where no slot is present any finite answer."""

    def forward(self, features: Features, present: Masks, valid: Tensor) -> FusionOut:
        """Features and masks by slot, valid (B, T) -> raw (B, T, K), and each slot's own."""
        each = [net(features[slot], valid) for slot, net in zip(self.slots, self.predictors, strict=True)]
        raw = self.combine(torch.stack(each), torch.stack([present[slot] for slot in self.slots]))
        return FusionOut(raw, per_slot=dict(zip(self.slots, each, strict=True)))


# --- masked helpers ---------------------------------------------------------------------------------------------------


def gather(x: Tensor, mask: Tensor) -> Tensor:
    """x (B, T, ...), mask (B, T) -> the frames under the mask, (N, 1, ...); no copy where that is all of them. On the
    meta device, where a mask has no values, all B * T frames."""
    flat = x.flatten(0, 1).unsqueeze(1)
    if x.device.type == "meta":
        return flat
    at = mask.flatten().nonzero().squeeze(1)
    return flat if len(at) == len(flat) else flat.index_select(0, at)


def scatter(x: Tensor, mask: Tensor) -> Tensor:
    """The inverse of gather: x (N, 1, D), mask (B, T) -> (B, T, D), zeros elsewhere."""
    if x.device.type == "meta":
        return x.squeeze(1).unflatten(0, mask.shape)
    out = x.new_zeros(mask.numel(), *x.shape[2:])
    out = out.index_put((mask.flatten().nonzero().squeeze(1),), x.squeeze(1))
    return out.unflatten(0, mask.shape)


def masked_mean(x: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Mean of x over ``dim`` where mask (broadcastable to x) holds; 0 where it holds nowhere."""
    weight = mask.to(x.dtype)
    total = torch.where(mask, x, torch.zeros_like(x)).sum(dim)
    return total / weight.sum(dim).clamp_min(1)


def recur(rnn: nn.RNNBase, x: Tensor, valid: Tensor) -> Tensor:
    """Run a batch-first recurrent net over the valid prefix of each clip: (B, T, D) -> (B, T, out), 0 on padding.
    Laid out in memory the same whether there is padding or not, since dropout's draw follows the layout."""
    if x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and not computes_bfloat16(x.device):
        with torch.autocast("cpu", enabled=False):  # such a processor has no LSTM in bfloat16
            return recur(rnn, x.float(), valid)
    if x.device.type == "cpu" and rnn.mode in _ONE_WAY and rnn.num_layers == 1 and not rnn.proj_size:
        out = _each_way(rnn, torch.where(valid.unsqueeze(-1), x, torch.zeros_like(x)), valid)
    elif x.device.type == "meta" or bool(valid.all()):
        return rnn(x)[0].contiguous()
    else:
        lengths = valid.sum(1).clamp_min(1).cpu()
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out = pad_packed_sequence(rnn(packed)[0], batch_first=True, total_length=x.shape[1])[0]
    return (out * valid.unsqueeze(-1).to(out.dtype)).contiguous()


_ONE_WAY: dict[str, Callable[..., tuple[Tensor, ...]]] = {"LSTM": torch.lstm, "GRU": torch.gru}


def _each_way(rnn: nn.RNNBase, x: Tensor, valid: Tensor) -> Tensor:
    """A layer forwards, and over each clip's valid frames turned round, turned back. What it gives on padding counts
    nowhere. On a processor a packed sequence is slower: 1.3 times for a GRU, 1.9 for an LSTM of 512."""
    frames = torch.arange(x.shape[1])
    turned = torch.where(valid, valid.sum(1, keepdim=True) - 1 - frames, frames).unsqueeze(-1)

    def turn(y: Tensor) -> Tensor:
        return y.gather(1, turned.expand_as(y))

    def run(y: Tensor, ending: str) -> Tensor:
        start = y.new_zeros(1, len(y), rnn.hidden_size)
        names = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if rnn.bias else ()))
        weights = [getattr(rnn, f"{name}_l0{ending}") for name in names]
        state = (start, start) if rnn.mode == "LSTM" else start
        return _ONE_WAY[rnn.mode](y, state, weights, rnn.bias, 1, 0.0, rnn.training, False, True)[0]

    ahead = run(x, "")
    return torch.cat([ahead, turn(run(turn(x), "_reverse"))], -1) if rnn.bidirectional else ahead
