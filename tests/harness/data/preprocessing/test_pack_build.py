"""``harness data pack`` and ``harness data verify``: what fails stops nothing, a kill costs what was under way, and no
broken file passes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock

from harness.data.decoding.audio import read_sound
from harness.data.decoding.jpeg import decode_jpeg
from harness.data.decoding.video import probe, read_frames
from harness.data.packed import writer
from harness.data.packed.metadata import read_label
from harness.data.packed.reader import Pictures, Samples
from harness.data.packed.writer import encode_jpeg
from harness.data.preprocessing import pack_build
from harness.data.preprocessing.pack_build import make_pack
from harness.data.preprocessing.pack_plan import Settings, plan
from harness.data.preprocessing.pack_verify import verify_pack
from harness.data.tracking.person_boxes import Boxes, write_boxes
from tests.support.refusals import Part, refused
from zoo.errors import FullDiskError

Answer = Callable[..., object]


@pytest.fixture
def data(program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # type: ignore[no-untyped-def]
    """A copy of the crumb set."""
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    root = tmp_path / "data"
    shutil.copytree(program.demo, root, symlinks=True)
    return root


def videos(root: Path) -> list[Path]:
    return sorted(p for p in root.rglob("*") if p.suffix in (".mp4", ".avi", ".mkv", ".webm"))


def ledger(pack: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (pack / "ledger.jsonl").read_text().splitlines()]


def fill(
    root: Path, pack: Path | None = None, streams: list[str] | None = None, size: int = 32
) -> list[pack_build.Outcome]:
    return make_pack(plan(root, streams), Settings(root, pack or root / "pack", size), jobs=1, progress=False)


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_one_bad_video_stops_no_other(program, data: Path, jobs: int) -> None:  # type: ignore[no-untyped-def]
    bad = videos(data)[0]
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2])
    crop = next((data / "cropped_aligned").glob("*/00003.jpg"))
    crop.write_bytes(crop.read_bytes()[:-40])
    answer = program("data", "pack", data, "--size", 32, "--jobs", jobs)
    answer.refused("pack-some-failed")
    assert f"failed: context/{bad.stem}" in answer.err
    assert f"failed: face/{crop.parent.name}: {crop}: " in answer.err
    failed = {(e["stream"], e["name"]): e["reason"] for e in ledger(data / "pack") if e["outcome"] == "failed"}
    assert ("face", crop.parent.name) in failed
    assert {stream for stream, _ in failed} == {"face", "body", "context", "audio"}
    assert all(str(bad) in str(reason) for (stream, _), reason in failed.items() if stream != "face")
    left = {p.stem for p in (data / "pack" / "context").glob("*.arrow")}
    assert len(left) == len(list((data / "pack" / "context").glob("*.json"))) > 3
    assert bad.stem not in left
    assert not list((data / "pack").glob("*/.*"))

    shutil.copyfile(program.demo / bad.relative_to(data), bad)
    shutil.copyfile(program.demo / crop.relative_to(data), crop)
    answer = program("data", "pack", data, "--size", 32, "--jobs", 1)
    assert answer.code == 0, answer.err
    packed = {(e["stream"], e["name"]) for e in ledger(data / "pack") if e["outcome"] == "packed"}
    assert failed.keys() <= packed
    answer = program("data", "verify", data, "--jobs", 1)
    assert (answer.code, "all as they were packed" in answer.out) == (0, True)


def test_what_cannot_be_packed_is_said_first(program, data: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for args, refusal in (
        (
            (data, "--streams", "hands"),
            refused("pack-stream-unknown", first="hands", names="face, body, context, audio"),
        ),
        ((tmp_path / "none",), refused("data-folder-missing", root=tmp_path / "none")),
        ((data, "--out", data / "README.txt"), refused("out-not-makeable", target=data / "README.txt")),
    ):
        answer = program("data", "pack", *args)
        assert answer.code == 2, answer.err
        refusal.check(answer.error)
    for folder in ("boxes", "openpose"):
        shutil.rmtree(data / folder, ignore_errors=True)
    answer = program("data", "pack", data, "--streams", "face,body")
    answer.refused("pack-stream-lacks", root=data, stream="body", lacks=Part("person boxes", "`harness data boxes"))
    shutil.rmtree(data / "cropped_aligned")
    program("data", "pack", data, "--streams", "face").refused(
        "pack-stream-lacks", root=data, lacks=Part("`harness data crop`")
    )
    answer = program("data", "pack", data, "--jobs", 1)
    assert answer.code == 0, answer.err
    assert {p.name for p in (data / "pack").iterdir()} == {"audio", "ledger.jsonl"}
    (tmp_path / "empty").mkdir()
    program("data", "pack", tmp_path / "empty").refused("pack-nothing", root=tmp_path / "empty")
    program("data", "verify", tmp_path / "empty").refused("pack-missing", pack=tmp_path / "empty" / "pack")


def test_people_without_boxes_are_failures_of_their_own(data: Path) -> None:
    for folder in (data / "openpose").glob("*"):
        shutil.rmtree(folder)
    lost = sorted((data / "boxes").glob("*.parquet"))[0]
    lost.unlink()
    outcomes = fill(data, streams=["body", "audio"])
    failed = [one for one in outcomes if one.outcome == "failed"]
    assert [(one.stream, one.name) for one in failed] == [("body", lost.stem)]
    assert "no person boxes" in failed[0].reason
    assert all(one.outcome == "packed" for one in outcomes if one not in failed)


# --- kills and full disks ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("labels", [1, 12])
def test_a_killed_pack_goes_on(data: Path, tmp_path: Path, labels: int) -> None:
    command = [sys.executable, "-m", "harness.cli", "data", "pack", str(data), "--jobs", "2", "--size", "160"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end and len(list(data.glob("pack/*/*.json"))) < labels:
        time.sleep(0.01)
    assert process.poll() is None, "it was done before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in data.glob("pack/*/*.json")}
    assert len(kept) >= labels
    count, findings = verify_pack(data, data / "pack", jobs=1, progress=False)
    assert count == len(kept)
    assert all("unfinished" in finding.fault for finding in findings)
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert verify_pack(data, data / "pack", jobs=1, progress=False)[1] == []
    assert not list((data / "pack").glob("*/.*"))
    whole = fill(data, tmp_path / "whole", size=160)
    assert len(whole) == len(list(data.glob("pack/*/*.json")))
    for one in whole:
        one_path, two_path = (p / one.stream / f"{one.name}.arrow" for p in (data / "pack", tmp_path / "whole"))
        assert one_path.read_bytes() == two_path.read_bytes()


def test_a_folder_that_another_process_packs_into_is_left_alone(data: Path) -> None:
    part = data / "pack" / "face" / ".video104.arrow.1"
    part.parent.mkdir(parents=True)
    part.touch()
    with FileLock(data / "pack" / ".lock"), refused("busy", message=Part("packs into this folder")):
        fill(data, streams=["face"])
    assert part.exists()
    assert list(data.glob("pack/*/*.json")) == []


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_stops_and_leaves_what_is_whole(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(data, streams=["audio"])
    fill(data, tmp_path / "other", streams=["context"])  # what the cache keeps of a video is there from now on
    before = {path: path.read_bytes() for path in (data / "pack").rglob("*.*") if path.is_file()}
    with monkeypatch.context() as patch:
        # Of the writer alone: what the cache notes of a file that is so new may be written at any time.
        patch.setattr(writer, "os", SimpleNamespace(**vars(os) | {"fsync": full}))
        with refused("pack-disk-full"):
            fill(data, streams=["context"])
    assert {path: path.read_bytes() for path in (data / "pack").rglob("*.*") if path.is_file()} == before
    assert all(one.outcome == "packed" for one in fill(data, streams=["context"]))


def test_a_full_disk_of_the_cache_stops_too(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FullDiskError, match="cache"):
        fill(data, streams=["context"])
    assert not (data / "pack" / "ledger.jsonl").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_disk_that_fills_while_rows_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "face").mkdir()
    (tmp_path / "face" / ".full").symlink_to("/dev/full")
    monkeypatch.setattr(writer, "part_name", lambda path: path.with_name(".full"))
    with writer.Writer(tmp_path, "face", "v", writer.PICTURES) as one:
        for _ in range(255):
            one.add(bytes(10_000))
        with pytest.raises(OSError, match="No space left") as caught:
            one.add(bytes(10_000))
    assert caught.value.errno == errno.ENOSPC
    assert list((tmp_path / "face").iterdir()) == []


def test_a_source_that_changes_meanwhile_is_not_packed(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changing = videos(data)[0]
    plain = pack_build.read_sound

    def read(path: Path, rate: int) -> object:
        sound = plain(path, rate)
        if path == changing:
            path.write_bytes(path.read_bytes() + b"more")
        return sound

    monkeypatch.setattr(pack_build, "read_sound", read)
    outcomes = fill(data, streams=["audio"])
    assert [one.name for one in outcomes if one.outcome == "failed"] == [changing.stem]
    assert "changed while it was packed" in next(one.reason for one in outcomes if one.outcome == "failed")


# --- verify -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("places", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_any_flipped_byte_is_found(program, data: Path, places: int) -> None:  # type: ignore[no-untyped-def]
    fill(data)
    rng = np.random.default_rng(0)
    paths = [next((data / "pack" / stream).glob("*.arrow")) for stream in ("face", "body", "context", "audio")]
    for path in paths:
        whole = path.read_bytes()
        for at in {0, len(whole) - 1, *rng.integers(0, len(whole), places).tolist()}:
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
            _, findings = verify_pack(data, data / "pack", jobs=1, progress=False)
            assert [(f.path, f.fault) for f in findings] == [(path, "damaged: its sha256 differs from its label")]
        path.write_bytes(whole)
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    answer = program("data", "verify", data, "--jobs", 1)
    assert answer.code == 1
    assert str(path) in answer.out
    assert "broken: 1 of" in answer.out
    assert program("data", "verify", data, "--jobs", 1, "--remove").code == 1
    assert not path.exists()
    assert program("data", "pack", data, "--size", 32, "--jobs", 1).code == 0
    assert path.read_bytes() == whole
    assert program("data", "verify", data, "--jobs", 1).code == 0


def test_verify_names_what_else_is_wrong(data: Path) -> None:
    fill(data, streams=["face", "audio"])
    faces = sorted((data / "pack" / "face").glob("*.json"))
    faces[0].write_text("{}")
    faces[1].unlink()
    faces[2].with_suffix(".arrow").unlink()
    faces[3].write_text(faces[4].read_text())
    sounds = sorted((data / "pack" / "audio").glob("*.json"))
    source = next(path for path in videos(data) if path.stem == sounds[0].stem)
    source.write_bytes(source.read_bytes() + b"more")
    _, findings = verify_pack(data, data / "pack", jobs=1, progress=False)
    faults = {finding.path.relative_to(data / "pack").as_posix(): finding.fault for finding in findings}
    assert faults.keys() == {f"audio/{sounds[0].stem}.arrow", *(f"face/{path.stem}.arrow" for path in faces[:4])}
    for place, said in enumerate(("label is damaged", "unfinished", "not there", "its label belongs to")):
        assert said in faults[f"face/{faces[place].stem}.arrow"]
    assert "has changed since it was packed" in faults[f"audio/{sounds[0].stem}.arrow"]


# --- real videos ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_real_videos(real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "data"
    (root / "videos").mkdir(parents=True)
    chosen = sorted((real / "videos").glob("0*.mp4"))[:2]
    for path in chosen:
        (root / "videos" / path.name).symlink_to(path)
        info = probe(path)
        box = np.tile(np.float32([info.width / 4, 10, info.width / 2, info.height - 10]), (info.n_frames, 1))
        box[5] = np.nan
        write_boxes(root / "boxes" / f"{path.stem}.parquet", Boxes(box, box, box[:, 0], "by hand"))
    assert all(one.outcome == "packed" for one in fill(root, size=112))
    for path in chosen:
        labels = {stream: read_label(root / "pack", stream, path.stem) for stream in ("context", "body", "audio")}
        sound, packed = read_sound(path, 16_000), Samples(root / "pack", labels["audio"])
        assert sound is not None
        assert packed.start == sound.start
        np.testing.assert_allclose(packed.samples / 32767, sound.samples, atol=0.51 / 32767)
        scene = Pictures(root / "pack", labels["context"])
        assert scene.present(10).tolist() == [True] * 5 + [False] + [True] * 4
        assert labels["context"].rows == probe(path).n_frames == sum(1 for _ in read_frames(path))
        scene.fill(np.array([0]), [first := np.empty((112, 112, 3), np.uint8)])
        np.testing.assert_array_equal(first, decode_jpeg(scene.jpeg(0)))


def test_stored_pictures_keep_their_colours() -> None:
    """With half the colour resolution, a line of pure red on blue is off by far more."""
    import cv2

    image = np.zeros((112, 112, 3), np.uint8)
    image[..., 2], image[:, ::2, 0] = 255, 255
    data = np.frombuffer(encode_jpeg(image, 95), np.uint8)
    assert np.abs(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB).astype(int) - image).mean() < 3
    halved = cv2.imdecode(
        cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1], cv2.IMREAD_COLOR_RGB
    )
    assert np.abs(halved.astype(int) - image).mean() > 30
