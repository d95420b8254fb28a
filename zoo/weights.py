"""Pretrained weights: read a verified file without running any code in it, and load it strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from zoo.api import Passport
from zoo.errors import UserError
from zoo.passports import cache_folder, describe, file_sha256, find
from zoo.registry import resolve

__all__ = ["Loaded", "cache_folder", "file_sha256", "find", "load_pretrained", "read"]

PICKLED = (".pt", ".pth", ".tar", ".bin", ".ckpt")
NESTED = ("state_dict", "model", "model_state_dict")
PREFIXES = ("module.", "model.")


@dataclass(frozen=True)
class Loaded:
    """Weights that an encoder now has. ``sha256``: the whole digest of ``path``; ``trusted_on_first_use``: the passport
    names no digest, so the file is compared only with what it was when it was first used here; ``notes``: what was
    done to the file's names."""

    passport: Passport
    path: Path
    sha256: str
    trusted_on_first_use: bool
    notes: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """For a run's record: plain values, no path of this machine."""
        return {**describe(self.passport, self.path), "notes": list(self.notes)}


def load_pretrained(
    encoder: nn.Module, passport: Passport, *, cache: Path | None = None, download: bool = True
) -> Loaded:
    """Find, verify and read a passport's file, and load it into ``encoder``; every name and shape must match.

    Without ``adapt`` a common prefix of the encoder's own names (its ``model.``) is put before the file's.
    Raises UserError that counts and names what does not match.
    """
    path = find(passport, cache=cache, download=download)
    state, notes = _read(path)
    wanted = encoder.state_dict()
    if passport.adapt is not None:
        state = _adapt(passport, path, state)
    elif prefix := _common_prefix(wanted):
        state = {prefix + name: tensor for name, tensor in state.items()}
        notes.append(f"{prefix!r} put before all names")
    _compare(passport, path, state, wanted)
    encoder.load_state_dict(state, strict=True)
    return Loaded(passport, path, file_sha256(path), passport.sha256 is None, tuple(notes))


# --- reading ----------------------------------------------------------------------------------------------------------


def read(path: Path) -> dict[str, Tensor]:
    """A weight file (.safetensors, or a pickled .pt, .pth, .pth.tar, .bin, .ckpt) as names and tensors on the CPU.

    Only tensors are ever read, so no code in a file runs. One level of nesting (``state_dict``, ``model``,
    ``model_state_dict``) is opened, and ``module.`` and ``model.`` are taken off as far as all names begin with them.
    Raises UserError for a damaged file and one with other objects in it.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors, and what was done to find them."""
    if not path.is_file():
        raise UserError(f"there is no weight file {path}")
    notes: list[str] = []
    content = _content(path)
    if isinstance(content, Mapping) and not _tensors(content):
        for key in NESTED:
            if isinstance(content.get(key), Mapping):
                content = content[key]
                notes.append(f"taken from {key!r}")
                break
    if not isinstance(content, Mapping) or not _tensors(content):
        raise UserError(f"{path} holds no table of names and tensors: save the network's state_dict() and give that")
    state = dict(content)
    if prefix := _common_prefix(state):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
        notes.append(f"{prefix!r} taken off all names")
    return state, notes


def _content(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        if path.suffix not in PICKLED:
            raise UserError(f"{path} is no weight file: known are .safetensors, {', '.join(PICKLED)}")
        with path.open("rb") as file:
            mappable = file.read(4) == b"PK\x03\x04"  # not the form torch wrote before 1.6
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mappable)
    except UserError:
        raise
    except Exception as error:  # torch and safetensors raise some ten kinds for a damaged file
        raise UserError(f"{path} {_why_unread(error)}") from error


def _why_unread(error: Exception) -> str:
    """One line out of torch's page of advice, which names a way to run the file's code."""
    text = " ".join(str(error).split())
    if found := re.search(r"GLOBAL (\S+)", text):
        return (
            f"holds Python objects ({found[1]}), and reading them could run any code: load it where you trust it and "
            "save its state_dict() with safetensors"
        )
    if found := re.search(r"WeightsUnpickler error: (.*?)(?: Check the documentation|$)", text):
        text = found[1]
    return f"is damaged or holds other things than tensors: {type(error).__name__}: {text[:120]}"


def _tensors(content: Mapping[Any, Any]) -> bool:
    return bool(content) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())


def _common_prefix(state: Mapping[str, Tensor]) -> str:
    """What every name begins with, as far as it is made of PREFIXES."""
    prefix = ""
    while more := [p for p in PREFIXES if state and all(name.startswith(prefix + p) for name in state)]:
        prefix += more[0]
    return prefix


# --- matching ---------------------------------------------------------------------------------------------------------


def _adapt(passport: Passport, path: Path, state: dict[str, Tensor]) -> dict[str, Tensor]:
    assert passport.adapt is not None
    adapt = resolve(passport.adapt)
    try:
        return dict(adapt(state))
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} is not in the form that {passport.name!r} expects: {reason}") from error


def _compare(passport: Passport, path: Path, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
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
        raise UserError(f"weights {passport.name!r} do not fit the encoder: {'; '.join(wrong)}; file {path}")
