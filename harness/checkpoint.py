"""What resuming needs, and the weights, each written to a temporary name and renamed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from zoo.errors import UserError


def atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file whole or not at all: a full disk leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except (OSError, RuntimeError) as error:
        full = isinstance(error, OSError) or "write" in str(error).lower()
        if full:
            raise UserError(f"{path}: could not be written ({error}); free some space, then `--resume`") from None
        raise
    finally:
        part.unlink(missing_ok=True)


def clear_parts(folder: Path) -> None:
    """Remove what a killed process left half-written under its temporary names."""
    for part in folder.rglob(".*"):
        if part.is_file():
            part.unlink()


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training state."""
    atomic(path, lambda part: torch.save(state, part))


def load_state(path: Path) -> dict[str, Any]:
    """Read a training state; plain data and tensors only, never pickled code."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"{path}: not a readable training state ({type(error).__name__}); start the run again"
        ) from None
    return state


def save_weights(path: Path, state: dict[str, Tensor], seen: dict[str, str] | None = None) -> None:
    """Write a state_dict as safetensors; ``seen``: what it was trained on, for the file's metadata."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    atomic(path, lambda part: save_file(plain, part, seen))


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file."""
    if not path.is_file():
        raise UserError(f"{path}: the run has no weights; was it finished? `harness run --resume RUN` continues it")
    weights: dict[str, Tensor] = load_file(path)
    return weights
