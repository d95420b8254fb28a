"""The demo set: byte-identical, shaped like Aff-Wild2."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from harness.data.synthetic import DEMO_VERSION, STANDARD_FRAMES, STANDARD_VIDEOS, build, make_demo, oracle
from harness.data.synthetic.appearance import draw_look, person_box
from harness.data.synthetic.video_plans import RATES, plan_videos
from tests.support.demo_stories import ALL, CRUMB, FRAMES, stories
from tests.support.refusals import Part, Refusal, refused


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "set"
    make_demo(out, videos=CRUMB, frames=FRAMES, jobs=2, progress=False)
    return out


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_same_bytes_whatever_the_jobs(demo: Path, tmp_path: Path) -> None:
    make_demo(tmp_path / "again", videos=CRUMB, frames=FRAMES, jobs=1, progress=False)
    assert digest(tmp_path / "again") == digest(demo)
    assert list(tmp_path.iterdir()) == [tmp_path / "again"]


def test_the_same_set_is_left_alone_and_anything_else_refused(demo: Path, tmp_path: Path) -> None:
    before = (demo / "truth.json").stat().st_mtime_ns
    make_demo(demo, videos=CRUMB, frames=FRAMES, shares={"audio": 1}, progress=False)
    assert (demo / "truth.json").stat().st_mtime_ns == before
    for other in ({"seed": 1}, {"shares": {"face": 0.5}}, {"frames": 25}):
        with refused("demo-other-version"):
            make_demo(demo, **{"videos": CRUMB, "frames": FRAMES, "progress": False, **other})
    (tmp_path / "holiday.jpg").touch()
    with refused("demo-not-a-demo"):
        make_demo(tmp_path, progress=False)


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ({"shares": {"smell": 1}}, refused("demo-slot-unknown", slot="smell")),
        ({"shares": {"face": 1.5}}, refused("demo-share")),
        ({"videos": (1, 0, 1)}, refused("demo-counts")),
        ({"frames": 5}, refused("demo-too-short")),
        ({"seed": -1}, refused("demo-seed")),
    ],
)
def test_bad_arguments_are_named_before_anything_is_written(arguments: dict, refusal: Refusal, tmp_path: Path) -> None:
    with refusal:
        make_demo(tmp_path / "new", **arguments)
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(build, "write_files", full_disk)
    with refused("demo-not-writable", error=Part("No space")):
        make_demo(tmp_path / "new", videos=CRUMB, frames=FRAMES, progress=False)
    assert not list(tmp_path.iterdir())


def test_importing_it_is_light() -> None:
    code = "import sys, harness.data.synthetic; print([m for m in ('av', 'cv2', 'numpy', 'torch') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


# The folder


def test_annotations_have_the_official_form(demo: Path) -> None:
    told = stories(videos=CRUMB, frames=FRAMES)
    for track, header, fields in (
        ("VA_Estimation", "valence,arousal", 2),
        ("EXPR_Recognition", "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other", 1),
        ("AU_Detection", "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26", 12),
    ):
        for split, folder in (("train", "Train_Set"), ("val", "Validation_Set")):
            files = demo / "annotations" / f"{track}_Challenge" / folder
            people = {p.name: (s.plan, p) for s in told if s.plan.split == split for p in s.people}
            assert {path.stem for path in files.iterdir()} == set(people)
            for name, (plan, person) in people.items():
                first, *rows = (files / f"{name}.txt").read_text().splitlines()
                assert first == header
                assert len(rows) == FRAMES + plan.line_shift
                values = np.array([row.split(",") for row in rows], dtype=float)[:FRAMES]
                truth = {2: person.va, 1: person.expression[:, None], 12: person.aus}[fields]
                np.testing.assert_array_equal(values, truth[: len(values)])


def test_line_counts_are_off_by_one_in_one_video_each_way() -> None:
    shifts = [plan.line_shift for plan in plan_videos(STANDARD_VIDEOS, STANDARD_FRAMES)]
    assert sorted(shift for shift in shifts if shift) == [-1, 1]


def test_multi_task_rows_are_listed_frames_with_a_crop_and_any_mix_of_labels(demo: Path) -> None:
    invalid = np.zeros(3, dtype=int)
    for name in ("training", "validation"):
        header, *rows = (demo / f"annotations/MTL_Challenge/{name}_set_annotations.txt").read_text().splitlines()
        assert header == "image,valence,arousal,expression,aus"
        assert len({row.split(",")[0] for row in rows}) == len(rows)
        for row in rows:
            image, valence, arousal, expression, *aus = row.split(",")
            assert (demo / "cropped_aligned" / image).is_file()
            assert len(aus) == 12
            assert -5 in (float(valence), float(arousal)) or max(abs(float(valence)), abs(float(arousal))) <= 1
            invalid += [valence == "-5", expression == "-1", aus[0] == "-1"]
        crops = sum(1 for _ in (demo / "cropped_aligned").rglob("*.jpg"))
        assert 0 < len(rows) < crops
    assert (invalid > 0).all()


def test_test_lists_and_examples_cover_every_frame_of_the_test_videos(demo: Path) -> None:
    names = [name for plan in plan_videos(CRUMB, FRAMES) if plan.split == "test" for name in plan.names]
    lists = sorted((demo / "names_of_videos_in_each_test_set").iterdir())
    assert [path.name.split("_Challenge")[0] for path in lists] == [
        "Action_Unit_Detection",
        "Expression_Recognition",
        "Valence_Arousal_Estimation",
    ]
    assert all(path.read_text().split() == names for path in lists)
    images = [f"{name}/{frame:05d}.jpg" for name in names for frame in range(1, FRAMES + 1)]
    for track, fields in (("VA", 2), ("EXPR", 1), ("AU", 12)):
        path = demo / "test_set_examples" / f"CVPR_10th_ABAW_{track}_test_set_example.txt"
        header, *rows = path.read_text().splitlines()
        assert header.startswith("image_location,")
        assert [row.split(",")[0] for row in rows] == images
        assert {row.count(",") for row in rows} == {fields}
    header, *rows = (demo / "test_set_examples/MTL_Challenge_test_set_release.txt").read_text().splitlines()
    assert header == "image,valence,arousal,expression,aus"
    assert 0 < len(rows) < len(images)
    assert all(row.endswith(".jpg,") and (demo / "cropped_aligned" / row[:-1]).is_file() for row in rows)


def test_crops_and_boxes_are_absent_where_the_face_is(demo: Path) -> None:
    for story in stories(videos=CRUMB, frames=FRAMES):
        for person in story.people:
            crops = {int(path.stem) for path in (demo / "cropped_aligned" / person.name).iterdir()}
            assert crops == set(np.flatnonzero(person.face_seen) + 1)
            table = pq.read_table(demo / "boxes" / f"{person.name}.parquet")
            assert table.schema.metadata[b"detector"] == b"demo"
            assert table.schema.metadata[b"version"] == DEMO_VERSION.encode()
            boxes = {column: table[column].to_numpy() for column in table.column_names}
            assert {str(table.schema.field(c).type) for c in boxes if c != "frame"} == {"float"}
            assert str(table.schema.field("frame").type) == "int32"
            np.testing.assert_array_equal(boxes["frame"], np.arange(1, FRAMES + 1))
            np.testing.assert_array_equal(np.isnan(boxes["face_x0"]), ~person.face_seen)
            np.testing.assert_array_equal(np.isnan(boxes["x0"]), person.out)
            seen = person.face_seen
            for low, high in (
                ("x0", "face_x0"),
                ("face_x0", "face_x1"),
                ("face_x1", "x1"),
                ("y0", "face_y0"),
            ):
                assert (boxes[low][seen] < boxes[high][seen]).all()
    crop = cv2.imread(str(next((demo / "cropped_aligned").rglob("*.jpg"))))
    assert crop.shape == (112, 112, 3)


def test_videos_have_the_promised_frames_times_and_sound(demo: Path) -> None:
    starts = {}
    for story in stories(videos=CRUMB, frames=FRAMES):
        plan = story.plan
        with av.open(str(demo / "videos" / f"{plan.video}.{plan.container}")) as container:
            assert container.streams.video[0].codec_context.name == {"mp4": "h264", "avi": "mpeg4"}[plan.container]
            times = [frame.time for frame in container.decode(video=0)]
        np.testing.assert_allclose(times, story.times, atol=1e-4)
        with av.open(str(demo / "videos" / f"{plan.video}.{plan.container}")) as container:
            sound = list(container.decode(audio=0))
        starts[plan.index] = sound[0].time
        end = sound[-1].time + sound[-1].samples / sound[-1].sample_rate
        assert times[-1] < end < times[-1] + 1 / float(plan.rate) + 0.2
    late = starts.pop(3)
    assert 0.2 < late <= 0.3  # the encoder's lead-in of 1024 samples comes before the sound itself
    assert max(starts.values()) == 0


def test_rates_vary() -> None:
    plans = plan_videos(STANDARD_VIDEOS, STANDARD_FRAMES)
    assert {plan.rate for plan in plans} == set(RATES)
    assert {float(r) for r in RATES} >= {7.5, 15.0, 24.0, 25.0, 30.0, 60.0}
    assert Fraction(30000, 1001) in RATES
    assert sum(plan.variable for plan in plans) == 1
    assert sum(plan.sound_start == 0.3 for plan in plans) == 1
    assert [plan.index for plan in plans if plan.container == "avi"] == [4, 14, 24, 34, 44]
    variable = next(story for story in stories() if story.plan.variable)
    steps = np.diff(variable.times)
    assert steps.max() > 3 * steps.min()


def test_names_are_apart_and_two_person_videos_lie_in_one_split() -> None:
    plans = plan_videos(STANDARD_VIDEOS, STANDARD_FRAMES)
    assert len({plan.video for plan in plans}) == len(plans) == sum(STANDARD_VIDEOS)
    assert [plan.split for plan in plans if len(plan.names) == 2] == ["train", "val"]
    # names that Aff-Wild2 treats specially
    assert not {"10-60-1280x720", "video59", "video2"} & {plan.video for plan in plans}


def test_two_people_cross_and_keep_their_names_by_the_mean() -> None:
    for story in stories():
        if len(story.people) == 2:
            left, right = (person.x for person in story.people)
            assert left.mean() + 50 < right.mean()
            assert left[0] < right[0]
            assert left[-1] > right[-1]
            assert story.people[0].covered.any()
            assert not story.people[1].covered.any()


def test_openpose_lists_people_in_shifting_order(demo: Path) -> None:
    pairs = [story for story in stories(videos=CRUMB, frames=FRAMES) if story.plan.openpose]
    assert [len(story.people) for story in pairs] == [2, 1, 2]
    firsts = set()
    for story in pairs:
        name, look = story.plan.video, draw_look(story, 0)
        folder = demo / "openpose" / f"{name}_openpose_body25" / "json"
        for frame in range(FRAMES):
            people = json.loads((folder / f"{name}_{frame:012d}_keypoints.json").read_text())["people"]
            seen = [i for i, person in enumerate(story.people) if not person.out[frame]]
            necks = [np.reshape(person["pose_keypoints_2d"], (25, 3))[1] for person in people]
            boxes = [person_box(look, look.figures[i], frame) for i in seen]
            inside = [[box[0] < neck[0] < box[2] for neck in necks] for box in boxes]
            assert len(people) == len(seen)
            assert all(any(row) for row in inside)
            if len(seen) == 2 and abs(necks[0][0] - necks[1][0]) > 100:
                nearest = np.argmin([abs(box[0] + box[2] - 2 * necks[0][0]) for box in boxes])
                firsts.add(int(nearest))
    assert firsts == {0, 1}


def test_truth_file_is_the_oracle_of_this_set(demo: Path) -> None:
    truth = json.loads((demo / "truth.json").read_text())
    assert truth == oracle.ceilings(plan_videos(CRUMB, FRAMES), 0, ALL)
