"""Reliability-weighted fusion: slots are weighted at each frame by a learned score and a prior; sound is read apart.

After RAAV, the winner of VA of ABAW 10 (arXiv:2603.13056; public code read: SMIL-SPCRAS/CVPRW-26). Where the code has a
flaw, this module differs:

- There a clip with sound leaves the fusion through a norm and a clip without does not. Here sound adds a residual to
  unnormalised states, so that a clip whose sound is absent gets exactly what it gets without the slot.
- There the temporal layers have no positions, so that the order of frames is lost; and a frame without any slot is a
  zero token that others attend to. Here the project's head is the temporal model.
- There the priors differ between two configurations of the authors (face .85 or .15). Here they are an option.
- There the sound's tokens have a rate of their own. Here all slots have one row for each frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.layers.attention import Attention
from zoo.layers.validation import at_least, fraction
from zoo.modules import Build, FeatureFusion, Features, Masks
from zoo.registry.suggestions import did_you_mean


class Reliability(FeatureFusion):
    """Reliability-weighted sum of slots, and a slot that all frames read through a few latent tokens.

    - u_m = W_m x_m and e_m = MLP_m(u_m) + log p_m for each slot m but the one read ``apart``; p are the ``priors``,
      which add up to 1.
    - w = softmax of e over the slots present at the frame; z = sum of w_m u_m, 0 if none is present.
    - With a = W x of the slot read apart and K learned latents L: L' = L + attention(norm(L), a), over the clip's
      frames with that slot. Then z' = z + attention(norm(z), L') in clips that have such a frame; others keep z.

    ``apart``: name of the slot that is read so; ``auto``: the first slot of the stream audio, if there are others;
    ``none``: all slots are weighted. With one slot w is 1. Raises UserError if ``apart`` or ``priors`` name an unknown
    slot, or heads does not divide hidden.
    """

    def __init__(
        self,
        dims: dict[str, int],
        build: Build,
        hidden: int = 64,
        heads: int = 4,
        latents: int = 4,
        apart: str = "auto",
        priors: str = "equal",
        dropout: float = 0.1,
    ) -> None:
        at_least("fusion reliability", 1, hidden=hidden, heads=heads, latents=latents)
        fraction("fusion reliability", dropout=dropout)
        super().__init__(dims, build, hidden)
        self.apart = _apart(apart, self.slots)
        self.weighted = tuple(slot for slot in self.slots if slot != self.apart)
        shares = _priors(priors, self.weighted)
        self.log_priors: Tensor = nn.Buffer(torch.tensor(shares).log(), persistent=False)
        self.projections = nn.ModuleList(nn.Linear(dim, hidden) for dim in dims.values())
        self.scores = nn.ModuleList(
            nn.Identity() if slot == self.apart else _score(hidden, dropout) for slot in self.slots
        )
        if self.apart:
            self.latents = nn.Parameter(0.02 * torch.randn(latents, hidden))
            self.norm_latents, self.norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
            self.collect = Attention(hidden, heads, dropout, rotary=False)
            self.read = Attention(hidden, heads, dropout, rotary=False)

    def no_weight_decay(self) -> set[str]:
        """Return the names of parameters that are not decayed."""
        return {"latents"} if self.apart else set()

    def fuse(self, features: Features, present: Masks, valid: Tensor) -> Tensor:
        """Fuse features (B, T, D_slot) by slot into (B, T, hidden)."""
        weights, states = self.weights(features, present)
        z = (weights * states).sum(0)
        if not self.apart:
            return z
        seen = present[self.apart] & valid
        sound = self.projections[self.slots.index(self.apart)](features[self.apart])
        latents = self.latents.repeat(len(z), 1, 1)  # a copy: torch cannot count operations on a view of a parameter
        latents = latents + self.collect(self.norm_latents(latents), sound, seen)
        heard = seen.any(1, keepdim=True).expand(-1, latents.shape[1])
        out: Tensor = z + self.read(self.norm(z), latents, heard)
        return out

    def weights(self, features: Features, present: Masks) -> tuple[Tensor, Tensor]:
        """Return the weights (S, B, T, 1) of the slots that are weighted, and their states u (S, B, T, hidden)."""
        places = [self.slots.index(slot) for slot in self.weighted]
        states = torch.stack([self.projections[i](features[self.slots[i]]) for i in places])
        scores = torch.stack([self.scores[i](state) for i, state in zip(places, states, strict=True)])
        scores = scores + self.log_priors.view(-1, 1, 1, 1).to(scores.dtype)
        seen = torch.stack([present[slot] for slot in self.weighted]).unsqueeze(-1)
        weights = scores.masked_fill(~(seen | ~seen.any(0)), -torch.inf).softmax(0)
        return torch.where(seen, weights, torch.zeros_like(weights)).to(states.dtype), states


def _score(hidden: int, dropout: float) -> nn.Module:
    return nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, 1))


def _apart(name: str, slots: tuple[str, ...]) -> str:
    """Return the slot that is read apart, "" if there is none."""
    if name == "none" or (name == "auto" and len(slots) == 1):
        return ""
    if name == "auto":
        return next((slot for slot in slots if slot.partition(".")[0] == "audio"), "")
    if name not in slots or len(slots) == 1:
        near = did_you_mean(name, slots)
        raise UserError(
            f"fusion reliability: apart must be one of several slots, got {name!r}: {near}{', '.join(slots)}"
        )
    return name


def _priors(text: str, slots: tuple[str, ...]) -> list[float]:
    """Parse ``equal`` or ``face=0.85,audio=0.15`` into shares that add up to 1, one for each slot."""
    if text == "equal":
        return [1 / len(slots)] * len(slots)
    given: dict[str, float] = {}
    for item in text.split(","):
        slot, _, value = item.strip().rpartition("=")
        try:
            given[slot] = float(value)
        except ValueError:
            given[slot] = float("nan")
    if set(given) != set(slots) or not all(0 < value < float("inf") for value in given.values()):
        example = ",".join(f"{slot}={1 / len(slots):.2g}" for slot in slots)
        raise UserError(
            f"fusion reliability: priors must be equal, or a number above 0 for each of {', '.join(slots)}, "
            f"got {text!r}: write {example}"
        )
    return [given[slot] / sum(given.values()) for slot in slots]
