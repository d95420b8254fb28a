"""Training checkpoints and weights files; each is written to a temporary name and renamed."""

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
    """The content of a checkpoint: the loop's counters and state dicts.

    A state dict is {} if the run does not have that part.
    """

    loop: dict[str, Any]
    model: dict[str, Tensor]
    best: dict[str, Tensor]
    optimizer: dict[str, Any]
    average: dict[str, Tensor]
    schedule: dict[str, Any]
    made: NotRequired[dict[str, str]]


def save_state(path: Path, state: SavedState) -> None:
    """Write a training state with its digest appended."""

    def write(part: Path) -> None:
        torch.save(state, part)
        append_digest(part)

    atomic(path, write)


def load_state(path: Path) -> SavedState:
    """Read a training state and compare it with its digest.

    Only plain data and tensors are loaded, never pickled code. Raises UserError if the file cannot be read.
    """
    try:
        verified = check_appended(path)
        _check_stored(path)
        state: SavedState = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError("checkpoint-unreadable", file=path, name=type(error).__name__) from None
    if not verified:
        warn_unverified(path, "its settings and data are not compared; the next epoch writes it anew")
    return state


def _check_stored(path: Path) -> None:
    """Raise ValueError if reading an archive would take more memory than its own size.

    torch.save compresses nothing, and torch.load allocates the size that an entry declares before it reads the entry.
    """
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
            raise ValueError("its entries are compressed")


def save_weights(path: Path, state: dict[str, Tensor], seen: dict[str, str] | None = None) -> None:
    """Write a state_dict as safetensors; ``seen`` is the data it was trained on, for the file's metadata."""
    atomic(path, lambda part: sealed.save(state, part, seen or {}))


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; raise UserError if it is missing or damaged."""
    if not path.is_file():
        raise UserError("run-no-weights", file=path)
    try:
        weights, _ = sealed.load(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError("run-weights-damaged", file=path, reason=first_line(error)) from None
    return weights
