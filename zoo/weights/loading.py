"""Pretrained weights: read a verified file without running any code in it, and load it strictly."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from zoo.api import ModelCard
from zoo.errors import UserError
from zoo.files import file_sha256, replace
from zoo.registry.registry import resolve
from zoo.weights import averaged, sealed, torch_files
from zoo.weights.cards import LoadedFacts, cache_folder, describe, find

__all__ = ["Adapted", "Loaded", "cache_folder", "convert", "file_sha256", "find", "load_pretrained", "read"]

PICKLED = (".pt", ".pth", ".tar", ".bin", ".ckpt")
NESTED = ("state_dict", "model", "model_state_dict", "net", "network", "params")
"""Where files keep the table of names and tensors, in this order."""
PREFIXES = ("module.", "model.")
WHOLE = "a whole pickled "
_IN_A_RUN = re.compile(r"encoders\.([^.]+)\.(.+)")


class Adapted(dict[str, Tensor]):
    """What a passport's ``adapt`` may return: the encoder's names and tensors, and what was done to have them."""

    def __init__(self, state: Mapping[str, Tensor], notes: tuple[str, ...] = ()) -> None:
        super().__init__(state)
        self.notes = notes


@dataclass(frozen=True)
class Loaded:
    """Weights that an encoder now has. ``sha256``: the whole digest of ``path``; ``trusted_on_first_use``: the passport
    names no digest, so the file is compared only with what it was when it was first used here; ``notes``: what was
    done to the file's names."""

    passport: ModelCard
    path: Path
    sha256: str
    trusted_on_first_use: bool
    notes: tuple[str, ...] = ()

    def record(self) -> LoadedFacts:
        """For a run's record: plain values, no path of this machine."""
        return {**describe(self.passport, self.path), "notes": list(self.notes)}


def load_pretrained(
    encoder: nn.Module, passport: ModelCard, *, cache: Path | None = None, download: bool = True
) -> Loaded:
    """Find, verify and read a passport's file, and load it into ``encoder``; every name and shape must match.

    Without ``adapt`` a common prefix of the encoder's own names (its ``model.``) is put before the file's. Of a run's
    ``weights.safetensors`` the slot is taken whose encoder has the names and shapes of this one.
    Raises UserError that counts and names what does not match.
    """
    path = find(passport, cache=cache, download=download)
    state, notes = _read_kept(path, cache or cache_folder(), passport.ema)
    wanted = encoder.state_dict()
    if (part := _of_a_run(path, state, wanted)) is not None:
        state, note = part
        notes.append(note)
    elif passport.adapt is not None:
        state = _adapt(passport, path, state)
        notes += state.notes if isinstance(state, Adapted) else ()
    elif prefix := _common_prefix(wanted):
        state = {prefix + name: tensor for name, tensor in state.items()}
        notes.append(f"{prefix!r} put before all names")
    state, counted = _with_counters(state, wanted)
    _compare(passport, path, state, wanted)
    encoder.load_state_dict(state, strict=True)
    return Loaded(passport, path, file_sha256(path), passport.sha256 is None, (*notes, *counted))


# --- reading ----------------------------------------------------------------------------------------------------------


def read(path: Path, *, ema: bool = False) -> dict[str, Tensor]:
    """A weight file (.safetensors, or a pickled .pt, .pth, .pth.tar, .bin, .ckpt) as names and tensors on the CPU.

    No code in a file runs (torch_files); a whole pickled network of timm or torch gives its tensors too. One level
    of nesting (NESTED) is opened, and ``module.`` and ``model.`` are taken off
    as far as all names begin with them. ``ema``: the averaged weights, where the file has them beside those of the
    last step; without it they are taken where there are no others.

    Raises:
        UserError: The file is damaged, holds other objects, which it names, or has no averaged weights.
    """
    return _read(path, ema)[0]


def convert(source: Path, target: Path, *, ema: bool = False) -> tuple[str, ...]:
    """Write what ``read`` finds in a file as safetensors, with the source's name and digest; what was done to it."""
    if target.suffix != ".safetensors":
        raise UserError("convert-target", target=target)
    state, notes = _read(source, ema)
    try:
        kept = {"source": source.name, "sha256": file_sha256(source), "notes": json.dumps(notes)}
        _keep(state, target, {**_metadata(source), **kept})
    except OSError as error:
        raise UserError("convert-not-writable", target=target, value=error.strerror or error) from error
    return (f"{len(state)} tensors", *notes)


def _metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself, such as what its weights have seen."""
    if path.suffix != ".safetensors":
        return {}
    with safetensors.safe_open(path, "pt") as file:
        said: dict[str, str] | None = file.metadata()
    return said or {}


def _read_kept(path: Path, cache: Path, ema: bool) -> tuple[dict[str, Tensor], list[str]]:
    """As _read. What a whole pickled network gave is kept as safetensors under the file's digest, and read from there
    the next time."""
    which = "ema." if ema else ""
    kept = cache / "converted" / f"{file_sha256(path)}.{which}{torch_files.VERSION}.safetensors"
    if kept.is_file():
        # One that is damaged is made again.
        with contextlib.suppress(safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError):
            state, said = sealed.load(kept, strict=True)
            return state, list(json.loads(said["notes"]))
    state, notes = _read(path, ema)
    if any(note.startswith(WHOLE) for note in notes):
        with contextlib.suppress(OSError):  # a cache that cannot be written only costs time
            _keep(state, kept, {"notes": json.dumps(notes)})
    return state, notes


def _keep(state: Mapping[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write a safetensors file, complete or not at all."""
    replace(path, lambda part: sealed.save(state, part, {"format": "pt", **metadata}))


def _read(path: Path, ema: bool) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors, and what was done to find them."""
    if not path.is_file():
        raise UserError("weights-no-file", file=path)
    try:
        state, notes = _content(path, ema)
    except UserError:
        raise
    except torch_files.RefusedError as error:
        raise UserError("weights-hold-objects", file=path, error=error) from error
    except Exception as error:  # some ten kinds for a damaged file
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise UserError("weights-damaged", file=path, reason=reason) from error
    if state is None:
        raise UserError("weights-no-table", file=path)
    if prefix := _common_prefix(state):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
        notes.append(f"{prefix!r} taken off all names")
    return state, notes


def _content(path: Path, ema: bool) -> tuple[dict[str, Tensor] | None, list[str]]:
    if path.suffix == ".safetensors":
        return _of_one_table(path, sealed.load(path)[0] or None, [], ema, [])
    if path.suffix not in PICKLED:
        raise UserError("weights-format", file=path, names=", ".join(PICKLED))
    content = torch_files.load(path)
    usual, other = _usual(content), _averaged(content)
    if other is None:
        return _of_one_table(path, *_opened(content, usual), ema, _keys(content.root))
    if usual is None or usual[0] == other[0]:  # there are no others
        state, notes = _opened(content, other)
        if last := averaged.last_step(content.root):
            notes.append(f"they are averaged ones; those of the last step, in {last!r}, were not taken")
    elif ema:
        state, notes = _opened(content, other)
        notes.append(f"averaged weights, as ema=true asks; those of the last step, in {_place(usual)}, were not taken")
    else:
        state, notes = _opened(content, usual)
        notes.append(f"averaged weights that it has too, in {_place(other)}, were not taken: ema=true takes them")
    return state, notes


Found = tuple[str | None, Any]
"""Where a table is in a file, None for the file itself, and what is there."""


def _usual(content: torch_files.Content) -> Found | None:
    for key in (None, *NESTED):
        value = content.root if key is None else _inside(content.root, key)
        if content.table(value) is not None:
            return key, value
    return None


def _averaged(content: torch_files.Content) -> Found | None:
    return next((found for found in averaged.places(content.root) if content.table(found[1]) is not None), None)


def _place(found: Found) -> str:
    return "the file itself" if found[0] is None else repr(found[0])


def _opened(content: torch_files.Content, found: Found | None) -> tuple[dict[str, Tensor] | None, list[str]]:
    """The tensors of what was found, and what was done."""
    if found is None:
        return None, []
    key, value = found
    state = content.table(value)
    assert state is not None
    notes = [] if key is None else [f"taken from {key!r}"]
    if isinstance(value, torch_files.Record):
        notes.append(f"{WHOLE}{value.what}, read without its code")
    return averaged.without_counter(state), notes


def _of_one_table(
    path: Path, state: dict[str, Tensor] | None, notes: list[str], ema: bool, keys: list[str]
) -> tuple[dict[str, Tensor] | None, list[str]]:
    """A table beside which there is no other: it may hold both kinds of weights itself."""
    if state is None:
        return None, notes
    if (both := averaged.parted(state)) is None:
        if ema:
            raise UserError("weights-no-averages", file=path, names=_listed(keys or list(state)))
        return state, notes
    last, mean, begin = both
    if ema:
        return mean, [*notes, f"averaged weights, as ema=true asks: those that begin with {begin!r}"]
    return last, [*notes, f"averaged weights that it has too, as {begin!r}, were not taken: ema=true takes them"]


def _listed(names: list[str]) -> str:
    shown = [name if len(name) <= 40 else f"{name[:40]}..." for name in names[:12]]
    return ", ".join(shown) + (", ..." if len(names) > 12 else "")


def _keys(root: Any) -> list[str]:
    return [str(key) for key in root] if isinstance(root, Mapping) else []


def _inside(root: Any, key: str) -> Any:
    return root.get(key) if isinstance(root, Mapping) else None


def _common_prefix(state: Mapping[str, Tensor]) -> str:
    """What every name begins with, as far as it is made of PREFIXES."""
    prefix = ""
    while more := [p for p in PREFIXES if state and all(name.startswith(prefix + p) for name in state)]:
        prefix += more[0]
    return prefix


# --- matching ---------------------------------------------------------------------------------------------------------


def _of_a_run(
    path: Path, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], str] | None:
    """The encoder out of the weights of a whole model (``encoders.SLOT.``), and from which slot; None where no slot
    has it. UserError where several have."""
    slots: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        if match := _IN_A_RUN.match(name):
            slots.setdefault(match[1], {})[match[2]] = tensor
    shapes = {name: tensor.shape for name, tensor in wanted.items()}
    fit = [slot for slot, part in slots.items() if {name: t.shape for name, t in part.items()} == shapes]
    if len(fit) > 1:
        raise UserError("weights-of-many-slots", file=path, count=len(fit), names=", ".join(fit))
    return (slots[fit[0]], f"taken from slot {fit[0]!r} of a run") if fit else None


def _adapt(passport: ModelCard, path: Path, state: dict[str, Tensor]) -> dict[str, Tensor]:
    assert passport.adapt is not None
    adapt = resolve(passport.adapt)
    try:
        adapted = adapt(state)
        return adapted if isinstance(adapted, Adapted) else dict(adapted)
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError("weights-form", file=path, name=passport.name, reason=reason) from error


def _with_counters(state: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Files written before torch 0.4.1 lack the batch norms' counters, which play no part in evaluation: all or none
    of them are put in."""
    counters = {name: t for name, t in wanted.items() if name.endswith(".num_batches_tracked")}
    if not counters or any(name.endswith("num_batches_tracked") for name in state):
        return state, ()
    zeros = {name: torch.zeros_like(t, device="cpu") for name, t in counters.items()}
    return {**state, **zeros}, (f"{len(zeros)} counters of batches, which the file lacks, are 0",)


def _compare(passport: ModelCard, path: Path, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
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
        raise UserError("weights-do-not-fit", name=passport.name, names="; ".join(wrong), file=path)
