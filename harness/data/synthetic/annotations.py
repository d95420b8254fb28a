"""Write the demo set's text files: annotations of the four tracks, test lists and example files, as in ABAW."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from harness.data.synthetic.latents import (
    AUS,
    EXPRESSIONS,
    UNLABELLED,
    UNLABELLED_VA,
    Bools,
    Floats,
    LatentTrajectory,
    Person,
)

FOLDERS = {"train": "Train_Set", "val": "Validation_Set"}
HEADERS = {"va": "valence,arousal", "expr": ",".join(EXPRESSIONS), "au": ",".join(AUS)}
TRACK_FOLDERS = {
    "va": "VA_Estimation_Challenge",
    "expr": "EXPR_Recognition_Challenge",
    "au": "AU_Detection_Challenge",
}
MTL_HEADER = "image,valence,arousal,expression,aus"
MTL_FILES = {"train": "training_set_annotations.txt", "val": "validation_set_annotations.txt"}
TEST_LISTS = {
    "va": "Valence_Arousal_Estimation_Challenge_test_set_release.txt",
    "expr": "Expression_Recognition_Challenge_test_set_release.txt",
    "au": "Action_Unit_Detection_Challenge_test_set_release.txt",
}
DUMMY_ANSWERS = {"va": "0.5,-0.5", "expr": "0", "au": "1,0,1,1,1,0,0,1,0,0,0,1"}


def write_tables(out: Path, stories: Sequence[LatentTrajectory], seed: int) -> None:
    """Write all annotation and test files of `stories` into `out`."""
    for story in stories:
        if story.plan.split != "test":
            for person in story.people:
                _write_annotations(out / "annotations", story, person)
    folder = out / "annotations" / "MTL_Challenge"
    for split, name in MTL_FILES.items():
        rows = [row for story in stories if story.plan.split == split for row in _mtl_rows(story, seed)]
        _write_lines(folder / name, [MTL_HEADER, *rows])
    _write_test_files(out, [story for story in stories if story.plan.split == "test"], seed)


def _write_annotations(out: Path, story: LatentTrajectory, person: Person) -> None:
    """Write one person's annotation files, one line per frame; the plan may add a line or leave one out."""
    rows = {
        "va": [_pair(pair) for pair in person.va],
        "expr": [str(label) for label in person.expression],
        "au": [",".join(map(str, units)) for units in person.aus],
    }
    plan = story.plan
    for track, lines in rows.items():
        lines = (lines + lines[-1:])[: plan.frames + plan.line_shift]
        folder = out / TRACK_FOLDERS[track] / FOLDERS[plan.split]
        _write_lines(folder / f"{person.name}.txt", [HEADERS[track], *lines])


def _mtl_rows(story: LatentTrajectory, seed: int) -> Iterable[str]:
    """Yield the rows of the multi-task list: listed frames only, each with any mix of valid and invalid labels."""
    rng = np.random.default_rng([seed, story.plan.index, 0, 4])
    for person in story.people:
        unsure = rng.random((len(person.va), 3)) < (0.1, 0.2, 0.15)
        for frame in np.flatnonzero(_listed(rng, person)):
            no_va, no_expression, no_aus = unsure[frame]
            va = _pair(np.full(2, UNLABELLED_VA) if no_va else person.va[frame])
            expression = UNLABELLED if no_expression else person.expression[frame]
            aus = [UNLABELLED] * len(AUS) if no_aus else person.aus[frame].tolist()
            yield f"{_image(person, frame)},{va},{expression},{','.join(map(str, aus))}"


def _pair(va: Floats) -> str:
    return ",".join("-5" if value == UNLABELLED_VA else f"{value:.3f}" for value in va)


def _listed(rng: np.random.Generator, person: Person) -> Bools:
    """Draw the frames of the multi-task lists, (T,) bool: about two thirds of those with a crop."""
    return person.face_seen & (rng.random(len(person.va)) < 0.65)


def _image(person: Person, frame: int | np.integer) -> str:
    return f"{person.name}/{frame + 1:05d}.jpg"


def _write_test_files(out: Path, stories: Sequence[LatentTrajectory], seed: int) -> None:
    people = [person for story in stories for person in story.people]
    names = [person.name for person in people]
    for track, name in TEST_LISTS.items():
        _write_lines(out / "names_of_videos_in_each_test_set" / name, names)
        rows = [f"{_image(p, frame)},{DUMMY_ANSWERS[track]}" for p in people for frame in range(len(p.va))]
        example = f"CVPR_10th_ABAW_{track.upper()}_test_set_example.txt"
        _write_lines(out / "test_set_examples" / example, [f"image_location,{HEADERS[track]}", *rows])
    rng = np.random.default_rng([seed, 0, 0, 5])
    listed = [f"{_image(p, frame)}," for p in people for frame in np.flatnonzero(_listed(rng, p))]
    _write_lines(out / "test_set_examples" / "MTL_Challenge_test_set_release.txt", [MTL_HEADER, *listed])


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="\n")
