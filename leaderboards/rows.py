"""Rows of tables, for runs and for published results, and the key of results that may share a table."""

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
"""Metric -> the parts that it is a mean or a sum of, as a record names them, and the heads of their columns."""


class Key(NamedTuple):
    """Key of comparable runs. Empty if a run failed before it was known; published results have no ``data``."""

    data: str
    edition: str
    track: str
    version: str
    split: str


@dataclass(frozen=True)
class Row:
    """One run, or one published result, whose team is the ``run``. Missing scores are None.

    ``spread``: standard deviation of the score over the seeds; ``seen``: evaluated videos that its weights were trained
    on; ``weights``: names of the pretrained weights it began with; ``aff_wild2``: those among them that have seen
    Aff-Wild2; ``rank``: among the runs of the table only; ``flattered``: True if a choice was made on the scored data;
    ``search``: how its settings were chosen among trials, if they were; ``zero_shot``: True if an encoder was scored as
    it is, without training; ``tta``: how its predictions were averaged, if they were.

    ``parts``: the parts of the score, by column; ``fine``: all others that are known, such as the F1 of a class. Only
    for published results: ``place`` in the competition, ``span``: the editions one of which it belongs to, ``best``:
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
    tta: str = ""
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
        """True if it has a final score: a run that is not done may hold that of an unfinished training."""
        return self.status == "done" and self.score is not None

    @property
    def label(self) -> str:
        """The name with its marks."""
        given = (("†", self.seen), ("‡", self.aff_wild2), ("§", self.span), ("¶", self.zero_shot), ("◊", self.tta))
        marks = [mark for mark, holds in given if holds]
        return " ".join([self.run, *marks])


@dataclass(frozen=True)
class Table:
    """Comparable rows, in order; ``notes`` are sentences shown under the title.

    For tables of runs: ``synthetic``, True if their data are synthetic, and ``videos``, the number of videos in the
    split.
    """

    key: Key
    title: str
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    metric: str = ""
    synthetic: bool = False
    videos: int | None = None

    @property
    def mixed(self) -> bool:
        """True if it contains published results."""
        return any(row.kind == "published" for row in self.rows)

    @property
    def name(self) -> str:
        """Edition, track, split and the start of the data's fingerprint: a name for a file, an anchor or a label."""
        parts = (self.key.edition, self.key.track, self.key.split, self.key.data[:8])
        return "-".join("".join(c if c.isalnum() else "-" for c in part) for part in parts if part) or "unknown"
