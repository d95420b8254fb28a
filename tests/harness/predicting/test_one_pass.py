"""One reading of a video predicts, bit for bit, what the same run predicts of `harness data crop` of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import harness
from harness.data.affwild2.build import index_videos
from harness.data.decoding.video import probe, read_frames
from harness.data.preprocessing.crop import crop_folder
from harness.predicting.media import open_input
from harness.predicting.models import RunModel
from harness.predicting.one_pass import predict_media
from harness.runs.job import Job
from harness.runs.preparation import predict_split, prepare
from plugins.encoders import blazepose, facemesh
from tests.harness.predicting.test_final_rows import Collected
from tests.support.carried import want
from tests.support.media import write_click_video
from zoo.api import VideoAnswers

QUICK = ("--epochs", 1, "--head", "gru")
ALL = ("--encoders", "face,portrait,body,context,frame,audio", "--fusion", "late", *QUICK)
TUNED = (
    "--encoders",
    "face,context,audio",
    "--fusion",
    "concat",
    "--finetune",
    "face",
    "--finetune",
    "context",
    *QUICK,
)
PEOPLE = ("--encoders", "face,portrait,body", "--fusion", "late", *QUICK)
TUNED_FACE = ("--encoders", "face,body", "--fusion", "concat", "--finetune", "face", *QUICK)


def by_folder(
    run: Path, model: RunModel, videos: list[Path], work: Path, settings: dict[str, Any] | None = None
) -> dict[str, VideoAnswers]:
    """What the run predicts of the data folder that `harness data crop` makes."""
    (work / "raw").mkdir(parents=True)
    for video in videos:
        (work / "raw" / video.name).symlink_to(video)
    crop_folder(work / "raw", work / "made", detector=model.detector, jobs=1, progress=False, options=settings)
    index = index_videos(work / "made", model.edition, model.track)
    job = Job(model.config, model.registry, model.edition, model.track, model.plan, index, "predict", False)
    prepared = prepare(job, weights=run / "weights.safetensors", progress=False)
    return {answer.video: model.chain.apply(answer) for answer in predict_split(job, prepared, "test")}


def assert_equal(run: Path, videos: list[Path], work: Path, settings: dict[str, Any] | None = None) -> dict[str, int]:
    """Both ways give the same bits, and so do rows as they come; how often each video was decoded."""
    model, readings = RunModel(run), {}
    there = by_folder(run, model, videos, work, settings)
    for video in videos:
        collected = Collected()
        got = predict_media(open_input(video, "video"), model, follower=collected, detector=settings)
        (person,), known = got.people, there[video.stem]
        collected.assert_equal(person)
        readings[video.stem] = got.readings
        for name, values in known.values.items():
            np.testing.assert_array_equal(person.predictions.values[name], values, err_msg=f"{video.stem} {name}")
        for slot, mask in known.present.items():
            np.testing.assert_array_equal(person.predictions.present[slot], mask, err_msg=f"{video.stem} {slot}")
        np.testing.assert_array_equal(person.predictions.times, known.times)
    return readings


def side_by_side(left: Path, right: Path, target: Path, frames: int) -> None:
    """Two videos in one picture, without sound."""
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = 640, 240, "yuv420p"
        for _, a, b in zip(range(frames), read_frames(left), read_frames(right), strict=False):
            both = np.concatenate([_small(a), _small(b)], axis=1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(both, format="rgb24")))
        out.mux(stream.encode(None))


def _small(frame: np.ndarray) -> np.ndarray:
    import cv2

    return np.asarray(cv2.resize(frame, (320, 240), interpolation=cv2.INTER_AREA))


def test_a_drawn_video(program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """No face in it: whole frames and sound."""
    run = program.kept("--encoders", "frame,audio", "--fusion", "late", *QUICK)
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    write_click_video(tmp_path / "a.mp4", n_frames=70, variable=True, sound_start=0.4)
    assert assert_equal(run, [tmp_path / "a.mp4"], tmp_path / "work") == {"a": 1}


@pytest.mark.slow
@pytest.mark.parametrize("settings", [ALL, TUNED])
def test_real_videos(  # type: ignore[no-untyped-def]
    program, real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: tuple[object, ...]
) -> None:
    run = program.kept("--track", "expr", *settings)
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    one, other = sorted((real / "videos").glob("01-*.mp4"))[:2]
    assert min(probe(one).n_frames, probe(other).n_frames) > 40
    videos = [tmp_path / f"{name}.mp4" for name in ("both", "both_left", "both_right")]
    side_by_side(one, other, videos[0], 40)
    for copy in videos[1:]:
        shutil.copy(videos[0], copy)
    readings = assert_equal(run, [one, *videos], tmp_path / "work")
    assert readings == {one.stem: 1, "both": 2, "both_left": 2, "both_right": 2}
    everybody = predict_media(open_input(videos[0], "video"), RunModel(run), everybody=True)
    assert [person.number for person in everybody.people] == [1, 2]
    left, right = (np.nanmean(person.face[:, [0, 2]]) for person in everybody.people)
    assert abs(left - right) > 200
    sides = [
        predict_media(open_input(copy, "video"), RunModel(run)).people[0].predictions.values for copy in videos[1:]
    ]
    for person, values in zip(everybody.people, sides if left < right else sides[::-1], strict=True):
        for name, expected in values.items():
            np.testing.assert_array_equal(person.predictions.values[name], expected)
    assert not np.array_equal(sides[0]["expression"], sides[1]["expression"])


@pytest.mark.slow
@pytest.mark.parametrize("settings", [PEOPLE, TUNED_FACE])
def test_frames_as_they_come_end_where_the_video_ends(  # type: ignore[no-untyped-def]
    program, real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: tuple[object, ...]
) -> None:
    """The last frame of a clip that is no longer than the network's sees the same frames and sound both ways."""
    run = harness.load(program.kept("--track", "expr", *settings))
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    one, other = sorted((real / "videos").glob("01-*.mp4"))[:2]
    side_by_side(one, other, tmp_path / "both.mp4", 24)
    whole = run.predict(tmp_path / "both.mp4").iloc[-1]
    predictor = run.predictor(rate=25)
    rows = [predictor(frame) for frame in read_frames(tmp_path / "both.mp4")]
    assert len(rows) == 24 <= predictor.length
    assert rows[-1]["present_face"]
    for name in rows[-1].keys() & set(whole.index):
        if isinstance(whole[name], str):
            assert rows[-1][name] == whole[name]
        else:
            assert rows[-1][name] == pytest.approx(whole[name], abs=1e-5), name


@pytest.mark.slow
def test_landmarks_and_pose_of_real_videos(  # type: ignore[no-untyped-def]
    program, real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    want(blazepose.card("pose", None), "ai_edge_litert")
    want(facemesh.card("landmarks", None), "ai_edge_litert")
    run = program.kept("--track", "expr", "--encoders", "landmarks,pose", "--fusion", "late", *QUICK)
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    one, other = sorted((real / "videos").glob("01-*.mp4"))[:2]
    videos = [tmp_path / f"{name}.mp4" for name in ("both", "both_left", "both_right")]
    side_by_side(one, other, videos[0], 30)
    for copy in videos[1:]:
        shutil.copy(videos[0], copy)
    readings = assert_equal(run, [one, *videos], tmp_path / "work")
    assert readings == {one.stem: 1, "both": 2, "both_left": 2, "both_right": 2}


@pytest.mark.slow
def test_a_real_video_with_boxes_by_pose(  # type: ignore[no-untyped-def]
    program, real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    want(blazepose.card("pose", None), "ai_edge_litert")
    want(blazepose.finder_card())
    run = program.kept("--track", "expr", "--encoders", "body,context", "--fusion", "late", *QUICK)
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    video = min((real / "videos").glob("01-*.mp4"))
    assert assert_equal(run, [video], tmp_path / "work", {"person": "blazepose"}) == {video.stem: 1}
    media, settings = open_input(video, "video"), {"person": "blazepose"}
    posed, rule = (predict_media(media, RunModel(run), detector=given) for given in (settings, None))
    assert posed.posed is not None
    assert posed.posed.share > 0.9
    assert rule.posed is None
    values = [one.people[0].predictions.values["expression"] for one in (posed, rule)]
    assert not np.array_equal(*values)
