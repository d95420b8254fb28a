"""What is remembered of files is never older than the files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.data.affwild2 import cached_files
from harness.data.affwild2.build import build_index
from harness.data.decoding.probe_cache import video_digest
from harness.data.index.index import Index, Video
from harness.data.index.picture_folders import crop_frames
from harness.io import hashing, read_cache
from harness.io.read_cache import ReadCache
from plugins.editions import abaw10, abaw11
from tests.support.refusals import refused
from tests.support.trees import EIGHT, MTL_HEADER, VA_HEADER, small_va, write_lines, write_va
from zoo.tracks import TrackSpec

OLD = time.time() - 3600


def aged(*paths: Path, seconds: float = OLD) -> None:
    """Files and folders that have not been changed for long (their status has: see ``settled``)."""
    for path in paths:
        os.utime(path, (seconds, seconds))


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as old enough to be taken by their times; no waiting for two seconds."""
    monkeypatch.setattr("zoo.files.TICK", -(10**9))


class Reader:
    """Reads a text file's numbers, and counts how often."""

    def __init__(self) -> None:
        self.reads = 0

    def __call__(self, path: Path) -> dict[str, np.ndarray]:
        self.reads += 1
        return {"numbers": np.array([float(x) for x in path.read_text().split()]), "name": np.array([path.name])}


def ask(store: Path, path: Path, reader: Reader) -> list[float]:
    """The numbers as a new command gets them."""
    kept = ReadCache(store)
    found = kept.read(path, "numbers", lambda: reader(path))
    assert found["name"].tolist() == [path.name]
    assert not found["numbers"].flags.writeable
    kept.save()
    return list(found["numbers"])


@pytest.mark.usefixtures("settled")
def test_an_unchanged_file_is_read_once(tmp_path: Path) -> None:
    path, reader = write_lines(tmp_path / "a.txt", "1 2"), Reader()
    for _ in range(3):
        assert ask(tmp_path / "memo", path, reader) == [1, 2]
    assert reader.reads == 1


@pytest.mark.usefixtures("settled")
def test_a_file_whose_time_alone_changed_is_hashed_not_read(tmp_path: Path) -> None:
    path, reader = write_lines(tmp_path / "a.txt", "1 2"), Reader()
    ask(tmp_path / "memo", path, reader)
    aged(path)
    assert ask(tmp_path / "memo", path, reader) == [1, 2]
    assert reader.reads == 1


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("text", ["3 4", "1 2 3"])
def test_changed_content_is_read_again(tmp_path: Path, text: str) -> None:
    path, reader = write_lines(tmp_path / "a.txt", "1 2"), Reader()
    ask(tmp_path / "memo", path, reader)
    write_lines(path, text)
    assert ask(tmp_path / "memo", path, reader) == [float(x) for x in text.split()]


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("replace", [False, True])
def test_content_of_the_same_size_and_time_is_read_again(tmp_path: Path, replace: bool) -> None:
    """As ``cp -p`` and ``rsync -t`` leave it: the time of status, or the inode, is another."""
    path, reader = write_lines(tmp_path / "a.txt", "1 2"), Reader()
    aged(path)
    ask(tmp_path / "memo", path, reader)
    before = path.stat()
    target = tmp_path / "b.txt" if replace else path
    write_lines(target, "3 4")
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(target, path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert ask(tmp_path / "memo", path, reader) == [3, 4]


def test_a_file_that_was_just_written_is_not_taken_by_its_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change within one tick of a coarse clock shows in no time, size or inode."""
    path, reader = write_lines(tmp_path / "a.txt", "1 2"), Reader()
    fixed = read_cache.state_of(path)
    monkeypatch.setattr(read_cache, "state_of", lambda _: fixed)
    assert ask(tmp_path / "memo", path, reader) == [1, 2]
    write_lines(path, "3 4")
    assert ask(tmp_path / "memo", path, reader) == [3, 4]


@pytest.mark.usefixtures("settled")
def test_a_file_that_changes_while_it_is_read_is_not_remembered(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.txt", "1 2")
    kept = ReadCache(tmp_path / "memo")

    def read() -> dict[str, np.ndarray]:
        write_lines(path, "3 4 5")
        return {"numbers": np.array([1.0, 2.0])}

    kept.read(path, "numbers", read)
    kept.save()
    assert ask(tmp_path / "memo", path, Reader()) == [3, 4, 5]


@pytest.mark.usefixtures("settled")
def test_faults_are_not_remembered(tmp_path: Path) -> None:
    kept = ReadCache(tmp_path / "memo")
    path = write_lines(tmp_path / "a.txt", "x")
    for _ in range(2):
        with pytest.raises(ValueError, match="could not convert"):
            kept.read(path, "numbers", lambda: Reader()(path))
    with pytest.raises(FileNotFoundError):
        kept.read(tmp_path / "none", "numbers", lambda: Reader()(tmp_path / "none"))
    kept.save()
    assert not (tmp_path / "memo").exists()


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", ["every byte", "cut", "empty", "text", "folder"])
def test_a_damaged_memo_is_no_memo(tmp_path: Path, damage: str) -> None:
    path, reader, store = write_lines(tmp_path / "a.txt", "1 2"), Reader(), tmp_path / "memo"
    ask(store, path, reader)
    whole = store.read_bytes()
    damaged = {
        "every byte": [whole[:k] + bytes([whole[k] ^ 1]) + whole[k + 1 :] for k in range(len(whole))],
        "cut": [whole[:k] for k in range(0, len(whole), 7)],
        "empty": [b""],
        "text": [b"not a memo" * 100],
        "folder": [],
    }[damage]
    for content_ in damaged:
        store.write_bytes(content_)
        before = reader.reads
        assert ReadCache(store).read(path, "numbers", lambda: reader(path))["numbers"].tolist() == [1, 2]
        assert reader.reads == before + 1
    if damage == "folder":
        store.unlink()
        store.mkdir()
        with refused("file-not-written"):
            ask(store, path, reader)


@pytest.mark.usefixtures("settled")
def test_what_belongs_to_removed_files_goes(tmp_path: Path) -> None:
    paths = [write_lines(tmp_path / f"{k}.txt", f"{k}") for k in range(3)]
    for path in paths:
        ask(tmp_path / "memo", path, Reader())
    paths[0].unlink()
    write_lines(paths[1], "7")
    ask(tmp_path / "memo", paths[1], Reader())
    kept = (tmp_path / "memo").read_bytes()
    assert b"0.txt" not in kept
    reader = Reader()
    assert [ask(tmp_path / "memo", path, reader) for path in paths[1:]] == [[7], [2]]
    assert reader.reads == 0


# --- the index --------------------------------------------------------------------------------------------------------


def track(name: str) -> TrackSpec:
    return next(track for track in abaw10.EDITION.tracks if track.name == name)


def va(root: Path) -> Index:
    return build_index(root, abaw10.EDITION, track("va"))


def video(index: Index, name: str) -> Video:
    (found,) = [video for video in index.videos if video.name == name]
    return found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The files that were read since the last time this was asked."""
    seen: list[str] = []
    for name in ("read_frame_labels", "read_image_labels", "read_test_list", "picture_folder"):
        plain = getattr(cached_files, name)

        def spy(path: Path, *rest: object, plain: Callable[..., object] = plain) -> object:
            seen.append(path.name)
            return plain(path, *rest)

        monkeypatch.setattr(cached_files, name, spy)

    def asked() -> list[str]:
        now = sorted(seen)
        seen.clear()
        return now

    return asked


@pytest.mark.usefixtures("settled")
def test_an_index_reads_what_changed(tmp_path: Path, reads: Callable[[], list[str]]) -> None:
    root = small_va(tmp_path)
    first = va(root)
    assert len(reads()) == 3 + 1 + 4  # annotations, test list, folders of crops
    again = va(root)
    assert reads() == []
    assert again.fingerprint() == first.fingerprint()
    for one, two in zip(first.videos, again.videos, strict=True):
        np.testing.assert_array_equal(one.crop_frames, two.crop_frames)
        np.testing.assert_array_equal(one.labels, two.labels)

    folder = root / "annotations/VA_Estimation_Challenge"
    write_lines(folder / "Validation_Set/3.txt", VA_HEADER, *["0.5,0.75"] * 6)  # the size that it had
    assert video(va(root), "3").labels[0].tolist() == [0.5, 0.75]
    assert reads() == ["3.txt"]

    (root / "cropped_aligned/video1/00002.jpg").unlink()
    assert video(va(root), "video1").crop_frames.tolist() == [True, False, True, True, True]
    assert reads() == ["video1"]

    (folder / "Train_Set/video1.txt").unlink()
    write_va(folder, {"train": {"5": 2}})
    assert [v.name for v in va(root).split("train")] == ["2-30-640x360", "5"]
    assert reads() == ["5.txt"]

    aged(*folder.rglob("*.txt"))
    assert len(va(root).videos) == 4
    assert reads() == []

    write_lines(root / "CVPR_10th_ABAW_VA_test_set_example.txt", "image_location,valence,arousal", "4/00002.jpg,")
    assert video(va(root), "4").rows.tolist() == [False, True]
    assert reads() == ["CVPR_10th_ABAW_VA_test_set_example.txt"]


@pytest.mark.usefixtures("settled")
def test_tracks_do_not_share_what_a_file_means(tmp_path: Path) -> None:
    """The same file, once as eight classes and once as seven or another track's: rules are part of what is kept."""
    path = write_lines(tmp_path / "a.txt", EIGHT, "7", "-1")
    eight = cached_files.Files(tmp_path, track("expr"))
    assert eight.frame_labels(path)[0] == 7
    eight.save()
    with refused("annotation-header", file=path, name="va"):
        cached_files.Files(tmp_path, track("va")).frame_labels(path)


@pytest.mark.usefixtures("settled")
def test_image_lists_and_bare_lists_are_kept_whole(tmp_path: Path, reads: Callable[[], list[str]]) -> None:
    mtl = abaw11.EDITION.tracks[0]
    images = write_lines(
        tmp_path / "train.txt",
        MTL_HEADER,
        *(f"{v}/0000{k}.jpg,0.5,-5,{k},1,{','.join('0' * 11)}" for v in "ba" for k in (3, 1)),
    )
    names = write_lines(tmp_path / "names.txt", "video", "a", "b_left")
    found = []
    for _ in range(2):
        files = cached_files.Files(tmp_path, mtl)
        listed, official = files.image_labels(images), files.test_list(names)
        files.save()
        found.append(
            (
                listed.images.videos,
                listed.images.row_video.tolist(),
                listed.images.row_frame.tolist(),
                np.nan_to_num(listed.labels, nan=-9).tolist(),
                official.kind,
                official.videos,
                official.row_frame.tolist(),
            )
        )
    assert found[0] == found[1]
    assert found[0][:3] == (("b", "a"), [0, 0, 1, 1], [3, 1, 3, 1])
    assert found[0][4:] == ("names", ("a", "b_left"), [])
    assert reads() == ["names.txt", "train.txt"]


def test_an_index_that_cannot_be_kept_is_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file where the cache should be")
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    index = va(small_va(tmp_path / "data"))
    assert len(index.videos) == 4
    assert any("will read all annotations again" in note for note in index.notes)


# --- digests and time lines -------------------------------------------------------------------------------------------


def test_digests_of_new_files_are_not_trusted_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"one")
    fixed = read_cache.state_of(path)
    monkeypatch.setattr(hashing, "state_of", lambda _: fixed)
    first = hashing.file_digest(path)
    path.write_bytes(b"two")
    assert hashing.file_digest(path) != first


def test_a_video_that_is_gone_is_named(tmp_path: Path) -> None:
    video = tmp_path / "talk.mp4"
    video.symlink_to("nowhere")
    with refused("file-unreadable", file=video):
        video_digest(video)


def test_a_file_that_is_gone_once_it_is_read_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1")

    def read() -> read_cache.Arrays:
        path.unlink()
        return {"number": np.array(1.0)}

    memo = ReadCache(tmp_path / "memo")
    assert memo.read(path, "numbers", read)["number"] == 1.0
    memo.save()
    assert not (tmp_path / "memo").exists()
    memo.release()


@pytest.mark.usefixtures("settled")
def test_a_changed_crop_changes_the_digest_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.files.TICK", -(10**9))
    for name in ("00001.jpg", "00002.jpg"):
        (tmp_path / name).write_bytes(b"one")
    first = hashing.crops_digest(tmp_path)
    assert hashing.crops_digest(tmp_path) == first
    before = (tmp_path / "00002.jpg").stat()
    (tmp_path / "00002.jpg").write_bytes(b"two")
    os.utime(tmp_path / "00002.jpg", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hashing.crops_digest(tmp_path) != first
    assert crop_frames(tmp_path).tolist() == [1, 2]
