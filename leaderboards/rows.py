"""What a table is made of: rows of runs and of published results, and the key that says which may stand together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

__all__ = ["PARTS", "Key", "Kind", "Row", "Table"]

Kind = Literal["run", "published"]

PARTS: dict[str, dict[str, str]] = {
    "mean_ccc": {"ccc_valence": "CCC-V", "ccc_arousal": "CCC-A"},
    "f1_accuracy": {"macro_f1": "F1", "accuracy": "accuracy"},
    "au_f1_accuracy": {"mean_f1": "F1", "au_accuracy": "accuracy"},
    "mtl_sum": {"mean_ccc": "CCC", "macro_f1": "F1 expression", "mean_f1": "F1 units"},
}
"""Metric -> the figures that it is a mean or a sum of, as a record names them, and the heads of their columns."""


class Key(NamedTuple):
    """What makes runs comparable. Empty where a run failed before it knew; published results have no ``data``."""

    data: str
    edition: str
    track: str
    version: str
    split: str


@dataclass(frozen=True)
class Row:
    """One run, or one published result, whose team is the ``run``. Scores are None where there are none.

    ``spread``: standard deviation of the score over the seeds; ``seen``: evaluated videos that its weights were
    trained on; ``weights``: the pretrained weights it began with, by name; ``aff_wild2``: those among them that have
    seen Aff-Wild2; ``rank``: among the runs of the table alone; ``flattered``: whether a choice saw what is scored;
    ``search``: how its settings were chosen among trials, if they were.
    ``zero_shot``: whether an encoder was scored as it comes, without training.
    ``parts``: the figures of the score, by column; ``fine``: all others that are known, such as the F1 of a class. Of
    published results only: ``place`` in the competition, ``span``: the editions one of which it belongs to, ``best``:
    the highest submission of its team.
    """

    run: str
    status: str
    reason: str = ""
    encoders: str = ""
    fusion: str = ""
    head: str = ""
    score: float | None = None
    low: float | None = None
    high: float | None = None
    post_score: float | None = None
    post_low: float | None = None
    post_high: float | None = None
    videos: int | None = None
    groups: int | None = None
    seeds: str = ""
    spread: float | None = None
    trained_parameters: int | None = None
    selection_split: str = ""
    selections: int | None = None
    search: str = ""
    seen: str = ""
    weights: str = ""
    aff_wild2: str = ""
    rank: str = ""
    flattered: bool = False
    zero_shot: bool = False
    kind: Kind = "run"
    place: str = ""
    best: bool = False
    span: str = ""
    detail: str = ""
    source: str = ""
    confidence: str = ""
    parts: tuple[tuple[str, float], ...] = ()
    fine: tuple[tuple[str, float], ...] = ()

    @property
    def stands(self) -> bool:
        """Whether it has a score to stand by: a run that is not done may hold that of half a training."""
        return self.status == "done" and self.score is not None

    @property
    def label(self) -> str:
        """The name with its marks."""
        given = (("†", self.seen), ("‡", self.aff_wild2), ("§", self.span), ("¶", self.zero_shot))
        marks = [mark for mark, holds in given if holds]
        return " ".join([self.run, *marks])


@dataclass(frozen=True)
class Table:
    """Rows that may stand together, in order; ``notes`` are sentences that belong under the title. Of tables of runs:
    ``synthetic``, whether their data were made up, and ``videos``, how many the split has."""

    key: Key
    title: str
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    metric: str = ""
    synthetic: bool = False
    videos: int | None = None

    @property
    def mixed(self) -> bool:
        """Whether published results are in it."""
        return any(row.kind == "published" for row in self.rows)

    @property
    def name(self) -> str:
        """Edition, track, split and the start of the data's fingerprint: fit for a file, an anchor or a label."""
        parts = (self.key.edition, self.key.track, self.key.split, self.key.data[:8])
        return "-".join("".join(c if c.isalnum() else "-" for c in part) for part in parts if part) or "unknown"
