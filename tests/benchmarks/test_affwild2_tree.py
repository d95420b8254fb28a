"""The doctor, before it meets the real data: a tree of the real size is clean, and is read in seconds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.data.affwild2.build import build_index
from harness.data.doctor.report import diagnose, render
from plugins.editions import abaw10, editions
from tests.benchmarks.affwild2_tree import write_tree
from zoo.registry.registry import Entry, Registry


@pytest.mark.slow
def test_a_full_size_tree_is_clean(tmp_path: Path) -> None:
    root = tmp_path / "Aff-Wild2"
    write_tree(root)
    start = time.perf_counter()
    index = build_index(root, abaw10.EDITION, abaw10.EDITION.tracks[0])
    seconds = time.perf_counter() - start
    assert len(index.videos) == 594
    assert sum(video.n_frames for video in index.videos) > 3_000_000
    assert seconds < 20  # 2.7 s on an idle core

    registry = Registry()
    for spec in editions():
        registry.add(Entry("editions", spec, "plugins.editions", "abaw-zoo"))
    report = diagnose(root, registry)
    assert report.clean, render(report)
    assert {row.track for row in report.rows} == {"va", "expr", "au", "mtl"}
    assert {row.what for row in report.rows if row.verdict != "equal"} == {"labelled, train"}  # of va: unconfirmed
