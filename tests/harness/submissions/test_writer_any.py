"""Any list and any predictions: what is written verifies, has the list's rows in the list's order, and their answers."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.submissions.submission import make_submission
from harness.submissions.verifier import check_manifest, read_list, verify
from harness.submissions.writer import read_table
from tests.support.submission_cases import (
    FOLDERS,
    FRAMED,
    MADE_UP,
    Look,
    Rows,
    key,
    registered,
    runs_of_frames,
    write_list,
    write_table,
)
from zoo.text import undo_inert
from zoo.tracks import TrackSpec

TRACKS = {**MADE_UP, **registered()}
LETTERS = "abcXYZ019-_()+äß日é~#%&=@!'"
LOOKS = st.builds(
    Look,
    dummy=st.booleans(),
    comma=st.booleans(),
    ends=st.sampled_from(["\n", "\r\n"]),
    mark=st.booleans(),
    last=st.sampled_from(["", "\n", "\r\n\r\n"]),
)


def names(track: TrackSpec) -> st.SearchStrategy[str]:
    """Of a video or item; two people of one video are two names."""
    if track.submission in ("trials", "frame_trials"):
        part = st.text(LETTERS + ".", min_size=1, max_size=6).filter(lambda text: set(text) != {"."})
        found = st.lists(part, min_size=1, max_size=3).map("/".join)
    else:
        plain = st.text(LETTERS + " ", min_size=1, max_size=8).filter(lambda text: text == text.strip())
        found = st.tuples(plain, st.sampled_from(["", "_left", "_right"])).map("".join)
    # A name such as '= is the very text by which a table shows the name =, and is read as that.
    return found.filter(lambda text: undo_inert(text) == text)


def rows_of(track: TrackSpec, lengths: dict[str, int], draw: st.DrawFn) -> Rows:
    """What a list may ask for: single images in any order, else whole videos or items."""
    rows = runs_of_frames(track, lengths)
    if track.submission == "mtl":
        rows = draw(st.permutations(rows))
        return rows[: draw(st.integers(1, len(rows)))]
    return rows


def table_of(track: TrackSpec, rows: Rows, lengths: dict[str, int], draw: st.DrawFn) -> pd.DataFrame:
    """Predictions of a list's rows, and of things that nobody asked for; frames are missing where gaps may be."""
    have = list(rows)
    if track.submission in FRAMED and track.submission != "mtl":
        gone = draw(st.sets(st.sampled_from(have), max_size=len(have)))
        have = [row for row in have if row not in gone or row[1] == 1 + len(row[0]) % lengths[row[0]]]
        have += [(name, n + 1) for name, n in lengths.items() if draw(st.booleans())]
    have += [("nobody asked", 1)]
    have = draw(st.permutations(have))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    columns: dict[str, object] = {"video": [name for name, _ in have]}
    if track.submission in FRAMED:
        columns["frame"] = [frame for _, frame in have]
    form = draw(st.sampled_from(["p", "ids", "both"]))
    for answer in track.answers:
        if answer.kind == "value":
            columns[answer.name] = rng.normal(0.0, 10.0 ** rng.integers(-8, 2), len(have))
            continue
        n = max(len(answer.classes), 2)
        if form != "ids":
            p = rng.dirichlet(np.ones(n) * 10.0 ** rng.integers(-1, 3), len(have))
            named = answer.classes if answer.kind == "class" else (answer.name,)
            columns |= {f"p_{name}": p[:, i] for i, name in enumerate(named)}
        if form != "p":
            columns[answer.name] = rng.integers(n, size=len(have))
    return pd.DataFrame(columns)


def check_any(track: TrackSpec, draw: st.DrawFn) -> None:
    some = draw(st.lists(names(track), min_size=1, max_size=4, unique=True))
    lengths = {name: draw(st.integers(1, 5)) for name in some}
    rows = rows_of(track, lengths, draw)
    table = table_of(track, rows, lengths, draw)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = write_table(folder / f"p{draw(st.sampled_from(['.csv', '.parquet']))}", table)
        listed = write_list(folder / "list.txt", track, rows, draw(LOOKS))
        made = make_submission(track, read_table(path, track), listed, folder / "out", edition="abaw0", archive=True)
        known = read_list(listed, track)
        report = verify(made.path, track, known)
        assert (report.findings, report.unchecked, report.rows) == ([], None, len(rows))
        assert check_manifest(folder / "out" / "manifest.json", made.path, "abaw0", track, len(rows), listed) == []
        check_keys(track, rows, made.path)
        with zipfile.ZipFile(folder / "out" / made.manifest["zip"]) as archive:
            files = list(made.path.iterdir()) if made.path.is_dir() else [made.path]
            assert {name: archive.read(name) for name in archive.namelist()} == {f.name: f.read_bytes() for f in files}
        left = {path.name, "list.txt", "out"}
        assert {p.name for p in folder.iterdir()} == left


def check_keys(track: TrackSpec, rows: Rows, path: Path) -> None:
    if track.submission in FOLDERS:
        lengths = dict(rows)
        lines = {file.stem: file.read_text("utf-8").split("\n")[1:-1] for file in path.iterdir()}
        assert {name: len(own) for name, own in lines.items()} == lengths
        return
    lines = path.read_text("utf-8").split("\n")[bool(track.submission_header) : -1]
    assert [line.split(",")[0] for line in lines] == [key(track, *row) for row in rows]


FAST = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
LONG = settings(FAST, max_examples=250, derandomize=False)


@pytest.mark.parametrize("name", TRACKS)
@FAST
@given(data=st.data())
def test_any_list_and_any_predictions(name: str, data: st.DataObject) -> None:
    check_any(TRACKS[name], data.draw)


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE_UP)
@LONG
@given(data=st.data())
def test_many_lists_and_predictions_of_each_form(name: str, data: st.DataObject) -> None:
    check_any(TRACKS[name], data.draw)
