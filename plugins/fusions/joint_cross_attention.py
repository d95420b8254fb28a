"""Joint cross-attention: every slot is read anew by what all slots say together (JCA, RJCA, GRJCA).

Praveen et al. 2022, arXiv:2203.14779 (one round); recursive: arXiv:2304.07958 and, for three streams, arXiv:2403.13659;
gated: arXiv:2503.12261. Public code read: praveena2j/JointCrossAttentional-AV-Fusion, RecurrentJointAttentionwithLSTMs,
RJCMA and Dynamic-CrossAttention; where this says "code" it is these. Of the papers the abstracts were at hand.

Shapes: S slots, B clips, T frames, H = ``hidden``. What is left open, and what was taken:

- The formula C = tanh(X' W J / sqrt(d)) can be frames x frames, with W over features, or features x features, with W
  over frames. The code takes the second, so its weights fit one clip length only (300, 16 or 8). Here it is frames x
  frames: any length works, also clips longer than those in training. The map from C to what was attended is
  relu(X W C), as in RJCMA's code but for a tanh under the relu, which bounds sums that here are means; the code of the
  first paper puts C itself through a matrix over frames.
- The first paper has H_m = relu(U_m x_m + what was attended), its W_a X_a: ``own_term``. The recursive forms leave it
  out, and so does this without the option.
- Sums over frames are divided by the number of frames that were admitted, so that the length of a clip or its padding
  does not set their scale (the code's clips are all of one length and it does not divide).
- A temporal net a slot before fusing (build.head; LSTM in 2304.07958's code, TCN in RJCMA's), then a linear layer to
  one width, as in the first paper's code. No second net after fusing, as there and in RJCMA's (the others: an LSTM).
- Each round has weights of its own, as in the code. Dropout once a round, on H.
- Gates: the code of the authors' earlier gate (Dynamic-CrossAttention) has softmax(linear(attended) / 0.1) between the
  features before and after attention, then relu. ``flat``: so, between the features and those of every round.
  ``hierarchical``: so in every round, then once more between the gated features of all rounds. No code of 2503.12261
  was found: the two follow its abstract, and each round goes on from attended features that no gate has touched.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.layers.validation import at_least, fraction
from zoo.modules import Build, Features, FusionOut, Masks

CHUNK = 1024  # frames attended at once: bounds the memory of a long video, changes no number
TEMPERATURE = 0.1  # of the gates' softmax


class JointCrossAttention(nn.Module):
    """A temporal net a slot, ``rounds`` of joint cross-attention, an optional gate, one linear layer on all slots.

    Where a slot is absent it is left out of the joint features and out of every sum over frames; what the slot's
    temporal net made of the learned vector stays in the residual alone. With one slot: self-attention between the
    slot's own frames, by tanh instead of softmax. Raises UserError for options out of their range.
    """

    def __init__(
        self,
        dims: dict[str, int],
        build: Build,
        rounds: int = 1,
        gate: str = "none",
        hidden: int = 64,
        dropout: float = 0.1,
        own_term: bool = False,
    ) -> None:
        super().__init__()
        at_least("fusion joint_cross_attention", 1, rounds=rounds, hidden=hidden)
        fraction("fusion joint_cross_attention", dropout=dropout)
        if gate == "hierarchical" and rounds < 2:
            raise UserError(
                "fusion joint_cross_attention: gate hierarchical chooses between rounds; give rounds 2 or more"
            )
        self.slots = tuple(dims)
        self.heads = nn.ModuleList(build.head(dim) for dim in dims.values())
        self.enter = nn.ModuleList(nn.Linear(int(head.out_dim), hidden) for head in self.heads)  # type: ignore[arg-type]
        self.rounds = nn.ModuleList(Round(len(dims), hidden, dropout, own_term) for _ in range(rounds))
        self.gate = None if gate == "none" else GATES[gate](len(dims), hidden, rounds)
        # A linear layer on all slots side by side, written as the sum of a layer a slot.
        self.outputs = nn.ModuleList(build.output(hidden) for _ in dims)

    def forward(self, features: Features, present: Masks, valid: Tensor) -> FusionOut:
        """Features and masks by slot, valid (B, T) -> raw (B, T, K)."""
        temporal = zip(self.slots, self.heads, self.enter, strict=True)
        x = torch.stack([enter(head(features[slot], valid)) for slot, head, enter in temporal])  # (S, B, T, H)
        admitted = torch.stack([present[slot] & valid for slot in self.slots])  # (S, B, T)
        states = [x]
        for attend in self.rounds:
            states.append(attend(states[-1], admitted))
        fused = states[-1] if self.gate is None else self.gate(states)
        each = [output(part) for output, part in zip(self.outputs, fused, strict=True)]
        return FusionOut(torch.stack(each).sum(0))


class Round(nn.Module):
    """One round: x (S, B, T, H), admitted (S, B, T) -> attended features (S, B, T, H).

    For slot m, frames s and t, with J the admitted features of all slots side by side and d = S * H its width:
    C_m[t, s] = tanh(x_m[t]' W_m J[s] / sqrt(d)); H_m[s] = relu(mean over admitted t of C_m[t, s] V_m x_m[t]), with
    ``own_term`` + U_m x_m[s] under the relu where s is admitted; attended x_m[s] + O_m H_m[s]. A slot that is never
    admitted in a clip has H_m = 0.
    """

    def __init__(self, slots: int, hidden: int, dropout: float, own_term: bool = False) -> None:
        super().__init__()
        # W_m cut by the slot it reads: an entry a slot that is read, in it (slot that reads, H, H).
        bound = 1 / math.sqrt(slots * hidden)
        self.correlation = nn.ParameterList(
            nn.Parameter(torch.empty(slots, hidden, hidden).uniform_(-bound, bound)) for _ in range(slots)
        )
        self.value = nn.ModuleList(nn.Linear(hidden, hidden, bias=False) for _ in range(slots))
        own = slots if own_term else 0
        self.own = nn.ModuleList(nn.Linear(hidden, hidden, bias=False) for _ in range(own))
        self.output = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(slots))
        self.dropout = nn.Dropout(dropout)
        self.scale = math.sqrt(slots * hidden)

    def forward(self, x: Tensor, admitted: Tensor) -> Tensor:
        """x (S, B, T, H), admitted (S, B, T) -> (S, B, T, H)."""
        seen = x.masked_fill(~admitted.unsqueeze(-1), 0.0)
        joint = torch.einsum("nmoi,nbsi->mbso", torch.stack(list(self.correlation)), seen)  # W_m J[s]
        value = torch.stack([net(part) for net, part in zip(self.value, seen, strict=True)])
        count = admitted.sum(-1).clamp_min(1)[:, :, None, None]  # (S, B, 1, 1)
        pooled = torch.cat([self._attend(seen, part, value) for part in joint.split(CHUNK, dim=2)], dim=2) / count
        if self.own:
            pooled = pooled + torch.stack([net(part) for net, part in zip(self.own, seen, strict=True)])
        hidden = self.dropout(pooled.relu().transpose(0, 1)).transpose(0, 1)  # clips first, as dropout is shared out
        return x + torch.stack([net(part) for net, part in zip(self.output, hidden, strict=True)])

    def _attend(self, seen: Tensor, joint: Tensor, value: Tensor) -> Tensor:
        """Sum over frames t of C[t, s] value[t]; frames not admitted are zero in ``seen`` and ``value``."""
        correlation = (torch.einsum("mbth,mbsh->mbts", seen, joint) / self.scale).tanh()
        return torch.einsum("mbts,mbth->mbsh", correlation, value)


class Gate(nn.Module):
    """A choice between states of a slot: weights softmax(linear(last state) / 0.1) a frame, their sum, relu."""

    def __init__(self, slots: int, hidden: int, choices: int) -> None:
        super().__init__()
        self.scores = nn.ModuleList(nn.Linear(hidden, choices) for _ in range(slots))

    def forward(self, states: list[Tensor]) -> Tensor:
        """``choices`` states, each (S, B, T, H) -> (S, B, T, H)."""
        scores = torch.stack([net(part) for net, part in zip(self.scores, states[-1], strict=True)])
        weights = (scores / TEMPERATURE).softmax(-1).unsqueeze(-2)  # (S, B, T, 1, choices)
        return (torch.stack(states, dim=-1) * weights).sum(-1).relu()


class Flat(Gate):
    """One gate between the features before attention and those after every round."""

    def __init__(self, slots: int, hidden: int, rounds: int) -> None:
        super().__init__(slots, hidden, rounds + 1)


class Hierarchical(nn.Module):
    """A gate in every round between the features before attention and that round's, then one between the rounds."""

    def __init__(self, slots: int, hidden: int, rounds: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(Gate(slots, hidden, 2) for _ in range(rounds))
        self.between = Gate(slots, hidden, rounds)

    def forward(self, states: list[Tensor]) -> Tensor:
        """The features and those of every round, each (S, B, T, H) -> (S, B, T, H)."""
        gated = [gate([states[0], state]) for gate, state in zip(self.each, states[1:], strict=True)]
        out: Tensor = self.between(gated)
        return out


GATES: dict[str, type[nn.Module]] = {"flat": Flat, "hierarchical": Hierarchical}
