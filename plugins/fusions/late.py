"""Late fusion: each slot has its own predictor, and the predictions are averaged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.modules import Build, DecisionFusion, weighted_mean
from zoo.registry.suggestions import did_you_mean

WORDS = ("learned", "equal")


class Late(DecisionFusion):
    """Average of the slots' raw outputs with weights that add up to 1 over the slots present at the frame.

    If no slot is present, the average is over all slots. With one slot, the output is that slot's own.

    ``weights``: learned is a softmax over slots for each raw output, initially equal, so that for example action units
    can come to depend on the face alone. Fixed weights are the blend that ABAW teams tune by hand: ``0.7,0.3`` in the
    order of the slots, or ``face=0.7,audio=0.3``; only their ratios matter. A slot of weight 0 counts only if no other
    slot is present.

    ``average``: logits averages the raw outputs. For classes and action units this is the normalised geometric mean of
    probabilities (a logarithmic opinion pool, Genest and Zidek 1986), in which a slot that is certain of the contrary
    has a veto. posteriors averages the probabilities (the sum rule, Kittler et al. 1998), which suffers least from
    errors if slots are often wrong; the weights of a class answer are the mean of those of its raw outputs. Values are
    averaged directly in both cases.

    Raises UserError if the number of weights is wrong, a weight is negative, all are zero, or a slot is unknown or
    missing.
    """

    def __init__(self, dims: dict[str, int], build: Build, weights: str = "learned", average: str = "logits") -> None:
        super().__init__(dims, build)
        self.average = weighted_mean if average == "logits" else build.average
        logits = torch.zeros(len(dims), build.width)
        if weights == "learned":
            self.logits: Tensor = nn.Parameter(logits)
            return
        if weights != "equal":
            # A slot of weight 0 gets 1e-30, so that it counts only if no other slot is present.
            fixed = torch.tensor(fixed_weights(weights, self.slots)).clamp_min(1e-30)
            logits = fixed.log().unsqueeze(-1).expand_as(logits)
        self.register_buffer("logits", logits, persistent=False)

    def no_weight_decay(self) -> set[str]:
        """Exclude the logits of the weights: decay to 0 would be an unwanted prior towards equal weights."""
        return {"logits"}

    def combine(self, raw: Tensor, present: Tensor) -> Tensor:
        """Average raw (S, B, T, K) over the slots present (S, B, T) to (B, T, K)."""
        counted = (present | ~present.any(0)).unsqueeze(-1)  # (S, B, T, 1)
        logits = self.logits[:, None, None, :].masked_fill(~counted, -torch.inf)
        return self.average(raw, logits.softmax(0).to(raw.dtype))


def fixed_weights(text: str, slots: Sequence[str]) -> list[float]:
    """Parse ``0.7,0.3`` or ``face=0.7,audio=0.3`` into one weight per slot, normalised to sum 1.

    Raises UserError if the text has neither form.
    """
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
    """Parse weights given by name and return them in the order of the slots."""
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
    """Parse one weight, a finite number of 0 or more."""
    try:
        value = float(text)
    except ValueError:
        words = ", ".join(WORDS)
        raise UserError(f"{who}: {text!r} is not a number; give {words}, 0.7,0.3 or face=0.7,audio=0.3") from None
    if not 0 <= value < float("inf"):
        raise UserError(f"{who}: {text} is not a weight; give numbers of 0 or more")
    return value
