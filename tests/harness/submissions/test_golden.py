"""Every edition and track: small made-up lists and predictions, and what must be handed in, byte for byte.

``golden/<edition>-<track>/`` holds a list as the organisers write it (named and shaped as in the facts: bare names,
numbers of frames in sentences, empty last fields, dummy answers, an empty last line, CRLF, a byte order mark, templates
in a folder), ``predictions.csv`` and ``expected/``, which were read line by line against the rules of that edition.
In the predictions one frame is missing between two, one at the end of a video, and one is too many.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.io.digests import opened
from harness.submissions.submission import make_submission
from harness.submissions.verifier import check_manifest, read_list, sha256_of, verify
from harness.submissions.writer import read_table
from tests.support.submission_cases import FOLDERS, registered
from zoo.registry.registry import load

GOLDEN = Path(__file__).parent / "golden"
TRACKS = registered()
EDITIONS = [entry.spec for entry in load([]).entries("editions")]
NAMES_ONLY = {f"abaw{n}-{track}" for n in (2, 3) for track in ("va", "expr", "au")}


def list_of(folder: Path) -> Path:
    (path,) = (path for path in folder.iterdir() if path.name not in ("predictions.csv", "expected"))
    return path


def test_every_edition_and_track_has_one() -> None:
    assert {folder.name for folder in GOLDEN.iterdir()} == TRACKS.keys()


@pytest.mark.parametrize("name", TRACKS)
def test_what_is_written_is_what_was_read(name: str, tmp_path: Path) -> None:
    track, folder, edition = TRACKS[name], GOLDEN / name, name.partition("-")[0]
    made = make_submission(
        track,
        read_table(folder / "predictions.csv", track),
        list_of(folder),
        tmp_path / "out",
        edition=edition,
        editions=EDITIONS,  # type: ignore[arg-type]
    )
    (expected,) = (folder / "expected").iterdir()
    assert made.path == tmp_path / "out" / expected.name
    pairs = [(expected, made.path)]
    if expected.is_dir():
        assert sorted(p.name for p in expected.iterdir()) == sorted(p.name for p in made.path.iterdir())
        pairs = [(path, made.path / path.name) for path in expected.iterdir()]
    for golden, written in pairs:
        assert written.read_bytes() == golden.read_bytes()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(["manifest.json", expected.name])
    manifest = opened(json.loads((tmp_path / "out" / "manifest.json").read_text()), strict=True)
    assert manifest == made.manifest
    framed = manifest["rows"] == 10
    counted = framed and name not in NAMES_ONLY
    assert (manifest["interpolated_rows"], manifest["held_rows"], manifest["left_out_frames"]) == (
        framed,
        counted,
        counted,
    )
    assert (manifest["edition"], manifest["track"], manifest["file"]) == (edition, track.name, expected.name)
    assert manifest["sha256"] == sha256_of(expected)
    assert manifest["list"]["sha256"] == sha256_of(list_of(folder))


@pytest.mark.parametrize("name", TRACKS)
def test_it_verifies(name: str) -> None:
    track, folder = TRACKS[name], GOLDEN / name
    (expected,) = (folder / "expected").iterdir()
    listed = read_list(list_of(folder), track, EDITIONS)  # type: ignore[arg-type]
    report = verify(expected, track, listed, EDITIONS)  # type: ignore[arg-type]
    assert report.findings == []
    assert (report.unchecked is not None) == (name in NAMES_ONLY)
    assert verify(expected, track, None).unchecked == "rows not checked: no official list"


@pytest.mark.parametrize("name", ["abaw1-expr", "abaw6-expr", "abaw10-au", "abaw8-ah", "abaw10-vd", "abaw6-emi"])
def test_the_histogram_counts_the_expected_lines(name: str, tmp_path: Path) -> None:
    track, folder = TRACKS[name], GOLDEN / name
    made = make_submission(track, read_table(folder / "predictions.csv", track), list_of(folder), tmp_path)
    (expected,) = (folder / "expected").iterdir()
    files = sorted(expected.iterdir()) if expected.is_dir() else [expected]
    head = 0 if track.submission_header == "" else 1
    rows = [line.split(",") for file in files for line in file.read_text().splitlines()[head:]]
    counts: dict[str, int] = {}
    for i, answer in enumerate(track.answers):
        own = [row[i - len(track.answers)] for row in rows]
        if answer.kind == "class":
            counts |= {c: own.count(str(n)) for n, c in enumerate(answer.classes)}
        elif answer.kind == "binary":
            counts[answer.name] = own.count("1")
    assert made.manifest["class_histogram"] == counts
    assert made.manifest["rows"] == len(rows)
    assert check_manifest(tmp_path / "manifest.json", expected, "any", track, len(rows), list_of(folder)) == []
    assert (track.submission in FOLDERS) == expected.is_dir()
