"""The pictures of a corpus that are learned and scored, and those that are not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.config.schema import RunConfig
from zoo.api import TrackSpec
from zoo.corpora import CorpusTable
from zoo.errors import UserError

UNLABELLED = "no label for the targets"
UNDRAWN = "never drawn (no expression)"


@dataclass(frozen=True)
class Counted:
    """``pictures``: part -> pictures that are learned or scored; ``left_out``: reason -> all others."""

    pictures: dict[str, int]
    left_out: dict[str, int]


def count_pictures(config: RunConfig, track: TrackSpec, table: CorpusTable) -> Counted:
    """Count the pictures of each part.

    If classes are balanced, pictures without a class have the weight 0 (LabelBalance), so that none is ever drawn.

    Raises:
        UserError: A part has none.
    """
    known = np.isfinite(labels_of(table, track))
    labelled = known.any(1)
    classes = np.array([answer.kind == "class" for answer in track.answers])
    balanced = config.train.balance == "labels" and classes.any()
    undrawn = table.train & labelled & ~known[:, classes].any(1) & balanced
    used = labelled & ~undrawn
    pictures = {"train": int((used & table.train).sum()), "val": int((used & ~table.train).sum())}
    for part, called in (("train", "training"), ("val", "validation")):
        if not pictures[part]:
            raise UserError("corpus-part-empty", root=table.root, part=called)
    more = {UNLABELLED: int((~labelled).sum()), UNDRAWN: int(undrawn.sum())}
    return Counted(pictures, {**table.left_out, **{reason: count for reason, count in more.items() if count}})


def labels_of(table: CorpusTable, track: TrackSpec) -> np.ndarray:
    """Return the labels (N, A) float32 in the order of the track's answers."""
    names = [answer.name for answer in table.answers]
    labels: np.ndarray = table.labels[:, [names.index(answer.name) for answer in track.answers]]
    return labels
