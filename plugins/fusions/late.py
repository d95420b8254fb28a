"""Late fusion: every slot answers for itself, the answers are averaged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.modules import Build, DecisionFusion, weighted_mean
from zoo.registry.suggestions import did_you_mean

WORDS = ("learned", "equal")


class Late(DecisionFusion):
    """Average of the slots' raw answers with weights that add up to 1 over the slots present at the frame.

    ``weights`` learned: a softmax over slots for each raw answer, equal at first, so that action units can come to
    live in the face alone. Fixed ones, the blend that ABAW teams tune by hand: ``0.7,0.3`` in the order of the slots,
    or ``face=0.7,audio=0.3``; only their ratios matter. A slot of weight 0 is heard only where no other is present.
    Where no slot is present: the same average over all of them. One slot: its own answer.

    ``average`` logits: of the raw answers, so of classes and units the geometric mean of probabilities, normalised (a
    logarithmic opinion pool, Genest and Zidek 1986): a slot that is sure that it is not so has a veto. ``posteriors``:
    of the probabilities (the sum rule, Kittler et al. 1998), whose errors hurt least where slots are often wrong; the
    weights of a class answer are the mean of those of its raw outputs. Values are averaged as they are either way.

    Raises UserError for a wrong number of weights, a negative one, all zero, an unknown or missing slot.
    """

    def __init__(self, dims: dict[str, int], build: Build, weights: str = "learned", average: str = "logits") -> None:
        super().__init__(dims, build)
        self.average = weighted_mean if average == "logits" else build.average
        logits = torch.zeros(len(dims), build.width)
        if weights == "learned":
            self.logits: Tensor = nn.Parameter(logits)
            return
        if weights != "equal":
            fixed = torch.tensor(fixed_weights(weights, self.slots)).clamp_min(1e-30)  # so little counts alone only
            logits = fixed.log().unsqueeze(-1).expand_as(logits)
        self.register_buffer("logits", logits, persistent=False)

    def no_weight_decay(self) -> set[str]:
        """Logarithms of shares: towards 0 is towards equal shares, which is no prior of ours."""
        return {"logits"}

    def combine(self, raw: Tensor, present: Tensor) -> Tensor:
        """raw (S, B, T, K), present (S, B, T) -> (B, T, K)."""
        counted = (present | ~present.any(0)).unsqueeze(-1)  # (S, B, T, 1)
        logits = self.logits[:, None, None, :].masked_fill(~counted, -torch.inf)
        return self.average(raw, logits.softmax(0).to(raw.dtype))


def fixed_weights(text: str, slots: Sequence[str]) -> list[float]:
    """``0.7,0.3`` or ``face=0.7,audio=0.3`` -> a share a slot, adding up to 1; UserError where it is neither."""
    who = f"fusion late: weights {text!r}"
    items = [item.strip() for item in text.split(",")]
    if any("=" in item for item in items):
        values = _named(who, items, slots)
    else:
        values = [_number(who, item) for item in items]
        if len(values) != len(slots):
            raise UserError(f"{who} are {len(values)} for {len(slots)} slots; give one each for {', '.join(slots)}")
    if sum(values) == 0:
        raise UserError(f"{who} are all zero; give at least one slot a weight")
    return [value / sum(values) for value in values]


def _named(who: str, items: Sequence[str], slots: Sequence[str]) -> list[float]:
    """The weights by name, in the order of the slots."""
    given: dict[str, float] = {}
    for item in items:
        slot, _, number = (part.strip() for part in item.partition("="))
        if slot not in slots:
            raise UserError(f"{who}: no slot is named {slot!r}: {did_you_mean(slot, slots)}slots: {', '.join(slots)}")
        if slot in given:
            raise UserError(f"{who} name the slot {slot!r} twice; name it once")
        given[slot] = _number(who, number)
    missing = [slot for slot in slots if slot not in given]
    if missing:
        raise UserError(f"{who} leave out {', '.join(missing)}; give each slot a weight, 0 for none")
    return [given[slot] for slot in slots]


def _number(who: str, text: str) -> float:
    """One weight: a finite number of 0 or more."""
    try:
        value = float(text)
    except ValueError:
        words = ", ".join(WORDS)
        raise UserError(f"{who}: {text!r} is no number; give {words}, 0.7,0.3 or face=0.7,audio=0.3") from None
    if not 0 <= value < float("inf"):
        raise UserError(f"{who}: {text} is no weight; give numbers of 0 or more")
    return value
