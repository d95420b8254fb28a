"""`harness evaluate --predictions`: score a table of predictions from any program by an edition's rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.analysis.label_tables import average_precision, labelled_answers
from harness.evaluation.scoring import score_block
from harness.runtime.terminal import tabulate
from harness.submissions.writer import read_table
from leaderboards.blocks import ScoreBlock
from zoo.api import EditionSpec, TrackSpec
from zoo.errors import UserError
from zoo.registry.tracks import find_track, load_plugins
from zoo.text import visible


@dataclass(frozen=True)
class TableScores:
    """The score of a table: its edition and track, the block of scores, and its parts by name."""

    edition: EditionSpec
    track: TrackSpec
    block: ScoreBlock
    parts: dict[str, float]


def scores_of(
    table: Path, labels: Path | None, edition: str | None, track: str, plugins: Sequence[Path] = ()
) -> TableScores:
    """Return the scores of a table of predictions. ``labels``: a table of labels; None: they are in ``table``."""
    chosen, wanted = find_track(load_plugins([str(path) for path in plugins]), track, edition)
    answers = read_table(table, wanted)
    videos = labelled_answers(wanted, answers, labels or table, own=labels is None)
    block = score_block(wanted, videos)
    if block is None:  # a table without any labels is refused earlier
        lacking = [a.name for a in wanted.answers if all(np.isnan(video.targets[a.name]).all() for video in videos)]
        raise UserError("table-answer-unlabelled", file=labels or table, names=", ".join(lacking), metric=wanted.metric)
    parts = {name: float(value) for name, value in block["parts"].items() if not name.startswith("frames")}
    parts |= {f"average precision of {name}": value for name, value in average_precision(wanted, videos)}
    return TableScores(chosen, wanted, block, parts)


def score_table(
    table: Path, labels: Path | None, edition: str | None, track: str, plugins: Sequence[Path] = ()
) -> None:
    """Print the score with its interval and its parts. ``labels``: a table of labels; None: they are in ``table``."""
    found = scores_of(table, labels, edition, track, plugins)
    chosen, wanted, block, parts = found.edition, found.track, found.block, found.parts
    interval = f"95 % interval {block['low']:.4f} to {block['high']:.4f}, " if block["low"] is not None else ""
    counts = f"{block['frames']:,} labelled rows, {len(block['groups']):,} groups"
    print(f"{chosen.name} {wanted.name}: {wanted.metric} {block['main']:.4f}, {interval}{counts}")
    print(tabulate([(name, f"{value:.4f}") for name, value in parts.items()], tablefmt="plain", disable_numparse=True))
    if block["absent"]:
        absent = ", ".join(block["absent"])
        print(f"never in the labels: {visible(absent)}; perfect predictions would score {block['reachable']:.4f}")
