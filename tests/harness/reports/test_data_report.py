"""A data folder in pictures: the numbers against sums done by hand, and the page of a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.data.index.index import Index, Video
from harness.reports.data_figures import (
    class_balance,
    co_occurrence,
    crossing_groups,
    histogram,
    split_counts,
    unit_rates,
    value_densities,
)
from harness.reports.data_page import report_data
from tests.support.refusals import refused
from tests.support.report_runs import track_of
from zoo.registry.registry import load
from zoo.registry.tracks import find_track


def index_of(track: str, *videos: tuple[str, str, str, list[list[float]]]) -> Index:
    """Videos as (name, group, split, labels); the first half of the frames has a face."""
    made = []
    for name, group, split, labels in videos:
        n = len(labels)
        faces, rows = np.arange(n) < n // 2, np.ones(n, bool)
        made.append(Video(name, group, split, n, None, None, faces, np.array(labels, np.float32), rows))
    return Index(Path("data"), find_track(load([]), track, None)[0], track_of(track), "", tuple(made), None, ())


def test_counts_balance_and_groups_by_hand() -> None:
    nan = float("nan")
    index = index_of(
        "expr",
        ("a", "g", "train", [[0], [0], [3], [nan]]),
        ("b", "h", "train", [[7], [nan]]),
        ("c", "g", "val", [[1], [1]]),
        ("t", "t", "test", [[nan], [nan]]),
    )
    assert [tuple(c) for c in split_counts(index)] == [
        ("train", 2, 2, 6, 4, 3),
        ("val", 1, 1, 2, 2, 1),
        ("test", 1, 1, 2, 0, 1),
    ]
    balance = class_balance(index)
    assert balance.frames == {"train": [2, 0, 0, 1, 0, 0, 0, 1], "val": [0, 2, 0, 0, 0, 0, 0, 0]}
    assert crossing_groups(index) == [("g", ["train", "val"])]
    assert unit_rates(index) is None
    assert co_occurrence(index) is None
    assert value_densities(index) == []


def test_units_by_hand() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.uniform(size=(200, 12)) < 0.4).astype(float)
    labels[rng.uniform(size=(200, 12)) < 0.2] = np.nan
    index = index_of("au", ("a", "a", "train", labels.tolist()))
    rates = unit_rates(index)
    assert rates.frames["train"] == [int(np.nansum(labels[:, i])) for i in range(12)]
    assert rates.labelled["train"] == [int(np.isfinite(labels[:, i]).sum()) for i in range(12)]
    _, shares = co_occurrence(index)
    for i, j in ((0, 0), (0, 5), (7, 3)):
        at = (labels[:, i] == 1) & np.isfinite(labels[:, j])
        assert shares[i, j] == pytest.approx(labels[at, j].mean())


def test_values_and_histograms() -> None:
    index = index_of("va", ("a", "a", "train", [[-1, 1], [0.5, float("nan")], [0.0, 0.0]]))
    ((split, found),) = value_densities(index)
    assert (split, sum(map(sum, found.counts)), found.counts[-1][0]) == ("train", 2, 1)
    spread = histogram("x", [1.0, 2.0, 4.0])
    assert (sum(spread.counts), spread.least, spread.middle, spread.greatest) == (3, 1.0, 2.0, 4.0)
    assert sum(histogram("x", [3.0]).counts) == 1


def test_a_folder_without_anything_is_a_page_and_no_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    page = report_data(tmp_path / "data", tmp_path / "page.html", load([]), edition=None, track=None)
    assert "no annotations" in page.read_text(encoding="utf-8")
    with refused("folder-missing"):
        report_data(tmp_path / "nowhere", tmp_path / "page.html", load([]), edition=None, track=None)
