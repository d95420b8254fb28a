"""The tables of figures: their sums, the page they are written into, results that are included, sizes made up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from harness.benchmarks import external_results, full_scale
from harness.benchmarks.measure import Rates
from harness.benchmarks.tables import (
    BEGIN,
    END,
    HEADS,
    LOST,
    SIZE,
    SPEED,
    Row,
    against,
    figures_of,
    markdown,
    most,
    write,
)
from harness.data.affwild2.build import build_index
from tests.support.paths import ROOT
from tests.support.program import Program
from tests.support.refusals import refused

KNOWN = {
    "processor": "a processor",
    "cores": 2,
    "memory_gb": 8,
    "gpus": [],
    "python": "3.11.1",
    "threads": 2,
    "versions": {"torch": "2.11.0"},
    "load": 0.5,
    "date": "2026-01-02",
    "commit": "0123456789abcdef+",
}


def test_a_ratio_is_the_median_of_its_rounds() -> None:
    row = against("a", "b", Rates((10, 20, 10)), Rates((30, 38, 50)), 2)
    assert row.cells == ("a", "b", "10", "38", "3", "1.9 to 5")
    assert (row.wanted, row.reached) == (">= 2", True)
    assert against("a", "b", Rates((10,)), Rates((19,)), 2).reached is False
    assert against("a", "b", Rates((10,)), Rates((19,))).line()[-2:] == ("", "")


def test_sizes_are_held_against_limits() -> None:
    row = most("index", {"s": (4.91, 5), "MB": (1203.4, 500)})
    assert row.cells == ("index", "4.91 s, 1,203 MB")
    assert row.wanted == "< 5 s, < 500 MB"
    assert row.reached is False
    assert most("index", {"s": (4.91, 5), "MB": (499, 500)}).reached is True
    assert most("index", {"s": (4.91, None)}).reached is None


def test_a_page_is_written_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    rows = [against("a", "b", Rates((1,)), Rates((2,)), 3), most("c", {"s": (1, 2)}), Row(LOST, ("d", "0"), "0", True)]
    write(page, markdown(rows, KNOWN, ["a note"]))
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "a processor, 2 cores, 8 GB, no GPU; Python 3.11.1, torch 2.11.0, 2 threads" in text
    assert "2026-01-02, commit 0123456789ab+." in text
    assert "| a | b | 1 | 2 | 2 | 2 to 2 | >= 3 | **no** |" in text
    assert figures_of(page) == {SPEED: ["a"], SIZE: ["c"], LOST: ["d"]}
    write(page, markdown(rows, KNOWN))
    assert page.read_text().count(BEGIN) == 1


@pytest.mark.parametrize("text", ["no markers", f"{END}\n{BEGIN}", f"{BEGIN}\n{BEGIN}\n{END}"])
def test_a_page_without_markers_is_left_alone(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with refused("bench-page-without-marks"):
        write(page, "new")
    assert page.read_text() == text
    with refused("bench-page-unreadable"):
        write(tmp_path / "none.md", "new")


def test_results_of_long_checks_are_included(tmp_path: Path) -> None:
    fuzz, kills = tmp_path / "fuzz.json", tmp_path / "kills.json"
    reader = {"name": "list", "inputs": 10_000, "accepted": 3, "refused": 9_997, "crashes": {}, "peak_mb": 1}
    fuzz.write_text(json.dumps({"readers": [reader, {**reader, "crashes": {"ValueError": 2}}]}))
    kills.write_text(
        json.dumps(
            {"rows": [{"section": LOST, "what": "kills", "figure": "100, none lost", "wanted": "0", "reached": True}]}
        )
    )
    one, two = external_results.read([fuzz, kills])
    assert one.cells[0] == "fuzzed readers"
    assert "2 readers, 10,000" in one.cells[1]
    assert "2 crashes" in one.cells[1]
    assert one.reached is False
    assert two == Row(LOST, ("kills", "100, none lost"), "0", True)
    stage = {"name": "pack", "kills": 60, "resumed": 59, "wrong": []}
    kills.write_text(json.dumps({"stages": [stage, {**stage, "name": "train"}]}))
    assert external_results.read([kills])[0].cells[1] == "120 kills in pack, train; 118 continued to the end, 0 wrong"
    assert external_results.read([kills])[0].reached is True
    kills.write_text(json.dumps({"stages": [stage, {**stage, "wrong": ["a line"]}]}))
    assert external_results.read([kills])[0].reached is False
    fuzz.write_text(json.dumps({"readers": [{**reader, "inputs": 9_999}]}))
    assert external_results.read([fuzz])[0].reached is False


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"rows": [{"section": "Speed", "what": "", "figure": ""}]}',
        '{"rows": [{"section": "Nothing lost", "what": 1, "figure": 1, "reached": "yes"}]}',
        '{"readers": [{}]}',
    ],
)
def test_what_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with refused("bench-include-invalid", file=tmp_path / "x.json"):
        external_results.read([tmp_path / "x.json"])


def test_the_made_up_tree_is_read_with_all_its_lines(tmp_path: Path) -> None:
    full_scale.write_tree(tmp_path / "data", videos=7, lines=7 * 40 + 3)
    from zoo.registry.tracks import find_track, load_plugins

    edition, track = find_track(load_plugins([]), "va", full_scale.EDITION)
    index = build_index(tmp_path / "data", edition, track)
    assert len(index.videos) == 7
    assert sum(video.n_frames for video in index.videos) == 7 * 40 + 3
    assert all(video.crop_frames[:40].all() for video in index.videos)
    unlabelled = sum(int(np.isnan(video.labels).all(1).sum()) for video in index.videos)
    assert unlabelled == 7 * 2  # a twentieth of each


def test_the_made_up_predictions_fit_their_list(tmp_path: Path) -> None:
    full_scale.write_predictions(tmp_path, "expr", 60, 7)
    child = full_scale.command(
        "submit",
        "--predictions",
        tmp_path / "predictions.parquet",
        "--edition",
        "abaw10",
        "--track",
        "expr",
        "--list",
        tmp_path / "list.txt",
        "--out",
        tmp_path / "out",
        "--runs",
        tmp_path,
    )
    assert child.peak_mb > 20
    assert len((tmp_path / "out" / "predictions.txt").read_text().splitlines()) == 61
    with pytest.raises(RuntimeError, match="run_quietly: "):
        full_scale.command("verify", tmp_path / "none.txt", "--track", "expr")


def test_options_of_the_two_measurements_are_not_mixed(program: Program, tmp_path: Path) -> None:
    assert program("bench", "--write", tmp_path / "page.md").code == 2
    answer = program("bench", "--seed-baseline", "--head", "gru")
    answer.refused("bench-options-mixed")


def test_the_page_has_the_shape_of_its_rows() -> None:
    page = ROOT / "docs" / "performance.md"
    text = page.read_text()
    assert text.count(BEGIN) == 1
    figures = figures_of(page)
    assert set(figures) <= set(HEADS)
    for section in figures:
        assert (
            f"| {' | '.join(HEADS[section])} |" in text
        )  # else: harness bench --seed-baseline --write docs/performance.md
