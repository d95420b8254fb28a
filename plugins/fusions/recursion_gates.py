"""Gates of joint cross-attention: they weight a slot's features before attention and after each round.

Shapes: S slots, B clips, T frames, H = ``hidden``, R rounds, M = R + 1 states.

- The code of the authors' earlier gate (Dynamic-CrossAttention) has softmax(linear(attended) / 0.1) between the
  features before and after attention, then relu. ``flat`` is this gate between the features before attention and those
  after each round. ``hierarchical`` is this gate in each round, then once more between the gated features of all
  rounds. No code of 2503.12261 was found. Both forms follow its abstract.
- ``temporal`` is TAGF's gate (arXiv:2507.02080; public code read: leeyubin10/9th-ABAW), which reads a frame's states in
  the order of the rounds. There are always two rounds in that code. Its scores lie within 1 / sqrt(2 H) of zero,
  because each is the mean of a vector of length 1 and width 2 H, so that with its temperature the weights are nearly
  uniform if H is large. This is kept.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

TEMPERATURE = 0.1  # of the softmax
DROPOUT = 0.1  # of TAGF's encoder of the states


class Gate(nn.Module):
    """Gate between states of a slot: relu of their sum, weighted at each frame by softmax(linear(last state) / 0.1)."""

    def __init__(self, slots: int, hidden: int, choices: int) -> None:
        super().__init__()
        self.scores = nn.ModuleList(nn.Linear(hidden, choices) for _ in range(slots))

    def forward(self, states: list[Tensor]) -> Tensor:
        """Combine ``choices`` states, each (S, B, T, H), into one (S, B, T, H)."""
        scores = torch.stack([net(part) for net, part in zip(self.scores, states[-1], strict=True)])
        weights = (scores / TEMPERATURE).softmax(-1).unsqueeze(-2)  # (S, B, T, 1, choices)
        return (torch.stack(states, dim=-1) * weights).sum(-1).relu()


class Flat(Gate):
    """One gate between the features before attention and those after each round."""

    def __init__(self, slots: int, hidden: int, rounds: int) -> None:
        super().__init__(slots, hidden, rounds + 1)


class Hierarchical(nn.Module):
    """A gate in each round between the features before attention and that round's, then one gate between the rounds."""

    def __init__(self, slots: int, hidden: int, rounds: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(Gate(slots, hidden, 2) for _ in range(rounds))
        self.between = Gate(slots, hidden, rounds)

    def forward(self, states: list[Tensor]) -> Tensor:
        """Combine the features before attention and those of each round, each (S, B, T, H), into one (S, B, T, H)."""
        gated = [gate([states[0], state]) for gate, state in zip(self.each, states[1:], strict=True)]
        out: Tensor = self.between(gated)
        return out


class Temporal(nn.Module):
    """TAGF's gate: a bidirectional LSTM reads the states of a frame as a sequence, and its encoding weights them.

    For the states s_0 ... s_R of one slot at one frame, with h_0 ... h_R the LSTM's outputs:

    - e_m = normalised(W dropout([s_m, h_m]) + b), of width 2 H and length 1
    - weights = softmax over m of mean(e_m) / 0.1
    - the gated features are the sum over m of weight_m s_m.
    """

    def __init__(self, slots: int, hidden: int, rounds: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(StateEncoder(hidden) for _ in range(slots))

    def forward(self, states: list[Tensor]) -> Tensor:
        """Combine the features before attention and those of each round, each (S, B, T, H), into one (S, B, T, H)."""
        stack = torch.stack(states, dim=-2)  # (S, B, T, M, H)
        scores = torch.stack([net(part) for net, part in zip(self.encoders, stack, strict=True)])  # (S, B, T, M)
        weights = (scores / TEMPERATURE).softmax(-1).unsqueeze(-1)
        return (stack * weights).sum(-2)


class StateEncoder(nn.Module):
    """Scores of the states of a frame: (B, T, M, H) -> (B, T, M)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(hidden, hidden, batch_first=True, bidirectional=True)
        self.start = nn.Parameter(nn.init.xavier_uniform_(torch.empty(2, 2, hidden)))  # h, c; directions
        self.linear = nn.Linear(3 * hidden, 2 * hidden)
        self.dropout = nn.Dropout(DROPOUT)

    def no_weight_decay(self) -> set[str]:
        """Return the names of parameters without weight decay."""
        return {"start"}

    def forward(self, states: Tensor) -> Tensor:
        """Score the states (B, T, M, H)."""
        flat = states.flatten(0, 1)  # (B * T, M, H)
        h, c = self.start.unsqueeze(2).expand(-1, -1, len(flat), -1).contiguous()
        device = "cpu" if states.is_meta else states.device.type
        with torch.autocast(device, enabled=False):  # there is no LSTM in bfloat16 on some CPUs
            read = self.rnn(flat.to(self.start.dtype), (h, c))[0].unflatten(0, states.shape[:2])
        encoded = self.linear(self.dropout(torch.cat([states, read.to(states.dtype)], -1)))
        return functional.normalize(encoded, dim=-1).mean(-1)


GATES: dict[str, type[nn.Module]] = {"flat": Flat, "hierarchical": Hierarchical, "temporal": Temporal}
