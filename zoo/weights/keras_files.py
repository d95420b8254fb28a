"""Read Keras weights in HDF5 as names and tensors. Only numbers in the file itself are read.

Names are the file's, below ``model_weights`` if it exists (``conv2d_1/conv2d_1/kernel:0``), without the optimiser's.
Axes stay in Keras's order, height and width first. An HDF5 file may point to other files; no such link is followed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.limits import Allowance

DEEPEST = 32
"""Nesting levels of groups; Keras nests models in models."""

MOST = 100_000
"""Entries of a file."""


def load(path: Path) -> dict[str, Tensor]:
    """Return the numbers of a file of weights, or of a whole model.

    Raises:
        ValueError: The file holds other things than floating-point numbers, or points to other files.
        UserError: It declares more bytes than its size allows (zoo.limits).
        OSError: It is damaged or not an HDF5 file.
    """
    import h5py

    found: dict[str, Tensor] = {}
    with h5py.File(path, "r") as file:
        inside = file.get("model_weights", getlink=True) if "model_weights" in file else None
        root = file["model_weights"] if isinstance(inside, h5py.HardLink) else file
        _walk(root, "", 0, found, Allowance(path, "its numbers", path.stat().st_size))
    return found


def _walk(group: Any, before: str, depth: int, found: dict[str, Tensor], allowance: Allowance) -> None:
    import h5py

    if depth > DEEPEST:
        raise ValueError(f"groups are nested deeper than {DEEPEST}")
    for key in group:
        name = f"{before}{key}"
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} points elsewhere")
        item = group[key]
        if isinstance(item, h5py.Group):
            if name != "optimizer_weights":
                _walk(item, f"{name}/", depth + 1, found, allowance)
        elif isinstance(item, h5py.Dataset):
            if len(found) >= MOST:
                raise ValueError(f"it has more than {MOST:,} entries")
            found[name] = _numbers(name, item, allowance)
        else:
            raise ValueError(f"{name} is no array")


def _numbers(name: str, item: Any, allowance: Allowance) -> Tensor:
    if item.external or item.is_virtual:
        raise ValueError(f"{name} lies in another file")
    if item.dtype.kind != "f" or item.shape is None:
        raise ValueError(f"{name} holds {item.dtype} instead of floating-point numbers")
    allowance.spend(int(item.nbytes))
    return torch.from_numpy(item[()].reshape(item.shape)).float()
