"""From raw videos to a data folder: what lies where, going on after a kill, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from harness.data.affwild2.raw_video_names import raw_people
from harness.data.decoding.jpeg import read_jpeg
from harness.data.decoding.probe_cache import video_size
from harness.data.decoding.video import probe
from harness.data.preprocessing.alignment import TEMPLATE
from harness.data.preprocessing.crop import CropReport, crop_folder
from harness.data.streams.transcripts import find_transcript
from harness.data.tracking.person_boxes import make_boxes, person_boxes, read_boxes, write_boxes
from tests.support.media import write_click_video
from tests.support.refusals import Part, refused
from tests.support.squares import MARKS, spec, still, write_squares


def crop(raw: Path, out: Path, **options) -> CropReport:
    return crop_folder(raw, out, detector=spec(portable=False), progress=False, **options)


def annotate(raw: Path, *names: str, folder: str = "annotations/VA_Estimation_Challenge") -> None:
    for name in names:
        path = raw / folder / "Train_Set" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("valence,arousal\n0,0\n")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    write_squares(raw / "videos" / "one.mp4", [still(100, hidden=range(10, 14))])
    write_squares(raw / "deep" / "er" / "two.mov", [still(40), still(220)], n_frames=10)
    write_squares(raw / "none.mkv", [], n_frames=6)
    annotate(raw, "one", "two_left", "two_right")
    (raw / "groups.csv").write_text("video,group\none,x\n")
    (raw / "lists").mkdir()
    (raw / "lists" / "VA_test_set_release.txt").write_text("none\n")
    return raw


def numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.iterdir())


def test_a_complete_data_folder(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = crop(raw, out)
    assert report.found == {"none": (6, 0), "one": (30, 26), "two_left": (10, 10), "two_right": (10, 10)}
    assert (report.skipped, list(report.failures)) == (0, [])
    crops = out / "cropped_aligned"
    assert sorted(path.name for path in crops.iterdir()) == ["one", "two_left", "two_right"]
    assert numbers(crops / "one") == [*range(1, 11), *range(15, 31)]
    assert all(len(path.name) == len("00001.jpg") for path in (crops / "one").iterdir())
    assert sorted(path.stem for path in (out / "boxes").iterdir()) == ["none", "one", "two_left", "two_right"]
    assert (out / "videos" / "one.mp4").resolve() == raw / "videos" / "one.mp4"
    copied = out / "annotations" / "VA_Estimation_Challenge" / "Train_Set" / "two_left.txt"
    assert copied.read_text() == "valence,arousal\n0,0\n"
    assert not copied.is_symlink()
    assert (out / "annotations" / "lists" / "VA_test_set_release.txt").read_text() == "none\n"
    assert (out / "groups.csv").is_file()
    assert "none: no face in 6 frames" in str(report)


def test_crops_are_aligned_and_of_the_right_person(raw: Path, tmp_path: Path) -> None:
    """The square lands on the template as its five marks do, as bright as its owner is."""
    crop(raw, tmp_path / "out")
    side = (TEMPLATE[:, 0].std() / MARKS[:, 0].std() + TEMPLATE[:, 1].std() / MARKS[:, 1].std()) / 2
    for name, brightness in (("two_left", 200), ("two_right", 230)):
        image = read_jpeg(tmp_path / "out" / "cropped_aligned" / name / "00003.jpg")
        assert image.shape == (112, 112, 3)
        inside = image.max(axis=2) > 100
        assert inside.sum() == pytest.approx(min(side, 112) ** 2, rel=0.1)
        assert np.median(image[inside]) == pytest.approx(brightness, abs=4)
        boxes = read_boxes(tmp_path / "out" / "boxes" / f"{name}.parquet")
        np.testing.assert_allclose(boxes.face[:, 0], 40 if name == "two_left" else 220, atol=1)


def test_again_does_nothing_and_a_removed_folder_is_made_again(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    crop(raw, out)
    kept = out / "cropped_aligned" / "one" / "00001.jpg"
    before = kept.stat().st_mtime_ns
    for path in (out / "cropped_aligned" / "two_left").iterdir():
        path.unlink()
    (out / "cropped_aligned" / "two_left").rmdir()
    report = crop(raw, out)
    assert report.skipped == 2
    assert len(report.found) == 4
    assert kept.stat().st_mtime_ns == before
    assert numbers(out / "cropped_aligned" / "two_left") == list(range(1, 11))


def test_links_become_copies_when_asked(raw: Path, tmp_path: Path) -> None:
    crop(raw, tmp_path / "out", link=False)
    copy = tmp_path / "out" / "videos" / "two.mov"
    assert not copy.is_symlink()
    assert copy.read_bytes() == (raw / "deep" / "er" / "two.mov").read_bytes()


def test_a_bad_video_is_reported_and_left_out(raw: Path, tmp_path: Path) -> None:
    whole = (raw / "videos" / "one.mp4").read_bytes()
    (raw / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (raw / "zero.mp4").write_bytes(b"")
    report = crop(raw, tmp_path / "out")
    assert [Path(failure.item).name for failure in report.failures] == ["cut.mp4", "zero.mp4"]
    assert "0 bytes" in str(report.failures[1])
    assert len(report.found) == 4
    assert not (tmp_path / "out" / "videos" / "cut.mp4").is_symlink()
    assert not (tmp_path / "out" / "boxes" / "cut.parquet").exists()
    (raw / "cut.mp4").write_bytes(whole)
    (raw / "zero.mp4").unlink()
    report = crop(raw, tmp_path / "out")
    assert report.found["cut"] == (30, 26)
    assert report.skipped == 3


def test_what_is_no_video_is_named_and_counted(raw: Path, tmp_path: Path) -> None:
    shutil.move(raw / "none.mkv", raw / "none.MK3D")
    for name in ("poster.JPG", "cover.png", "song.mp3"):
        (raw / name).touch()
    report = crop(raw, tmp_path / "out")
    assert sorted(report.found) == ["none", "one", "two_left", "two_right"]
    assert "left out, not videos (still image): 2 (cover.png, poster.JPG)" in str(report)
    assert "left out, not videos (sound): 1 (song.mp3)" in str(report)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").touch()
    with refused("crop-no-videos", raw=tmp_path / "pictures", left=Part("(still image): 1 (a.png)")):
        crop(tmp_path / "pictures", tmp_path / "out2")


def test_boxes_and_pictures_are_of_the_shape_that_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels 2:1: what is found and kept is in square pixels, and boxes of before are refused, then made again."""
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    path, out = tmp_path / "raw" / "one.mp4", tmp_path / "out"
    write_squares(path, [still(100)], n_frames=4)
    crop(path.parent, out)
    with av.open(str(path)) as old, av.open(str(path.with_name("wide.mp4")), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    path.with_name("wide.mp4").replace(path)
    width, height = probe(path).width, probe(path).height
    before = read_boxes(out / "boxes" / "one.parquet")
    with refused("boxes-outdated", file=out / "boxes" / "one.parquet"):
        person_boxes(out, "one", path, 4)
    assert crop(path.parent, out).skipped == 0
    boxes = person_boxes(out, "one", path, 4)
    assert boxes is not None
    np.testing.assert_allclose(boxes.face[:, ::2], 2 * before.face[:, ::2], atol=4)
    np.testing.assert_allclose(boxes.face[:, 1::2], before.face[:, 1::2], atol=2)
    assert boxes.person[:, 2].max() <= width
    assert video_size(out / "videos" / "one.mp4") == (width, height)


def test_a_video_with_new_content_is_cropped_again(raw: Path, tmp_path: Path) -> None:
    out, video = tmp_path / "out", raw / "videos" / "one.mp4"
    crop(raw, out, link=False)
    other = out / "boxes" / "two_left.parquet"
    before = other.stat().st_mtime_ns
    write_squares(video, [still(240, hidden=range(20, 30))])
    with refused("boxes-of-other-video", file=out / "boxes" / "one.parquet", video=video):
        person_boxes(out, "one", video, 30)
    report = crop(raw, out, link=False)
    assert (report.skipped, report.found["one"]) == (2, (30, 20))
    assert numbers(out / "cropped_aligned" / "one") == list(range(1, 21))
    boxes = person_boxes(out, "one", video, 30)
    assert boxes is not None
    np.testing.assert_allclose(boxes.face[:20, 0], 240, atol=1)
    assert (out / "videos" / "one.mp4").read_bytes() == video.read_bytes()
    assert other.stat().st_mtime_ns == before
    assert crop(raw, out, link=False).skipped == 3


def test_boxes_made_again_do_not_stand_for_old_crops(raw: Path, tmp_path: Path) -> None:
    out, video = tmp_path / "out", raw / "videos" / "one.mp4"
    crop(raw, out)
    write_squares(video, [still(240, hidden=range(20, 30))])
    assert make_boxes(out, raw_people(out), spec(portable=False), progress=False) == []
    assert crop(raw, out).skipped == 2
    assert numbers(out / "cropped_aligned" / "one") == list(range(1, 21))
    assert crop(raw, out).skipped == 3


def test_boxes_that_do_not_name_their_video_stay(raw: Path, tmp_path: Path) -> None:
    out, video = tmp_path / "out", raw / "videos" / "one.mp4"
    crop(raw, out)
    path = out / "boxes" / "one.parquet"
    write_boxes(path, replace(read_boxes(path), content=""))
    write_squares(video, [still(240)])
    assert crop(raw, out).skipped == 3
    assert person_boxes(out, "one", video, 30) is not None


def test_videos_of_finished_crops_are_placed_again(raw: Path, tmp_path: Path) -> None:
    """The copy was damaged, the link leads nowhere, and of one video the container is another now."""
    out, video = tmp_path / "out", raw / "videos" / "one.mp4"
    crop(raw, out, link=False)
    copied = out / "videos" / "one.mp4"
    copied.write_bytes(copied.read_bytes()[:-1] + b"?")
    assert crop(raw, out, link=False).skipped == 3
    assert copied.read_bytes() == video.read_bytes()
    linked = out / "videos" / "none.mkv"
    linked.unlink()
    linked.symlink_to(raw / "gone.mkv")
    assert crop(raw, out).skipped == 3
    assert linked.resolve() == raw / "none.mkv"
    video.unlink()
    write_squares(raw / "one.avi", [still(60)])
    (raw / "none.mkv").rename(raw / "none.mov")
    (out / "videos" / "two.txt").write_text("mine")
    crop(raw, out)
    assert sorted(path.name for path in (out / "videos").iterdir()) == ["none.mov", "one.avi", "two.mov", "two.txt"]


def test_a_video_of_that_very_name_is_another_video(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    write_squares(raw / "talk.mp4", [still(40), still(220)], n_frames=10)
    write_squares(raw / "talk_left.mp4", [still(150)], n_frames=6)
    annotate(raw, "talk_left", "talk_right")
    assert {path.stem: names for names, path in raw_people(raw)} == {
        "talk": ("talk_right",),
        "talk_left": ("talk_left",),
    }
    assert crop(raw, out).found == {"talk_left": (6, 6), "talk_right": (10, 10)}


def test_annotation_sets_are_not_merged(raw: Path, tmp_path: Path) -> None:
    annotate(raw, "one", folder="second/annotations/VA_Estimation_Challenge")
    crop(raw, tmp_path / "out")  # the same content twice
    second = raw / "second" / "annotations" / "VA_Estimation_Challenge" / "Train_Set" / "one.txt"
    second.write_text("valence,arousal\n0.5,0.5\n")
    with refused("crop-same-text", target="annotations/VA_Estimation_Challenge/Train_Set/one.txt") as caught:
        crop(raw, tmp_path / "out2")
    assert str(second) in str(caught.value)
    assert str(raw / "annotations" / "VA_Estimation_Challenge" / "Train_Set" / "one.txt") in str(caught.value)
    assert not (tmp_path / "out2").exists()


def test_copies_whose_originals_are_gone_are_removed(raw: Path, tmp_path: Path) -> None:
    out, where = tmp_path / "out", Path("annotations", "VA_Estimation_Challenge")
    crop(raw, out)
    (raw / where / "Validation_Set").mkdir()
    for name in ("one", "two_left"):
        (raw / where / "Train_Set" / f"{name}.txt").rename(raw / where / "Validation_Set" / f"{name}.txt")
    (raw / "lists" / "VA_test_set_release.txt").unlink()
    (raw / "groups.csv").unlink()
    mine = out / where / "Train_Set" / "mine.txt"
    mine.write_text("valence,arousal\n1,1\n")
    (out / where / "Train_Set" / "two_left.txt").write_text("changed by hand")
    crop(raw, out)
    assert sorted(path.name for path in mine.parent.iterdir()) == ["mine.txt", "two_left.txt", "two_right.txt"]
    assert sorted(path.name for path in (out / where / "Validation_Set").iterdir()) == ["one.txt", "two_left.txt"]
    assert not (out / "annotations" / "lists").exists()
    assert not (out / "groups.csv").exists()


def test_a_mark_of_an_earlier_version_is_read(raw: Path, tmp_path: Path) -> None:
    crop(raw, tmp_path / "out")
    mark = tmp_path / "out" / "crop.json"
    mark.write_text(json.dumps({"raw": str(raw)}))
    assert crop(raw, tmp_path / "out").skipped == 3
    mark.write_text(json.dumps({"raw": str(raw), "copied": 3}))
    with refused("crop-mark-damaged", mark=mark):
        crop(raw, tmp_path / "out")


@pytest.mark.parametrize("link", [True, False])
def test_spoken_words_come_along(raw: Path, tmp_path: Path, link: bool) -> None:
    out = tmp_path / "out"
    (raw / "transcripts").mkdir()
    (raw / "transcripts" / "one.json").write_text("{}")
    (raw / "deep" / "er" / "two.SRT").write_text("both")
    (raw / "none.vtt").write_text("theirs")
    (raw / "none.srt").write_text("theirs")
    crop(raw, out, link=link)
    for name, video, file in (("one", "one.mp4", "one.json"), ("two_right", "two.mov", "two.SRT")):
        assert find_transcript(out, name, out / "videos" / video) == out / "transcripts" / file
    with refused("transcript-twice", name="none"):  # as in the raw folder
        find_transcript(out, "none", out / "videos" / "none.mkv")
    (raw / "none.vtt").unlink()
    (raw / "none.srt").unlink()
    own = out / "transcripts" / "two.csv"
    (out / "transcripts" / "two.SRT").rename(own)
    crop(raw, out, link=link)
    (out / "transcripts" / "one.json").unlink()
    crop(raw, out, link=link)
    assert sorted(path.name for path in own.parent.iterdir()) == ["one.json", "two.csv"]


def test_videos_in_folders_that_are_not_read_are_named_and_counted(raw: Path, tmp_path: Path) -> None:
    for folder in ("cropped_clips", "openpose_videos/x", "a/b/c/d/e", "a/b/c/d/e/f/g"):
        (raw / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(raw / "none.mkv", raw / folder / f"{folder.replace('/', '')}.mkv")
    (raw / "cropped_clips" / ".hidden.mkv").touch()
    (raw / "cropped_clips" / "1.jpg").touch()
    report = crop(raw, tmp_path / "out")
    assert sorted(report.found) == ["abcde", "none", "one", "two_left", "two_right"]
    closed = "cropped_clips/cropped_clips.mkv, openpose_videos/x/openpose_videosx.mkv"
    assert f"left out, videos in folders whose names begin with cropped or openpose: 2 ({closed})" in str(report)
    assert "left out, videos more than 5 folders deep: 1 (a/b/c/d/e/f/g/abcdefg.mkv)" in str(report)
    (tmp_path / "clips" / "cropped_clips").mkdir(parents=True)
    shutil.copy(raw / "none.mkv", tmp_path / "clips" / "cropped_clips")
    with refused("crop-no-videos", left=Part("1 (cropped_clips/none.mkv)")):
        crop(tmp_path / "clips", tmp_path / "out2")


def test_what_is_refused(raw: Path, tmp_path: Path) -> None:
    for out in (raw / "out", raw, tmp_path):
        with refused("crop-folders-nested"):
            crop(raw, out)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("precious")
    with refused("crop-out-exists"):
        crop(raw, other)
    assert [path.name for path in other.iterdir()] == ["thesis.tex"]
    with refused("crop-no-videos"):
        crop(other, tmp_path / "out")
    crop(raw, tmp_path / "out")
    second = tmp_path / "second"
    write_squares(second / "a.mp4", [still(50)], n_frames=3)
    with refused("crop-out-of-other-data"):
        crop(second, tmp_path / "out")
    write_squares(second / "b" / "a.mkv", [still(50)], n_frames=3)
    with refused("crop-same-stem", stem="a"):
        crop(second, tmp_path / "out2")
    assert not (tmp_path / "out2").exists()


def test_a_name_that_is_too_long_is_refused_before_anything_is_made(raw: Path, tmp_path: Path) -> None:
    long = raw / ("x" * 230 + ".mp4")
    (raw / "none.mkv").rename(long)
    with refused("name-too-long", file=long, excess=6):
        crop(raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_from_lists_annotations_and_crops(raw: Path) -> None:
    write_click_video(raw / "video59.mp4", n_frames=2, click_frame=0)
    annotate(raw, "video59", "video59_right", folder="annotations/AU_Detection_Challenge")
    write_click_video(raw / "listed.mp4", n_frames=2, click_frame=0)
    (raw / "lists" / "MTL_test.txt").write_text("image\nlisted_left/00001.jpg,\nlisted_left/00002.jpg,\n")
    write_click_video(raw / "shot.mp4", n_frames=2, click_frame=0)
    (raw / "cropped_aligned" / "shot_right").mkdir(parents=True)
    names = {path.stem: names for names, path in raw_people(raw)}
    assert names == {
        "one": ("one",),
        "two": ("two_left", "two_right"),
        "none": ("none",),
        "video59": ("video59", "video59_right"),
        "listed": ("listed_left",),
        "shot": ("shot_right",),
    }


SCRIPT = """
from pathlib import Path
from tests.support.squares import spec
from harness.data.preprocessing.crop import crop_folder
if __name__ == "__main__":
    crop_folder(Path({raw!r}), Path({out!r}), detector=spec(), jobs=2, progress=False, options={{"folder": {raw!r}}})
"""


@pytest.mark.slow
def test_killed_and_started_again_ends_as_if_never_killed(tmp_path: Path) -> None:
    raw, out, whole = tmp_path / "raw", tmp_path / "out", tmp_path / "whole"
    for k in range(3):
        write_squares(raw / f"v{k}.mp4", [still(40 + 20 * k)], n_frames=60 if k == 0 else 20)
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(raw=str(raw), out=str(out)))
    (raw / "slow").touch()
    process = subprocess.Popen([sys.executable, str(script)])
    deadline = time.time() + 60
    while not list(out.glob("boxes/*.parquet")) and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (raw / "slow").unlink()
    finished = {path.stem: path.stat().st_mtime_ns for path in out.glob("boxes/*.parquet")}
    assert 1 <= len(finished) < 3
    report = crop(raw, out, options={"folder": str(raw)})
    assert report.skipped == len(finished)
    for name, stamp in finished.items():
        assert (out / "boxes" / f"{name}.parquet").stat().st_mtime_ns == stamp
    crop(raw, whole, options={"folder": str(raw)})
    assert content(out) == content(whole)
    assert not (out / ".partial").exists()


def content(folder: Path) -> dict[str, bytes]:
    paths = [Path(base) / name for base, _, names in os.walk(folder) for name in names]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_real_videos(real: Path, tmp_path: Path) -> None:
    """One video of each kind by the real detector: no sound, and no face at all."""
    from plugins.detectors import detectors

    raw = tmp_path / "raw"
    raw.mkdir()
    for name in ("no_audio.mp4", "no_face.mp4"):
        (raw / name).symlink_to(real / "odd" / name)
    report = crop_folder(raw, tmp_path / "out", detector=detectors()[0], jobs=1, progress=False, options={"size": 160})
    assert report.found == {"no_audio": (115, 115), "no_face": (95, 0)}
    folder = tmp_path / "out" / "cropped_aligned" / "no_audio"
    assert len(list(folder.iterdir())) == 115
    image = read_jpeg(folder / "00001.jpg")
    assert image.shape == (112, 112, 3)
    assert image.std() > 30
