"""Load pretrained weights strictly into a network, from a verified file and without running any code in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from zoo.api import ModelCard
from zoo.errors import UserError
from zoo.files import file_sha256
from zoo.modules import OwnClassifier
from zoo.registry.registry import resolve
from zoo.weights.cards import LoadedFacts, cache_folder, describe, find
from zoo.weights.reading import common_prefix, convert, read, read_kept

__all__ = ["Adapted", "Loaded", "cache_folder", "convert", "file_sha256", "find", "is_coded", "load_pretrained", "read"]

_IN_A_RUN = re.compile(r"encoders\.([^.]+)\.(.+)")


class Adapted(dict[str, Tensor]):
    """The result of a model card's ``adapt`` that has notes: the encoder's names and tensors, and the changes made."""

    def __init__(self, state: Mapping[str, Tensor], notes: tuple[str, ...] = ()) -> None:
        super().__init__(state)
        self.notes = notes


@dataclass(frozen=True)
class Loaded:
    """The weights that were loaded into an encoder.

    Attributes:
        card: The model card.
        path: The file.
        sha256: The whole digest of the file.
        trusted_on_first_use: The card has no digest, so the file is compared only with its state at its first use here.
        notes: The changes made to the file's names.
    """

    card: ModelCard
    path: Path
    sha256: str
    trusted_on_first_use: bool
    notes: tuple[str, ...] = ()

    def record(self) -> LoadedFacts:
        """Return the facts for a run's record: plain values, no path of this machine."""
        return {**describe(self.card, self.path), "notes": list(self.notes)}


def load_pretrained(encoder: nn.Module, card: ModelCard, *, cache: Path | None = None, download: bool = True) -> Loaded:
    """Find, verify and read a model card's file, and load it into ``encoder``; every name and shape must match.

    Without ``adapt`` a common prefix of the encoder's own names (its ``model.``) is put before the file's names. In a
    run's ``weights.safetensors`` the slot is used whose encoder has the names and shapes of this one. An encoder with a
    method ``load_file(path)`` opens the file itself.

    Raises:
        UserError: Names or shapes do not match; the message counts and names them.
    """
    path = find(card, cache=cache, download=download)
    if callable(load := getattr(encoder, "load_file", None)):  # a network without a state_dict of tensors
        load(path)
        return Loaded(card, path, file_sha256(path), card.sha256 is None)
    state, notes = read_kept(path, cache or cache_folder(), card.ema)
    wanted, spare = encoder.state_dict(), _classifiers(encoder)
    if (part := _of_a_run(path, state, wanted, spare)) is not None:
        state, note = part
        notes.append(note)
    elif card.adapt is not None:
        state = _adapt(card, path, state)
        notes += state.notes if isinstance(state, Adapted) else ()
    elif prefix := common_prefix(wanted):
        state = {prefix + name: tensor for name, tensor in state.items()}
        notes.append(f"{prefix!r} put before all names")
    state, counted = _with_counters(state, wanted)
    state = {**{name: tensor for name, tensor in spare.items() if name not in state}, **state}
    _compare(card, path, state, wanted)
    encoder.load_state_dict(state, strict=True)
    return Loaded(card, path, file_sha256(path), card.sha256 is None, (*notes, *counted))


def _classifiers(encoder: nn.Module) -> dict[str, Tensor]:
    """Return the weights of the encoder's own classifiers by name. A file may lack them; then they stay unchanged."""
    return {
        f"{name}.{own}": tensor
        for name, module in encoder.named_modules()
        if isinstance(module, OwnClassifier)
        for own, tensor in module.state_dict().items()
    }


def _of_a_run(
    path: Path, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], spare: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], str] | None:
    """Return the encoder from the weights of a whole model (``encoders.SLOT.``), and a note that names the slot.

    Return None if no slot fits; raise UserError if several do, or if the file has adapters without their weights.
    """
    slots: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        if match := _IN_A_RUN.match(name):
            slots.setdefault(match[1], {})[match[2]] = tensor
    for slot, part in slots.items():
        if any(".lora_" in name for name in part):
            raise UserError("weights-are-adapters", file=path, slot=slot)
    shapes = {name: tensor.shape for name, tensor in wanted.items() if name not in spare}
    fit = [
        slot
        for slot, part in slots.items()
        if {name: t.shape for name, t in part.items() if name not in spare} == shapes
    ]
    if len(fit) > 1:
        raise UserError("weights-of-many-slots", file=path, count=len(fit), names=", ".join(fit))
    return (slots[fit[0]], f"taken from slot {fit[0]!r} of a run") if fit else None


def _adapt(card: ModelCard, path: Path, state: dict[str, Tensor]) -> dict[str, Tensor]:
    assert card.adapt is not None
    adapt = resolve(card.adapt)
    try:
        adapted = adapt(state)
        return adapted if isinstance(adapted, Adapted) else dict(adapted)
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError("weights-form", file=path, name=card.name, reason=reason) from error


def _with_counters(state: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Add the counters of the batch norms, all or none, if the file lacks them.

    Files written before torch 0.4.1 do not have them; they play no part in evaluation.
    """
    counters = {name: t for name, t in wanted.items() if name.endswith(".num_batches_tracked")}
    if not counters or any(name.endswith("num_batches_tracked") for name in state):
        return state, ()
    zeros = {name: torch.zeros_like(t, device="cpu") for name, t in counters.items()}
    return {**state, **zeros}, (f"{len(zeros)} counters of batches, which the file lacks, are 0",)


def _compare(card: ModelCard, path: Path, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    shapes = [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    ]
    found = {
        "missing": [name for name in wanted if name not in state],
        "unexpected": [name for name in state if name not in wanted],
        "of the wrong shape": shapes,
    }
    wrong = [
        f"{len(names)} {how} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for how, names in found.items()
        if names
    ]
    if wrong:
        raise UserError("weights-do-not-fit", name=card.name, names="; ".join(wrong), file=path)
    if coded := [name for name in wanted if wanted[name].is_floating_point() and is_coded(state[name])]:
        raise UserError("weights-quantised", file=path, count=len(coded), first=coded[0])


def is_coded(tensor: Tensor) -> bool:
    """Return True if a tensor cannot be weights but only codes of them: it has integers, or floats of 8 bits."""
    return not tensor.is_floating_point() or tensor.element_size() == 1
