"""The videos that trained and selected a file of weights, as stated in its metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import safetensors


@dataclass(frozen=True)
class TrainingExposure:
    """One training. ``train``: groups trained on; ``select``: groups that chose the epoch."""

    edition: str
    track: str
    data: str
    synthetic: bool
    train: tuple[str, ...]
    select: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.data}: {self.edition} {self.track}"


def read_exposure(path: Path) -> list[TrainingExposure]:
    """Return the exposures stated in a file of weights; [] if there are none, as in files of other programs."""
    if path.suffix != ".safetensors":
        return []
    try:
        with safetensors.safe_open(path, "np") as file:
            said = json.loads((file.metadata() or {}).get("saw", "[]"))
        return [
            TrainingExposure(**{**one, "train": tuple(one["train"]), "select": tuple(one["select"])}) for one in said
        ]
    except (safetensors.SafetensorError, ValueError, TypeError, KeyError):  # another program's key of that name
        return []
