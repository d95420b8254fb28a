"""From raw videos to a data folder: what lies where, going on after a kill, and what is refused."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
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
from harness.data.tracking.person_boxes import person_boxes, read_boxes
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
