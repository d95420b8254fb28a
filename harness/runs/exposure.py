"""Training exposure: the groups of videos that a file of weights was trained on, as its metadata states them.

The key ``saw`` has the training of the weights and those of the weights that they began with; the key ``stages`` those
of the runs whose predictions were their input (harness.runs.stages).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from zoo.weights.metadata import read_metadata


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


def read_exposure(path: Path, *, stages: bool = True) -> list[TrainingExposure]:
    """Return the exposures stated in a file of weights; [] if there are none, as in files of other programs.

    ``stages``: include those of the runs whose predictions were the input.
    """
    known = read_metadata(path)
    try:
        said = [one for key in ("saw", "stages")[: 1 + stages] for one in json.loads(known.get(key, "[]"))]
        return [
            TrainingExposure(**{**one, "train": tuple(one["train"]), "select": tuple(one["select"])}) for one in said
        ]
    except (ValueError, TypeError, KeyError):  # another program's key of that name
        return []


def exposure_metadata(path: Path) -> dict[str, str]:
    """Return the metadata with which a file made from these weights repeats their exposures; {} if there are none."""
    own = read_exposure(path, stages=False)
    said = {"saw": own, "stages": read_exposure(path)[len(own) :]}
    return {key: json.dumps([asdict(one) for one in those]) for key, those in said.items() if those}
