"""Joint cross-attention: each slot attends to the joint features of all slots (JCA, RJCA, GRJCA).

Praveen et al. 2022, arXiv:2203.14779 (one round); recursive: arXiv:2304.07958 and, for three streams, arXiv:2403.13659;
gated: arXiv:2503.12261 and arXiv:2507.02080. Public code read: praveena2j/JointCrossAttentional-AV-Fusion,
RecurrentJointAttentionwithLSTMs, RJCMA and Dynamic-CrossAttention; "the code" below means these. Of the papers only the
abstracts were available.

Shapes: S slots, B clips, T frames, H = ``hidden``. Open questions and choices:

- The formula C = tanh(X' W J / sqrt(d)) can be frames x frames, with W over features, or features x features, with W
  over frames. The code has the second form, so its weights fit only one clip length (300, 16 or 8). Here it is frames x
  frames, which works for any length, even for clips longer than those in training. The map from C to the attended
  features is relu(X W C), as in RJCMA's code except for a tanh inside the relu, which bounds sums that are means here.
  The code of the first paper multiplies C itself by a matrix over frames.
- The first paper has H_m = relu(U_m x_m + attended features), with U_m x_m its W_a X_a: ``own_term``. The recursive
  forms leave this term out, and so does this module without the option.
- Sums over frames are divided by the number of unmasked frames, so that their scale does not depend on the length of a
  clip or its padding. (The clips of the code all have one length, and it does not divide.)
- One temporal network per slot precedes the fusion (build.head; LSTM in 2304.07958's code, TCN in RJCMA's), then a
  linear layer to one width, as in the first paper's code. No second network follows the fusion, as in that code and in
  RJCMA's (the others have an LSTM).
- Each round has its own weights, as in the code. Dropout is applied once per round, on H.
- Gates: see recursion_gates. Each round's input is the ungated output of the previous round.
- ``temporal`` (TAGF) first scales the features at each frame to length 1, as its code does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from plugins.fusions.recursion_gates import GATES
from zoo.errors import UserError
from zoo.layers.validation import at_least, fraction
from zoo.modules import Build, Features, FusionOut, Masks

CHUNK = 1024  # frames attended at once: bounds the memory of a long video, does not change the result


class JointCrossAttention(nn.Module):
    """One temporal network per slot, rounds of joint cross-attention, an optional gate, one linear layer on all slots.

    At frames at which a slot is absent, it is left out of the joint features and of all sums over frames. The output of
    its temporal network for the learned vector remains only in the residual. With one slot this is self-attention
    between the slot's own frames, with tanh instead of softmax. Raises UserError if an option is out of range.
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
        self.unit_length = gate == "temporal"
        # A linear layer on the concatenated slots, written as a sum of one layer per slot.
        self.outputs = nn.ModuleList(build.output(hidden) for _ in dims)

    def forward(self, features: Features, present: Masks, valid: Tensor) -> FusionOut:
        """Return raw outputs (B, T, K) for features and masks by slot and valid (B, T)."""
        temporal = zip(self.slots, self.heads, self.enter, strict=True)
        x = torch.stack([enter(head(features[slot], valid)) for slot, head, enter in temporal])  # (S, B, T, H)
        x = functional.normalize(x, dim=-1) if self.unit_length else x
        admitted = torch.stack([present[slot] & valid for slot in self.slots])  # (S, B, T)
        states = [x]
        for attend in self.rounds:
            states.append(attend(states[-1], admitted))
        fused = states[-1] if self.gate is None else self.gate(states)
        each = [output(part) for output, part in zip(self.outputs, fused, strict=True)]
        return FusionOut(torch.stack(each).sum(0))


class Round(nn.Module):
    """One round: x (S, B, T, H), admitted (S, B, T) -> attended features (S, B, T, H).

    For slot m and frames s and t, let J be the concatenated admitted features of all slots and d = S * H its width:

    - C_m[t, s] = tanh(x_m[t]' W_m J[s] / sqrt(d))
    - H_m[s] = relu(mean over admitted t of C_m[t, s] V_m x_m[t]); with ``own_term``, U_m x_m[s] is added inside the
      relu if s is admitted.
    - The attended features are x_m[s] + O_m H_m[s].

    A slot that is not admitted at any frame of a clip has H_m = 0.
    """

    def __init__(self, slots: int, hidden: int, dropout: float, own_term: bool = False) -> None:
        super().__init__()
        # W_m split by the slot it is applied to: one entry for each such slot, of shape (attending slot, H, H).
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
        """Map x (S, B, T, H) and admitted (S, B, T) to (S, B, T, H)."""
        seen = x.masked_fill(~admitted.unsqueeze(-1), 0.0)
        joint = torch.einsum("nmoi,nbsi->mbso", torch.stack(list(self.correlation)), seen)  # W_m J[s]
        value = torch.stack([net(part) for net, part in zip(self.value, seen, strict=True)])
        count = admitted.sum(-1).clamp_min(1)[:, :, None, None]  # (S, B, 1, 1)
        pooled = torch.cat([self._attend(seen, part, value) for part in joint.split(CHUNK, dim=2)], dim=2) / count
        if self.own:
            pooled = pooled + torch.stack([net(part) for net, part in zip(self.own, seen, strict=True)])
        # Clips first: processes divide dropout's draw along dimension 0.
        hidden = self.dropout(pooled.relu().transpose(0, 1)).transpose(0, 1)
        return x + torch.stack([net(part) for net, part in zip(self.output, hidden, strict=True)])

    def _attend(self, seen: Tensor, joint: Tensor, value: Tensor) -> Tensor:
        """Sum C[t, s] value[t] over frames t; frames that are not admitted are zero in ``seen`` and ``value``."""
        correlation = (torch.einsum("mbth,mbsh->mbts", seen, joint) / self.scale).tanh()
        return torch.einsum("mbts,mbth->mbsh", correlation, value)
