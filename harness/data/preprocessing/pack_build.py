"""Build packed files for ``harness data pack``: every raw video and every crop folder is read once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from harness.data.decoding.audio import read_sound, to_int16
from harness.data.decoding.frames import pictures
from harness.data.decoding.jpeg import whole_picture
from harness.data.decoding.picture_headers import picture_size
from harness.data.decoding.probe_cache import video_digest
from harness.data.decoding.video import probe
from harness.data.index.picture_folders import picture_folder, pictures_digest
from harness.data.packed.metadata import RATE, Label, PackSettings
from harness.data.packed.reader import open_pictures, open_samples
from harness.data.packed.writer import BOXED, PICTURES, SAMPLES, Writer, encode_jpeg
from harness.data.preprocessing.pack_plan import Item, Settings
from harness.data.streams.box_readers import BodyReader, ContextReader
from harness.data.tracking.person_boxes import person_boxes
from harness.io.atomic import append_line, clear_parts
from harness.io.locks import NAME, file_lock
from harness.runtime.launchers import Failure
from harness.runtime.machine import cores
from harness.runtime.process_pool import Tick, run_jobs
from zoo.errors import FullDiskError, UserError
from zoo.files import is_full, reason_of
from zoo.limits import check_picture
from zoo.readers import Source

LEDGER = "ledger.jsonl"
_CUTTERS: dict[str, type[BodyReader] | type[ContextReader]] = {"body": BodyReader, "context": ContextReader}


@dataclass(frozen=True)
class Outcome:
    """The outcome for one file of the pack. "kept": it was already there, made from the same source."""

    stream: str
    name: str
    outcome: Literal["packed", "kept", "failed"]
    reason: str = ""
    bytes: int = 0


def make_pack(
    items: Sequence[Item], settings: Settings, *, jobs: int | None = None, progress: bool = True
) -> list[Outcome]:
    """Pack everything that is not packed yet, and write the outcomes to the ledger.

    Finished files stay if this is stopped or killed; incomplete ones are removed by the next call. A video that fails
    does not stop the others. Raise UserError if the disk is full, which stops all, or if another process packs into the
    same folder.
    """
    busy = f"{settings.pack}: another process packs into this folder; wait for it, or stop it"
    with file_lock(settings.pack / NAME, busy):
        clear_parts(settings.pack)
        return _make(items, settings, jobs, progress)


def _make(items: Sequence[Item], settings: Settings, jobs: int | None, progress: bool) -> list[Outcome]:
    outcomes: list[Outcome] = []
    paths, sizes = [item.path for item in items], [max(1, item.frames) for item in items]
    task = partial(_pack, settings=settings)
    for place, result in run_jobs(task, items, paths, sizes, jobs=jobs or cores(), label="pack", progress=progress):
        if isinstance(result, Failure):  # the process died, or this program has a bug
            result = [Outcome(stream, name, "failed", result.reason) for stream, name in items[place].wanted]
        _note(settings.pack / LEDGER, items[place], result)
        outcomes += result
    return outcomes


def _note(ledger: Path, item: Item, outcomes: Sequence[Outcome]) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        for one in outcomes:
            if one.outcome != "kept":
                append_line(ledger, {"time": now, "source": str(item.path), **asdict(one)})
    except OSError as error:
        raise UserError("ledger-not-writable", ledger=ledger, strerror=reason_of(error)) from error


def _pack(item: Item, tick: Tick, *, settings: Settings) -> list[Outcome]:
    """Pack everything from one crop folder or one raw video. Raise FullDiskError if the disk is full."""
    try:
        return _streams(item, tick, settings)
    except OSError as error:  # only for a full disk; other errors become outcomes (_reason)
        raise FullDiskError("pack-disk-full", pack=settings.pack, name=item.path.name) from error


def _streams(item: Item, tick: Tick, settings: Settings) -> list[Outcome]:
    if item.crops:
        return [_attempt(stream, name, partial(_face, item.path, name, settings, tick)) for stream, name in item.wanted]
    sound = [name for stream, name in item.wanted if stream == "audio"]
    outcomes = [_attempt("audio", name, partial(_audio, item.path, name, settings)) for name in sound]
    boxed = [(stream, name) for stream, name in item.wanted if stream in _CUTTERS]
    return outcomes + (_pictures(item.path, boxed, settings, tick) if boxed else [])


def _attempt(stream: str, name: str, make: Callable[[], Label | None]) -> Outcome:
    """Make one file and return its outcome; ``make`` returns None if the file is there already."""
    try:
        label = make()
    except (OSError, UserError) as error:
        return Outcome(stream, name, "failed", _reason(error))
    return Outcome(stream, name, "packed", bytes=label.bytes) if label else Outcome(stream, name, "kept")


def _reason(error: Exception) -> str:
    if isinstance(error, FullDiskError) or is_full(error):  # the disk of the cache or of the pack
        raise error  # the next video would fail too
    return str(error)


def _face(folder: Path, name: str, settings: Settings, tick: Tick) -> Label | None:
    """Pack face crops with their original bytes. Raise UserError if one is not a complete picture."""
    source = pictures_digest(folder)
    if open_pictures(settings.pack, "face", name, source):
        return None
    pictures_there = picture_folder(folder)
    there = set(pictures_there.frames.tolist())
    last = max(there, default=0)
    turned = False  # True if some crop may have an EXIF orientation
    with Writer(settings.pack, "face", name, PICTURES) as writer:
        for frame in range(1, last + 1):
            crop = _crop(Path(pictures_there.path(frame))) if frame in there else None
            turned |= crop is not None and b"Exif" in crop
            writer.add(crop)
            tick(frame / last)
        _refuse_changed(folder, pictures_digest(folder) == source)
        return writer.finish(source, {"turned": turned})


def _crop(path: Path) -> bytes:
    data = path.read_bytes()
    if size := picture_size(data):
        check_picture(path, *size)
    if whole_picture(data) is None:
        raise UserError("jpeg-damaged", file=path, count=len(data))
    return data


def _audio(video: Path, name: str, settings: Settings) -> Label | None:
    source = video_digest(video)
    if open_samples(settings.pack, name, source):
        return None
    sound = read_sound(video, RATE)
    samples = np.zeros(0, np.int16) if sound is None else to_int16(sound.samples)
    with Writer(settings.pack, "audio", name, SAMPLES) as writer:
        if len(samples):
            writer.add_array(samples)
        _refuse_changed(video, video_digest(video) == source)
        return writer.finish(source, {"rate": RATE, "start": sound.start if sound else 0.0})


def _pictures(video: Path, wanted: Sequence[tuple[str, str]], settings: Settings, tick: Tick) -> list[Outcome]:
    """Pack the body and context pictures of all people in a video, which is decoded once."""
    try:
        source, info = video_digest(video), probe(video)
    except (OSError, UserError) as error:
        return [Outcome(stream, name, "failed", _reason(error)) for stream, name in wanted]
    outcomes: list[Outcome] = []
    todo: list[tuple[str, str, np.ndarray]] = []
    for stream, name in wanted:
        try:
            boxes = _boxes(video, name, settings, info.n_frames)
        except (OSError, UserError) as error:
            outcomes.append(Outcome(stream, name, "failed", _reason(error)))
            continue
        if _is_made(stream, name, source, boxes, settings):
            outcomes.append(Outcome(stream, name, "kept"))
        else:
            todo.append((stream, name, boxes))
    if not todo:
        return outcomes
    made = PackSettings(size=settings.size, quality=settings.quality, width=info.width, height=info.height)
    try:
        labels = _cut(video, source, todo, made, settings.pack, partial(_share, tick, info.n_frames))
    except (OSError, UserError) as error:
        return outcomes + [Outcome(stream, name, "failed", _reason(error)) for stream, name, _ in todo]
    return outcomes + [Outcome(label.stream, label.name, "packed", bytes=label.bytes) for label in labels]


def _cut(
    video: Path,
    source: str,
    todo: Sequence[tuple[str, str, np.ndarray]],
    made: PackSettings,
    pack: Path,
    tick: Callable[[int], None],
) -> list[Label]:
    with ExitStack() as stack:
        work = []
        for stream, name, boxes in todo:
            reader = _CUTTERS[stream](_source(video, name, boxes, made))
            work.append((reader, stack.enter_context(Writer(pack, stream, name, BOXED)), boxes))
        readers = [(reader, made["size"]) for reader, _, _ in work]
        for i, images in enumerate(pictures(readers, video, len(todo[0][2]))):
            for image, (_, writer, boxes) in zip(images, work, strict=True):
                writer.add(None if image is None else encode_jpeg(image, made["quality"]), *boxes[i].tolist())
            tick(i)
        _refuse_changed(video, video_digest(video) == source)
        return [writer.finish(source, made) for _, writer, _ in work]


def _source(video: Path, name: str, boxes: np.ndarray, made: PackSettings) -> Source:
    return Source(
        name,
        video.parent,
        len(boxes),
        lambda: np.zeros(len(boxes)),
        video=video,
        boxes=lambda: boxes,
        size=lambda: (made["width"], made["height"]),
    )


def _boxes(video: Path, name: str, settings: Settings, n_frames: int) -> np.ndarray:
    found = person_boxes(settings.root, name, video, n_frames)
    if found is None:
        raise UserError("boxes-missing", video=video, name=name, root=settings.root)
    return found.person.astype(np.float32)


def _is_made(stream: str, name: str, source: str, boxes: np.ndarray, settings: Settings) -> bool:
    packed = open_pictures(settings.pack, stream, name, source)
    wanted = (settings.size, settings.quality)
    if packed is None or (packed.label.settings.get("size"), packed.label.settings.get("quality")) != wanted:
        return False
    return packed.boxes is not None and np.array_equal(packed.boxes, boxes, equal_nan=True)


def _share(tick: Tick, frames: int, done: int) -> None:
    tick((done + 1) / frames)


def _refuse_changed(path: Path, same: bool) -> None:
    if not same:
        raise UserError("pack-source-changed", file=path)
