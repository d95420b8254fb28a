"""What resuming needs, and the weights, each written to a temporary name and renamed."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch
from safetensors import SafetensorError
from torch import Tensor

from harness.io.atomic import atomic
from harness.io.digests import append_digest, check_appended, warn_unverified
from zoo.errors import UserError, first_line
from zoo.weights import sealed


class SavedState(TypedDict):
    """What resuming needs: the loop's counts and the states of all that has one; {} where there is none."""

    loop: dict[str, Any]
    model: dict[str, Tensor]
    best: dict[str, Tensor]
    optimizer: dict[str, Any]
    average: dict[str, Tensor]
    schedule: dict[str, Any]
    made: NotRequired[dict[str, str]]


def save_state(path: Path, state: SavedState) -> None:
    """Write a training state."""

    def write(part: Path) -> None:
        torch.save(state, part)
        append_digest(part)

    atomic(path, write)


def load_state(path: Path) -> SavedState:
    """Read a training state, compared with its digest; plain data and tensors only, never pickled code."""
    try:
        verified = check_appended(path)
        _check_stored(path)
        state: SavedState = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError("checkpoint-unreadable", file=path, name=type(error).__name__) from None
    if not verified:
        warn_unverified(path, "what it is made of is not compared; it is written anew with the next epoch")
    return state


def _check_stored(path: Path) -> None:
    """Raise ValueError if an archive would take more memory than its own size: torch.save compresses nothing, and
    torch.load makes room for what an entry declares before it reads it."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
            raise ValueError("its entries are compressed")


def save_weights(path: Path, state: dict[str, Tensor], seen: dict[str, str] | None = None) -> None:
    """Write a state_dict as safetensors; ``seen``: what it was trained on, for the file's metadata."""
    atomic(path, lambda part: sealed.save(state, part, seen or {}))


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file."""
    if not path.is_file():
        raise UserError("run-no-weights", file=path)
    try:
        weights, _ = sealed.load(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError("run-weights-damaged", file=path, reason=first_line(error)) from None
    return weights
