"""`harness evaluate --predictions`: score a table of predictions from any program by an edition's rules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.analysis.label_tables import average_precision, labelled_answers
from harness.evaluation.scoring import score_block
from harness.runtime.terminal import tabulate
from harness.submissions.writer import read_table
from zoo.registry.tracks import find_track, load_plugins
from zoo.text import visible


def score_table(
    table: Path, labels: Path | None, edition: str | None, track: str, plugins: Sequence[Path] = ()
) -> None:
    """Print the score with its interval and its parts. ``labels``: a table of labels; None: they are in ``table``."""
    chosen, wanted = find_track(load_plugins([str(path) for path in plugins]), track, edition)
    answers = read_table(table, wanted)
    videos = labelled_answers(wanted, answers, labels or table, own=labels is None)
    block = score_block(wanted, videos)
    assert block is not None  # a table without labels is refused
    interval = f"95 % interval {block['low']:.4f} to {block['high']:.4f}, " if block["low"] is not None else ""
    counts = f"{block['frames']:,} labelled rows, {len(block['groups']):,} groups"
    print(f"{chosen.name} {wanted.name}: {wanted.metric} {block['main']:.4f}, {interval}{counts}")
    parts = {name: value for name, value in block["parts"].items() if not name.startswith("frames")}
    parts |= {f"average precision of {name}": value for name, value in average_precision(wanted, videos)}
    print(tabulate([(name, f"{value:.4f}") for name, value in parts.items()], tablefmt="plain", disable_numparse=True))
    if block["absent"]:
        absent = ", ".join(block["absent"])
        print(f"never in the labels: {visible(absent)}; perfect predictions would score {block['reachable']:.4f}")
