"""Tracks and the choice of the person, on made-up boxes whose owner is known."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from harness.data.tracking.face_tracks import choose, shared_width
from harness.data.tracking.tracker import NOBODY, Track, overlap, track_faces
from zoo.api import Faces

Path = Callable[[int], tuple[float, float, float] | None]  # frame -> centre x, y, size; None: not seen


def scene(people: list[Path], n_frames: int, seed: int = 0) -> tuple[list[Faces], list[list[int]]]:
    """Faces of a frame in random order, boxes trembling by 2 %, and who each one is."""
    rng = np.random.default_rng(seed)
    frames, owners = [], []
    for k in range(n_frames):
        seen = [(who, place) for who, path in enumerate(people) if (place := path(k)) is not None]
        rng.shuffle(seen)
        boxes = [[x - s / 2, y - s / 2, x + s / 2, y + s / 2] for _, (x, y, s) in seen]
        sizes = np.array([place[2] for _, place in seen]).reshape(-1, 1)
        array = np.array(boxes, np.float32).reshape(-1, 4) + rng.normal(0, 0.02, (len(seen), 4)) * sizes
        frames.append(Faces(array.astype(np.float32), np.full(len(seen), 0.9), np.zeros((len(seen), 5, 2))))
        owners.append([who for who, _ in seen])
    return frames, owners


def owners_of(track: Track, owners: list[list[int]]) -> list[int]:
    return [owners[k][face] for k, face in zip(track.frames, track.faces, strict=True)]


def at(x: float, y: float = 200, size: float = 100, hidden: range = range(0)) -> Path:
    return lambda k: None if k in hidden else (x, y, size)


def test_overlap_of_known_boxes() -> None:
    a = np.array([[0, 0, 10, 10], [5, 0, 15, 10]])
    b = np.array([[0, 0, 10, 10], [20, 20, 30, 30], [0, 0, 5, 10]])
    np.testing.assert_allclose(overlap(a, b), [[1, 0, 0.5], [1 / 3, 0, 0]])
    assert overlap(a, np.empty((0, 4))).shape == (2, 0)


def test_short_gaps_are_bridged_and_long_ones_not() -> None:
    frames, _ = scene([at(100, hidden=range(20, 30))], 60)
    (track,) = track_faces(frames, max_gap=10)
    np.testing.assert_array_equal(track.frames, [k for k in range(60) if not 20 <= k < 30])
    assert len(track_faces(frames, max_gap=9)) == 2


@pytest.mark.parametrize("seed", range(5))
def test_people_who_cross_keep_their_tracks(seed: int) -> None:
    """They walk through each other; while one hides the other (six frames), only the front one is seen."""
    left_to_right: Path = lambda k: (100 + 6 * k, 200, 100)  # noqa: E731
    right_to_left: Path = lambda k: None if 47 <= k < 53 else (700 - 6 * k, 205, 95)  # noqa: E731
    frames, owners = scene([left_to_right, right_to_left], 100, seed)
    tracks = track_faces(frames)
    assert len(tracks) == 2
    for track in tracks:
        assert len(set(owners_of(track, owners))) == 1
    assert sorted(len(track.frames) for track in tracks) == [94, 100]


def test_main_subject_is_longest_and_largest() -> None:
    frames, owners = scene([at(100, size=40), at(400, size=120, hidden=range(60, 100)), at(700, size=60)], 100)
    assert set(owners_of(choose(track_faces(frames), "vlog"), owners)) == {1}


def test_left_and_right_are_mean_x_through_the_video() -> None:
    """The right one is the larger; the names decide, not the size."""
    frames, owners = scene([at(600, size=150), at(200, size=90, hidden=range(30, 35)), at(900, 50, size=20)], 100)
    tracks = track_faces(frames)
    for name, who in [("6-30_left", 1), ("6-30_right", 0), ("6-30", 0)]:
        assert set(owners_of(choose(tracks, name), owners)) == {who}


def test_left_and_right_stay_when_they_cross() -> None:
    mostly_left: Path = lambda k: (200 if k < 70 else 200 + 15 * (k - 70), 200, 100)  # noqa: E731
    mostly_right: Path = lambda k: (600 if k < 70 else 600 - 15 * (k - 70), 330, 100)  # noqa: E731
    frames, owners = scene([mostly_left, mostly_right], 97)
    tracks = track_faces(frames)
    assert owners_of(choose(tracks, "a_left"), owners) == [0] * 97
    assert owners_of(choose(tracks, "a_right"), owners) == [1] * 97


@pytest.mark.parametrize(
    ("name", "who"),
    [
        *[("10-60-1280x720", 0), ("10-60-1280x720_right", 1), ("video59", 0), ("video59_right", 1)],
        *[("video2", 1), ("video2_left", 0), ("video3", 0)],
    ],
)
def test_names_whose_main_person_has_no_suffix(name: str, who: int) -> None:
    frames, owners = scene([at(200, size=110), at(600, size=100)], 50)
    assert set(owners_of(choose(track_faces(frames), name), owners)) == {who}


def test_special_name_with_a_passer_by_is_the_main_subject() -> None:
    frames, owners = scene([at(200, size=110), at(600, size=40, hidden=range(10, 100))], 100)
    assert set(owners_of(choose(track_faces(frames), "video2"), owners)) == {0}


def test_one_person_after_cuts_stays_the_subject() -> None:
    """A vlog: four cuts, somewhere else and of another size each time, some far apart; one mistaken face."""
    places = [(200, 200, 100), (500, 150, 140), (300, 250, 80), (600, 200, 110)]
    person: Path = lambda k: None if k % 50 > 40 else places[k // 50]  # noqa: E731
    mistake: Path = lambda k: (50, 50, 90) if k == 45 else None  # noqa: E731
    frames, owners = scene([person, mistake], 200)
    track = choose(track_faces(frames, max_gap=5), "vlog")
    assert owners_of(track, owners) == [0] * 164
    assert (np.diff(track.frames) > 0).all()


def test_two_people_with_long_gaps_are_put_together_by_place() -> None:
    frames, owners = scene([at(200, hidden=range(30, 80)), at(600, hidden=range(50, 90))], 150)
    tracks = track_faces(frames, max_gap=5)
    assert len(tracks) == 4
    assert owners_of(choose(tracks, "a_left"), owners) == [0] * 100
    assert owners_of(choose(tracks, "a_right"), owners) == [1] * 110
    assert owners_of(choose(tracks, "a"), owners) == [1] * 110


def test_one_face_serves_the_side_it_is_on() -> None:
    frames, _ = scene([at(200)], 20)
    tracks = track_faces(frames)
    assert len(choose(tracks, "a_left", width=640).frames) == 20
    assert choose(tracks, "a_right", width=640) is NOBODY


def test_a_file_of_that_name_shows_its_person_on_any_side() -> None:
    """Aff-Wild2's two people share a file without a suffix (ReadMe of edition 3)."""
    assert shared_width("cam_left", pathlib.Path("cam_left.mp4"), 640) is None
    assert shared_width("café_left", pathlib.Path("cafe\u0301_left.mp4"), 640) is None
    assert shared_width("cam_left", pathlib.Path("cam.mp4"), 640) == 640
    frames, _ = scene([at(200)], 20)
    assert len(choose(track_faces(frames), "a_right").frames) == 20


def test_no_faces() -> None:
    frames, _ = scene([], 20)
    assert track_faces(frames) == []
    assert choose([], "a") is NOBODY
    assert NOBODY.weight == 0
    assert NOBODY.centres.shape == (0, 2)
