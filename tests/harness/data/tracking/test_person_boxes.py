"""Person boxes: the file, the rule, OpenPose, and making them for a folder."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from harness.data.tracking.body_proportions import faces_and_people
from harness.data.tracking.openpose import read_openpose
from harness.data.tracking.person_boxes import (
    Boxes,
    content_sha256,
    make_boxes,
    person_boxes,
    read_boxes,
    write_boxes,
)
from tests.support.refusals import refused
from tests.support.squares import spec, still, write_squares
from zoo.files import file_sha256

NAN = np.nan


def some_boxes(n: int = 5) -> Boxes:
    rng = np.random.default_rng(0)
    face, person = rng.uniform(0, 99, (2, n, 4)).astype(np.float32)
    face[1] = person[1] = NAN
    score = rng.uniform(0, 1, n).astype(np.float32)
    score[1] = NAN
    return Boxes(face, person, score, "centerface 1 size=320")


def test_file_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "boxes" / "a_left.parquet"
    boxes = some_boxes()
    write_boxes(path, boxes)
    again = read_boxes(path)
    for name in ("face", "person", "score"):
        np.testing.assert_array_equal(getattr(again, name), getattr(boxes, name))
    assert again.detector == boxes.detector
    table = pq.read_table(path)
    assert table.column("frame").to_pylist() == [1, 2, 3, 4, 5]
    columns = ["frame", "face_x0", "face_y0", "face_x1", "face_y1", "x0", "y0", "x1", "y1", "score"]
    assert table.column_names == columns
    assert {str(t) for t in table.schema.types} == {"int32", "float"}
    assert set(table.schema.metadata) >= {b"detector", b"version"}
    assert [p.name for p in path.parent.iterdir()] == ["a_left.parquet"]


@pytest.mark.parametrize("content", [b"", b"PAR1 no parquet PAR1"])
def test_damaged_file_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with refused("boxes-invalid", file="a.parquet"):
        read_boxes(tmp_path / "a.parquet")


def test_fitted_cuts_and_fills() -> None:
    boxes = some_boxes()
    np.testing.assert_array_equal(boxes.fitted(3).face, boxes.face[:3])
    longer = boxes.fitted(6)
    np.testing.assert_array_equal(longer.person[:5], boxes.person)
    assert np.isnan(longer.person[5]).all()
    assert np.isnan(longer.score[5])


def test_rule_by_hand() -> None:
    """A face 40 wide and 60 high: the whole person with bent arms; near the lower edge only head and hair."""
    face = np.array([[500, 100, 540, 160], [500, 640, 540, 700], [500, 660, 540, 720], [5, 10, 45, 70]], float)
    expected = [
        [500 - 60, 100 - 30, 540 + 60, 160 + 450],
        [500 - (0.4 + 1.1 / 3) * 40, 640 - 30, 540 + (0.4 + 1.1 / 3) * 40, 720],  # 20 pixels shown below the chin
        [500 - 16, 660 - 30, 540 + 16, 720],
        [0, 0, 45 + 60, 70 + 450],
    ]
    np.testing.assert_allclose(faces_and_people(face, 1280, 720)[:, 4:], expected, rtol=1e-6)


def test_short_gaps_are_interpolated_long_ones_and_the_ends_are_not() -> None:
    face = np.full((20, 4), NAN)
    for frame, left in ((2, 100), (6, 140), (12, 200)):
        face[frame] = [left, 100, left + 40, 160]
    person = faces_and_people(face, 1280, 720, max_gap=4)[:, 4:]
    np.testing.assert_allclose(person[2:7, 0], [40, 50, 60, 70, 80], rtol=1e-6)
    assert np.isfinite(person[:, 0]).nonzero()[0].tolist() == [2, 3, 4, 5, 6, 12]


# --- OpenPose ---------------------------------------------------------------------------------------------------------


def key_points(x: float, y: float, head: bool = True) -> list[float]:
    """Somebody whose head, 40 wide, is centred at x, y, shoulders and hips below; legs are not seen."""
    points = np.zeros((25, 3))
    if head:
        points[[0, 15, 16, 17, 18]] = [
            [x, y, 0.9],
            [x - 8, y - 8, 0.9],
            [x + 8, y - 8, 0.9],
            [x - 20, y, 0.5],
            [x + 20, y, 0.5],
        ]
    points[[2, 5, 8]] = [[x - 50, y + 50, 0.8], [x + 50, y + 50, 0.8], [x, y + 172, 0.7]]
    points[11] = [0, 0, 0.01]  # noise
    return points.ravel().tolist()


def write_json(folder: Path, name: str, *people: list[float]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps({"people": [{"pose_keypoints_2d": p} for p in people]}))


def box_of(x: float, y: float) -> list[float]:
    """100 wide, from y - 8 to y + 172: 1 and 45 more on each side."""
    return [x - 51, y - 53, x + 51, y + 217]


def face_at(x: float, y: float) -> list[float]:
    return [x - 20, y - 25, x + 20, y + 25]


@pytest.mark.parametrize("pattern", ["vid_1_{:012d}_keypoints.json", "{:05d}_keypoints.json", "{:d}_keypoints.json"])
def test_person_is_the_one_with_the_face_not_the_first(tmp_path: Path, pattern: str) -> None:
    first = 0 if "012d" in pattern else 1
    for k in range(4):
        others = [key_points(500, 90), key_points(200 + k, 100)]
        write_json(tmp_path, pattern.format(k + first), *(others if k % 2 else others[::-1]))
    face = np.array([face_at(200 + k, 100) for k in range(4)])
    expected = [box_of(200 + k, 100) for k in range(4)]
    np.testing.assert_allclose(read_openpose(tmp_path, 4, face), expected, atol=0.01)


def test_files_numbered_from_zero_are_taken_so(tmp_path: Path) -> None:
    for k in range(3):
        write_json(tmp_path, f"{k}_keypoints.json", key_points(200 + 10 * k, 100))
    face = np.array([face_at(200 + 10 * k, 100) for k in range(3)])
    np.testing.assert_allclose(read_openpose(tmp_path, 3, face)[:, 0], [149, 159, 169], atol=0.01)


def test_no_match_is_nan_and_a_turned_head_is_followed_by_the_body(tmp_path: Path) -> None:
    write_json(tmp_path, "1_keypoints.json", key_points(500, 90), key_points(200, 100))
    write_json(tmp_path, "2_keypoints.json", key_points(500, 90), key_points(202, 100, head=False))  # face unseen
    write_json(tmp_path, "3_keypoints.json", key_points(500, 90))  # only the other one, though the face is seen
    write_json(tmp_path, "5_keypoints.json")
    face = np.array([face_at(200, 100), [NAN] * 4, face_at(204, 100), face_at(206, 100), face_at(208, 100)])
    person = read_openpose(tmp_path, 6, face)
    np.testing.assert_allclose(person[0], box_of(200, 100), atol=0.01)
    np.testing.assert_allclose(person[1, [0, 2]], [202 - 51, 202 + 51], atol=0.01)
    assert np.isnan(person[2:]).all()


@pytest.mark.parametrize("later_one_first", [False, True])
def test_of_two_tracks_with_the_face_the_longer_one_is_believed(tmp_path: Path, later_one_first: bool) -> None:
    """The face passes to a passer-by for two frames before it is lost; both bodies stay in sight."""
    for k in range(14):
        people = [key_points(200, 100)]
        if k >= 8:
            people.insert(0 if later_one_first else 1, key_points(500, 90))
        write_json(tmp_path, f"{k + 1}_keypoints.json", *people)
    face = np.array([face_at(200, 100)] * 8 + [face_at(500, 90)] * 2 + [[NAN] * 4] * 4)
    person = read_openpose(tmp_path, 14, face)
    np.testing.assert_allclose(person[10:], [box_of(200, 100)] * 4, atol=0.01)


def test_without_faces_people_are_tracked_and_the_name_chooses(tmp_path: Path) -> None:
    for k in range(10):
        people = [key_points(500, 90), key_points(200, 100)]
        write_json(tmp_path, f"{k + 1}_keypoints.json", *(people if k % 2 else people[::-1]))
    for name, x in (("a_left", 200), ("a_right", 500)):
        person = read_openpose(tmp_path, 10, name=name, size=(520, 300))
        np.testing.assert_allclose(person[:, 2], [min(x + 51, 520)] * 10, atol=0.01)
        np.testing.assert_allclose(person[:, 3], [300] * 10)


@pytest.mark.parametrize("content", ["{", '{"people": [{}]}', '{"people": [{"pose_keypoints_2d": [1, 2]}]}', "[]"])
def test_damaged_key_points_are_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "7_keypoints.json").write_text(content)
    with refused("openpose-invalid", file="7_keypoints.json"):
        read_openpose(tmp_path, 9)


# --- folders ----------------------------------------------------------------------------------------------------------


def test_openpose_goes_before_the_boxes_file(tmp_path: Path) -> None:
    video = tmp_path / "videos" / "talk.mp4"
    write_squares(video, [still(100)], n_frames=4)
    assert person_boxes(tmp_path, "talk", video, 4) is None
    face = np.array([face_at(200, 100)] * 4, np.float32)
    write_boxes(tmp_path / "boxes" / "talk_left.parquet", Boxes(face, face, np.ones(4, np.float32), "me"))
    found = person_boxes(tmp_path, "talk_left", video, 5)
    assert found is not None
    np.testing.assert_array_equal(found.person[:4], face)
    assert np.isnan(found.person[4]).all()
    for k in range(4):
        folder = tmp_path / "openpose" / "talk_openpose_body25" / "json"
        write_json(folder, f"talk_{k:012d}_keypoints.json", key_points(60, 90), key_points(200, 100))
    found = person_boxes(tmp_path, "talk_left", video, 4)
    assert found is not None
    np.testing.assert_allclose(found.person, [[149, 47, 251, 240]] * 4, atol=0.01)  # cut at the frame of 320x240
    np.testing.assert_array_equal(found.face, face)
    assert found.detector == "openpose body_25"


def test_key_points_are_of_stored_pixels_and_boxes_of_shown_ones(tmp_path: Path) -> None:
    video = tmp_path / "videos" / "talk.mkv"
    write_squares(video, [still(100)], n_frames=2, aspect=Fraction(2))
    for k in range(2):
        folder = tmp_path / "openpose" / "talk_openpose_body25" / "json"
        write_json(folder, f"talk_{k:012d}_keypoints.json", key_points(200, 100))
    found = person_boxes(tmp_path, "talk", video, 2)
    assert found is not None
    np.testing.assert_allclose(found.person, [[2 * 149, 47, 2 * 251, 240]] * 2, atol=0.01)


def test_openpose_is_read_again_only_where_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of a video has a file a frame. Each of what the answer depends on is changed in turn."""
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    video, folder = tmp_path / "talk.mp4", tmp_path / "openpose" / "talk_openpose_body25" / "json"
    write_squares(video, [still(100)], n_frames=4)
    for k in range(4):
        write_json(folder, f"talk_{k:012d}_keypoints.json", key_points(200, 100))
    reads: list[Path] = []

    def read(folder: Path, *args: object, **more: object) -> np.ndarray:
        reads.append(folder)
        return read_openpose(folder, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("harness.data.tracking.openpose.read_openpose", read)

    def left_edge(frame: int, name: str = "talk", frames: int = 4) -> float:
        found = person_boxes(tmp_path, name, video, frames)
        assert found is not None
        return round(float(found.person[frame, 0]))

    assert [left_edge(3), left_edge(3)] == [149, 149]
    assert len(reads) == 2, "so new that another change might not show in their times"
    monkeypatch.setattr("zoo.files.TICK", -(10**9))
    assert [left_edge(3), left_edge(3, frames=5), left_edge(0)] == [149, 149, 149]
    assert len(reads) == 3
    write_json(folder, "talk_000000000003_keypoints.json", key_points(180, 100))
    assert [left_edge(3), left_edge(3), left_edge(0)] == [129, 129, 149]
    assert len(reads) == 4
    (folder / "talk_000000000003_keypoints.json").unlink()
    assert np.isnan(person_boxes(tmp_path, "talk", video, 4).person[3, 0])  # type: ignore[union-attr]
    assert len(reads) == 5
    face = np.array([face_at(200, 100)] * 4, np.float32)
    write_boxes(tmp_path / "boxes" / "talk.parquet", Boxes(face, face, np.ones(4, np.float32), "me"))
    assert [left_edge(0), left_edge(1)] == [149, 149]
    assert len(reads) == 6
    write_squares(video, [still(100)], n_frames=3)
    assert left_edge(0, frames=3) == 149
    assert len(reads) == 7


def test_two_names_of_one_video_and_gaps(tmp_path: Path) -> None:
    video = tmp_path / "two.mp4"
    write_squares(video, [still(60), still(200, hidden=range(8, 12))])
    assert make_boxes(tmp_path, [(("two_left", "two_right"), video)], spec(), 1, progress=False) == []
    left, right = (read_boxes(tmp_path / "boxes" / f"two_{side}.parquet") for side in ("left", "right"))
    np.testing.assert_allclose(left.face, [[60, 80, 100, 120]] * 30, atol=1)
    np.testing.assert_allclose(left.person, [[0, 60, 160, 240]] * 30, atol=3)
    assert np.isnan(right.face[:, 0]).nonzero()[0].tolist() == [8, 9, 10, 11]
    np.testing.assert_allclose(right.person, [[140, 60, 300, 240]] * 30, atol=3)


def test_finished_files_stay_and_other_options_make_new_ones(tmp_path: Path) -> None:
    videos = []
    for k in range(2):
        write_squares(tmp_path / f"v{k}.mp4", [still(60)], n_frames=5)
        videos.append((f"v{k}", tmp_path / f"v{k}.mp4"))
    first = tmp_path / "boxes" / "v0.parquet"
    make_boxes(tmp_path, videos[:1], spec(), 1, progress=False)
    before = first.stat().st_mtime_ns
    assert make_boxes(tmp_path, videos, spec(), 1, progress=False) == []
    assert first.stat().st_mtime_ns == before
    assert (tmp_path / "boxes" / "v1.parquet").is_file()
    lock = tmp_path / "boxes" / ".lock"
    lock.touch()  # of a process that was killed when all was made
    assert make_boxes(tmp_path, videos, spec(), 1, progress=False) == []
    assert not lock.exists()
    make_boxes(tmp_path, videos, spec(), 1, progress=False, options={"threshold": 90})
    assert first.stat().st_mtime_ns > before
    assert read_boxes(first).detector == "squares 1 threshold=90 folder="


def test_boxes_of_a_replaced_video_are_refused_and_made_again(tmp_path: Path) -> None:
    for name in ("v0", "v1"):
        write_squares(tmp_path / f"{name}.mp4", [still(60)], n_frames=5)
    videos = [(name, tmp_path / f"{name}.mp4") for name in ("v0", "v1")]
    first, second = (tmp_path / "boxes" / f"{name}.parquet" for name, _ in videos)
    make_boxes(tmp_path, videos, spec(), 1, progress=False)
    before = second.stat().st_mtime_ns
    write_squares(tmp_path / "v0.mp4", [still(200)], n_frames=5)
    with refused("boxes-of-other-video", file=first, video=videos[0][1], root=tmp_path):
        person_boxes(tmp_path, "v0", videos[0][1], 5)
    assert make_boxes(tmp_path, videos, spec(), 1, progress=False) == []
    boxes = person_boxes(tmp_path, "v0", videos[0][1], 5)
    assert boxes is not None
    np.testing.assert_allclose(boxes.face[:, 0], 200, atol=1)
    assert second.stat().st_mtime_ns == before
    videos[0][1].rename(tmp_path / "V0.MP4")  # the name is no content
    assert person_boxes(tmp_path, "v0", tmp_path / "V0.MP4", 5) is not None


def test_the_content_of_a_video_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("zoo.files.TICK", -(10**9))
    reads: list[Path] = []

    def read(path: Path) -> str:
        reads.append(path)
        return file_sha256(path)

    monkeypatch.setattr("harness.data.tracking.person_boxes.file_sha256", read)
    video, link = tmp_path / "v.mp4", tmp_path / "videos" / "v.mp4"
    video.write_bytes(b"video")
    link.parent.mkdir()
    link.symlink_to(video)
    assert content_sha256(video) == content_sha256(link) == file_sha256(video)
    assert reads == [video]
    assert content_sha256(tmp_path / "none.mp4") == ""


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_bad_video_stops_nothing(tmp_path: Path, jobs: int) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    write_squares(tmp_path / "good.mp4", [still(60)], n_frames=5)
    videos = [(path.stem, path) for path in sorted(tmp_path.glob("*.mp4"))]
    failures = make_boxes(tmp_path, videos, spec(), jobs, progress=False)
    assert sorted(Path(failure.item).name for failure in failures) == ["bad.mp4", "empty.mp4"]
    assert all(str(failure).startswith(failure.item) for failure in failures)
    assert sorted(path.name for path in (tmp_path / "boxes").iterdir()) == ["good.parquet"]


@pytest.mark.slow
def test_real_detector_in_processes(tmp_path: Path, real: Path) -> None:
    from plugins.detectors import detectors

    videos = [(name, real / "odd" / f"{name}.mp4") for name in ("no_audio", "no_face")]
    assert make_boxes(tmp_path, videos, detectors()[0], 2, progress=False, options={"size": 160}) == []
    boxes = read_boxes(tmp_path / "boxes" / "no_audio.parquet")
    assert len(boxes.score) == 115
    assert np.isfinite(boxes.face).all()
    assert boxes.score.min() > 0.5
    assert (boxes.person[:, 2] - boxes.person[:, 0] > 2 * (boxes.face[:, 2] - boxes.face[:, 0])).all()
    none = read_boxes(tmp_path / "boxes" / "no_face.parquet")
    assert len(none.score) == 95
    assert np.isnan(none.person).all()
