"""Ten thousand spoilt submissions, in three classes; within each every one is caught by what the class allows to see."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from harness.submissions.submission import make_submission
from harness.submissions.verifier import Listing, check_manifest, read_list, verify
from harness.submissions.writer import read_table
from tests.support.form_mutations import FORM
from tests.support.mutations import ROWS, VALUES, Files, Mutation
from tests.support.submission_cases import (
    FOLDERS,
    MADE_UP,
    named_units,
    predictions,
    registered,
    runs_of_frames,
    write_list,
    write_table,
)
from zoo.tracks import TrackSpec

CLASSES = {"form": FORM, "rows": ROWS, "values": VALUES}
NAMES = ("video2", "10-60-1280x720_right", "a b", "43-ä")


@dataclass(frozen=True)
class Whole:
    """A sound submission, with everything there is to check it by."""

    track: TrackSpec
    files: Files
    listed: Listing
    manifest: Path


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Whole]:
    made = {}
    for i, (name, track) in enumerate({**MADE_UP, **registered()}.items()):
        folder = tmp_path_factory.mktemp("sound")
        lengths = dict(zip(named_units(track, NAMES), (3, 2, 5, 4), strict=True))
        rows = runs_of_frames(track, lengths)
        table = write_table(folder / "p.parquet", predictions(track, rows, np.random.default_rng(i)))
        path = write_list(folder / "list.txt", track, rows)
        submission = make_submission(track, read_table(table, track), path, folder / "out", edition="abaw0")
        files = sorted(submission.path.iterdir()) if submission.path.is_dir() else [submission.path]
        made[name] = Whole(
            track, {f.name: f.read_bytes() for f in files}, read_list(path, track), folder / "out" / "manifest.json"
        )
    return made


def caught(whole: Whole, kind: str, files: Files, folder: Path) -> bool:
    """Whether the verifier finds anything, by no more than the class allows."""
    path = folder / "predictions"
    if whole.track.submission in FOLDERS:
        path.mkdir(exist_ok=True)
        for old in path.iterdir():
            old.unlink()
        for name, content in files.items():
            (path / name).write_bytes(content)
    else:
        (content,) = files.values()
        path.write_bytes(content)
    if kind == "values":
        return bool(check_manifest(whole.manifest, path, "abaw0", whole.track, rows(whole), None))
    return bool(verify(path, whole.track, whole.listed if kind == "rows" else None).findings)


def rows(whole: Whole) -> int:
    return len(whole.listed.keys) or sum(whole.listed.counts.values())


def spoil(sound: dict[str, Whole], kind: str, wanted: int, folder: Path) -> tuple[Counter[str], list[str]]:
    """So many mutations, all forms and kinds in turn; how many of each, and those that nothing was found in."""
    rng = random.Random(f"{kind} {wanted}")
    turns: list[tuple[str, str, Mutation]] = [(f, m, how) for f in sound for m, how in CLASSES[kind].items()]
    rng.shuffle(turns)
    done: Counter[str] = Counter()
    missed = []
    (folder / kind).mkdir()
    at = 0
    while done.total() < wanted:
        form, mutation, how = turns[at % len(turns)]
        at += 1
        whole = sound[form]
        files = how(whole.files, whole.track, rng)
        if files is None:
            continue
        assert files != whole.files, (form, mutation)
        own = folder / kind / form
        own.mkdir(exist_ok=True)
        done[mutation] += 1
        if not caught(whole, kind, files, own):
            missed.append(f"{form}, {mutation}: {files}")
    return done, missed


@pytest.mark.parametrize(("kind", "wanted"), [("form", 240), ("rows", 160), ("values", 100)])
def test_five_hundred_mutations(kind: str, wanted: int, sound: dict[str, Whole], tmp_path: Path) -> None:
    made_up = {form: sound[form] for form in MADE_UP}
    done, missed = spoil(made_up, kind, wanted, tmp_path)
    assert missed == []
    assert done.total() == wanted
    assert done.keys() == CLASSES[kind].keys()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "wanted"), [("form", 5000), ("rows", 3000), ("values", 2000)])
def test_ten_thousand_mutations(kind: str, wanted: int, sound: dict[str, Whole], tmp_path: Path) -> None:
    done, missed = spoil(sound, kind, wanted, tmp_path)
    assert missed == []
    assert done.total() == wanted
    assert min(done[mutation] for mutation in CLASSES[kind]) > 10  # the fewest: those of one form's probabilities


@pytest.mark.parametrize("form", MADE_UP)
def test_what_is_sound_is_clean(form: str, sound: dict[str, Whole], tmp_path: Path) -> None:
    """Else every mutation would be caught for nothing."""
    whole = sound[form]
    for kind in CLASSES:
        assert not caught(whole, kind, whole.files, tmp_path)


def test_a_class_is_not_seen_with_less(sound: dict[str, Whole], tmp_path: Path) -> None:
    """Changed values need the manifest; and most faults of rows the list."""
    rng = random.Random(0)
    unseen = 0
    for form, whole in sound.items():
        for how in VALUES.values():
            files = how(whole.files, whole.track, rng)
            (tmp_path / form).mkdir(exist_ok=True)
            assert files is None or not caught(whole, "rows", files, tmp_path / form)
        for how in ROWS.values():
            files = how(whole.files, whole.track, rng)
            unseen += files is not None and not caught(whole, "form", files, tmp_path / form)
    assert unseen > 20
