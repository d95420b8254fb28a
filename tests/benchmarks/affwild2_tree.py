"""A full-size Aff-Wild2 tree of names, counts and tiny files: 594 videos, 3 million frames, no picture of anybody.

Every published figure of editions 10 and 11 is met, so `harness data doctor` must find it clean. Videos of one length
share their crops and their raw file through links, as the real ones are the same to a reader of names and counts.

    python tests/benchmarks/affwild2_tree.py DIR      writes the tree, then times an index of each track
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from harness.data.affwild2.build import build_index
from plugins.editions import abaw10, abaw11
from zoo.tracks import TrackSpec

SETS = {"a": (162, 5724), "b": (228, 4485), "c": (141, 5175), "d": (63, 6000)}
"""Videos and raw frames of each: the test videos of VA, EXPR and AU, and the rest."""

_CODEC = {".mp4": "aac", ".avi": "mp3"}
MISSING = 0.022  # share of the frames without a crop
PEOPLE = 10  # of each set, so many names are the left and right persons of two-person videos


@dataclass(frozen=True)
class Name:
    """One annotated name; ``video`` and ``crops``: the files it is linked to; ``cropped`` (frames,) bool."""

    name: str
    raw: str
    video: str
    crops: str
    frames: int
    cropped: np.ndarray


def write_tree(root: Path) -> None:
    """Write the tree into a new folder, and the files that it links to into ``<root>_files`` beside it."""
    sets = {key: list(_names(key, count, frames)) for key, (count, frames) in SETS.items()}
    a, b, c, d = sets.values()
    _write_media(root, [*a, *b, *c, *d])
    for track, split in (
        (abaw10.EDITION.tracks[0], {"train": [*b, *c[76:], *d], "val": c[:76], "test": a}),
        (abaw10.EDITION.tracks[1], {"train": [*a[70:], *c, *d[:15]], "val": a[:70], "test": b}),
        (abaw10.EDITION.tracks[2], {"train": [*a, *b[105:], *d[:10]], "val": b[:105], "test": c}),
    ):
        for name, folder in (("train", "Train_Set"), ("val", "Validation_Set")):
            _write_labels(root / "10th_ABAW_Annotations" / track.folders[-1] / folder, track, name, split[name])
        _write_rows(root / "test_set_examples", track, split["test"])
    _write_images(root / "MTL_Challenge", abaw11.EDITION.tracks[0], {"train": [*b, *d], "val": c, "test": a})


def _names(key: str, count: int, frames: int) -> Iterator[Name]:
    """Every third a ``video<k>``, the others ``<k>-30-640x360``; the first ones left and right persons."""
    for k in range(count):
        number = 1000 * (1 + "abcd".index(key)) + k
        late = bool(k % 2)
        raw, side = f"{number}-30-640x360" if k % 3 else f"video{number}", ""
        video = f"{key}.avi" if late else f"{key}.mp4"
        if k < PEOPLE:
            raw, side, video = f"video{number - k % 2}", ("_left", "_right")[k % 2], f"{key}.mp4"
        yield Name(raw + side, raw, video, f"crops_{key}_{late}", frames, _cropped(frames, late))


def _cropped(frames: int, late: bool) -> np.ndarray:
    """Where crops are: missing in a stretch early or late in the video."""
    cropped = np.ones(frames, bool)
    gap = round(MISSING * frames)
    first = frames - 2 * gap if late else gap
    cropped[first : first + gap] = False
    return cropped


# --- crops and raw videos --------------------------------------------------------------------------------------------


def _write_media(root: Path, names: list[Name]) -> None:
    files = root.with_name(root.name + "_files")
    files.mkdir(parents=True)
    for one in {one.crops: one for one in names}.values():
        folder = files / one.crops
        folder.mkdir()
        first, *others = (folder / f"{frame:05d}.jpg" for frame in np.flatnonzero(one.cropped) + 1)
        first.touch()
        for crop in others:  # linking a file is many times faster than making one
            os.link(first, crop)
    for one in {one.video: one for one in names}.values():
        write_video(files / one.video, one.frames)
    for part in ("cropped_aligned", "cropped_aligned_new_50_vids", "batch1", "batch2"):
        (root / part).mkdir(parents=True)
    for place, one in enumerate(names):
        crops = root / ("cropped_aligned_new_50_vids" if place < 50 else "cropped_aligned")
        (crops / one.name).symlink_to(files / one.crops, target_is_directory=True)
    for place, (stem, file) in enumerate({one.raw: one.video for one in names}.items()):
        (root / f"batch{1 + place % 2}" / (stem + Path(file).suffix)).symlink_to(files / file)


def write_video(path: Path, frames: int, *, rate: int = 30, sound: bool = True) -> None:
    """A video of grey 16x16 pictures with silence (or no ``sound``), .mp4 or .avi."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=rate)
        picture.width = picture.height = 16
        picture.pix_fmt = "yuv420p"
        voice: Any = container.add_stream(_CODEC[path.suffix], rate=16_000, layout="mono") if sound else None
        grey = av.VideoFrame.from_ndarray(np.full((24, 16), 128, np.uint8), format="yuv420p")
        for k in range(frames):
            grey.pts, grey.time_base = k, Fraction(1, rate)
            container.mux(picture.encode(grey))
        container.mux(picture.encode(None))
        if voice is not None:
            for start in range(0, 16_000 * frames // rate, 1152):
                silence = av.AudioFrame(format=voice.codec_context.format.name, layout="mono", samples=1152)
                silence.planes[0].update(bytes(silence.planes[0].buffer_size))
                silence.sample_rate, silence.pts, silence.time_base = 16_000, start, Fraction(1, 16_000)
                container.mux(voice.encode(silence))
            container.mux(voice.encode(None))


# --- annotations -----------------------------------------------------------------------------------------------------


def _write_labels(folder: Path, track: TrackSpec, split: str, names: list[Name]) -> None:
    """One file a name. Labels lie on so many frames with and without a crop as were published."""
    folder.mkdir(parents=True)
    published = track.figures[f"labelled_with_crop_{split}"]
    with_crop = published[0] if isinstance(published, tuple) else published
    labelled = track.figures[f"labelled_{split}"] or with_crop + 10_000
    on = _shares(with_crop, [int(one.cropped.sum()) for one in names])
    off = _shares(labelled - with_crop, [int((~one.cropped).sum()) for one in names])
    classes = _classes(track.figures.get(f"class_counts_with_crop_{split}"))
    pool, none = _lines(track)
    for place, one in enumerate(names):
        line = np.full(one.frames + place % 3 - 1, none, object)  # one less than the video, as many, or one more
        chosen = np.flatnonzero(one.cropped[:-1])[: on[place]]
        bare = np.flatnonzero(~one.cropped)[: off[place]]
        line[chosen] = [next(classes) for _ in chosen] if classes else pool[chosen % len(pool)]
        line[bare] = pool[0]
        (folder / f"{one.name}.txt").write_text(track.headers[0] + "\n" + "\n".join(line) + "\n")


def _lines(track: TrackSpec) -> tuple[np.ndarray, str]:
    """Some lines with labels, and the line without."""
    rng = np.random.default_rng(0)
    columns = []
    for answer in track.answers:
        if answer.kind == "value":
            columns.append([f"{x:.3f}" for x in rng.uniform(-1, 1, 997)])
        else:
            columns.append([str(x) for x in rng.integers(0, 2, 997)])
    none = ",".join(f"{answer.invalid:g}" for answer in track.answers)
    return np.array([",".join(row) for row in zip(*columns, strict=True)], object), none


def _classes(counts: Mapping[str, int] | None) -> Iterator[str] | None:
    if counts is None:
        return None
    ids = np.repeat(np.arange(len(counts)), list(counts.values()))
    shuffled: list[str] = np.random.default_rng(1).permutation(ids).astype(str).tolist()
    return iter(shuffled)


def _shares(total: int, room: list[int]) -> list[int]:
    """Spread a total over places in proportion to their room, exactly."""
    room = [r - 1 for r in room]
    assert total <= sum(room), (total, sum(room))
    ends = np.round(np.cumsum(room) * (total / sum(room))).astype(int)
    return [int(n) for n in np.diff(ends, prepend=0)]


# --- test lists and image lists --------------------------------------------------------------------------------------


def _write_rows(folder: Path, track: TrackSpec, names: list[Name]) -> None:
    """The example file: all frames of all test videos, for some one more or less than their raw videos have."""
    folder.mkdir(exist_ok=True)
    rows = np.array([one.frames for one in names])
    surplus = track.figures["test_rows"] - int(rows.sum())
    assert abs(surplus) <= len(rows)
    rows[: abs(surplus)] += np.sign(surplus)
    dummy = "," * (2 if track.name == "va" else 1)
    with (folder / f"CVPR_10th_ABAW_{track.name.upper()}_test_set_example.txt").open("w") as file:
        file.write(track.submission_header + "\n")
        for one, n in zip(names, rows, strict=True):
            file.writelines(f"{one.name}/{k:05d}.jpg{dummy}\n" for k in range(1, n + 1))


def _write_images(folder: Path, track: TrackSpec, splits: Mapping[str, list[Name]]) -> None:
    """The lists of s-Aff-Wild2: every so many frames that have a crop."""
    folder.mkdir()
    files = {"train": "training_set_annotations.txt", "val": "validation_set_annotations.txt"}
    for split, file in files.items():
        counts = track.figures[f"class_counts_{split}"]
        classes = [*(_classes(counts) or ()), *["-1"] * (track.figures[f"labelled_{split}"] - sum(counts.values()))]
        images = _images(splits[split], len(classes))
        units = "1,0,-1," + ",".join("0" * 9)
        lines = [f"{image},0.25,-0.5,{c},{units}" for image, c in zip(images, classes, strict=True)]
        (folder / file).write_text("\n".join([track.headers[0], *lines]) + "\n")
    images = _images(splits["test"], track.figures["test_rows"])
    text = "\n".join([track.headers[0], *(f"{image}," for image in images)])
    (folder / "MTL_Challenge_test_set_release.txt").write_text(text)


def _images(names: list[Name], total: int) -> list[str]:
    images: list[str] = []
    for one, n in zip(names, _shares(total, [int(one.cropped.sum()) for one in names]), strict=True):
        frames = np.flatnonzero(one.cropped) + 1
        images += [f"{one.name}/{frame:05d}.jpg" for frame in frames[np.linspace(0, len(frames) - 1, n).astype(int)]]
    return images


def index_once(root: str) -> tuple[float, int, int]:
    """Seconds of one index of the VA track, its videos, its frames; for tests/benchmarks/data.py, which calls it in a
    process of its own, without torch."""
    start = time.perf_counter()
    index = build_index(Path(root), abaw10.EDITION, abaw10.EDITION.tracks[0])
    return time.perf_counter() - start, len(index.videos), sum(video.n_frames for video in index.videos)


def main() -> None:
    """Write the tree and time the indexes."""
    root = Path(sys.argv[1])
    start = time.perf_counter()
    write_tree(root)
    print(f"written in {time.perf_counter() - start:.1f} s")
    for edition in (abaw10.EDITION, abaw11.EDITION):
        for track in edition.tracks:
            start = time.perf_counter()
            index = build_index(root, edition, track)
            frames = sum(video.n_frames for video in index.videos)
            print(f"{track.name}: {len(index.videos)} videos, {frames:,} frames in {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
