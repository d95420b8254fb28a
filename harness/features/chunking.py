"""Videos -> chunks that encoders take, made in threads ahead of them. A video is decoded once for all its slots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.data.decoding.frames import pictures
from harness.data.index.index import Index, Video
from harness.data.packed.reader import DamagedPackError
from harness.data.streams.raw_inputs import RawSlot, collate
from harness.data.streams.sources import open_reader, source_of
from harness.features.cache.entry import Entry, Writer
from harness.features.frozen_encoder import FrozenSlot
from zoo.api import FrameInput
from zoo.errors import UserError
from zoo.readers import Source


@dataclass(eq=False)
class Task:
    """Features of one video by one slot, wanted in an entry of the cache. ``source``: the fingerprint of what its key
    was made of; ``present``: (n_frames,) bool, filled in as the video is read, ``complete`` when all of it has been."""

    video: Video
    slot: FrozenSlot
    entry: Entry
    source: str = ""
    present: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    complete: bool = False
    writer: Writer | None = None


@dataclass(frozen=True)
class Chunk:
    """What the network is given at once. ``mask`` (T,): frames to encode; ``keep`` (T,): rows that are features."""

    task: Task
    inputs: dict[str, np.ndarray]
    mask: np.ndarray
    keep: np.ndarray


@dataclass(frozen=True)
class PartialBatch:
    """The last pictures of a video, fewer than a batch."""

    task: Task
    images: list[np.ndarray]


@dataclass(frozen=True)
class Done:
    """Nothing more comes of a task."""

    task: Task


@dataclass(frozen=True)
class Failed:
    """A video that could not be read. ``again``: a file that it was packed in proved damaged and is set aside, so that
    its source would be read now, under another key perhaps."""

    video: Video
    reason: str
    again: bool = False


@dataclass(frozen=True)
class Progress:
    """Frames of video that have been read."""

    frames: int


Event = Chunk | PartialBatch | Done | Failed | Progress


def events(index: Index, video: Video, tasks: Sequence[Task], *, threads: int = 0) -> Iterator[Event]:
    """All chunks of a video's tasks, then Done of each; or Failed, and no more. ``threads``: of the video's decoder,
    0 for one a core."""
    try:
        source_of(index, video).times()  # an annotation that does not fit its video is found here, not in training
        seeing = [task for task in tasks if isinstance(task.slot.encoder.input, FrameInput)]
        for task in tasks:
            if task not in seeing:
                yield from _other_chunks(index, task)
        if seeing:
            yield from _picture_chunks(index, video, seeing, threads)
        else:
            yield Progress(video.n_frames)
    except DamagedPackError as error:
        yield Failed(video, str(error), again=True)
    except UserError as error:
        yield Failed(video, str(error))


def _picture_chunks(index: Index, video: Video, tasks: Sequence[Task], threads: int) -> Iterator[Event]:
    source = source_of(index, video)
    cutters = [Cutter(task) for task in tasks]
    readers = [(_reader(cutter.task, source), cutter.spec.size) for cutter in cutters]
    for i, images in enumerate(pictures(readers, video.video, video.n_frames, threads=threads)):
        for cutter, image in zip(cutters, images, strict=True):
            yield from cutter.add(image)
        if (i + 1) % 64 == 0:
            yield Progress(64)
    yield Progress(video.n_frames % 64)
    for cutter in cutters:
        yield from cutter.finish()


def _reader(task: Task, source: Source) -> Any:
    """The reader of what the task's key says. DamagedPackError where it would read something else by now: features
    must never lie under the key of other pictures."""
    reader = open_reader(task.slot.plan.stream, source)
    if task.source and reader.fingerprint() != task.source:
        kind = DamagedPackError
        raise kind("features-source-changed", name=task.video.name)
    return reader


@dataclass
class Cutter:
    """The chunks of a task, of the pictures of its video."""

    task: Task

    def __post_init__(self) -> None:
        self.chunks = PictureChunks(self.task.slot, self.task.video.n_frames)
        self.spec, self.task.present = self.chunks.spec, self.chunks.present

    def add(self, image: np.ndarray | None) -> Iterator[Event]:
        """Take the next frame's picture."""
        yield from map(self._event, self.chunks.add(image))

    def finish(self) -> Iterator[Event]:
        """What is left."""
        yield from map(self._event, self.chunks.finish())
        yield Done(self.task)

    def _event(self, pictures: Pictures) -> Event:
        if isinstance(pictures, list):
            return PartialBatch(self.task, pictures)
        return Chunk(self.task, *pictures, pictures[1])


Pictures = tuple[dict[str, np.ndarray], np.ndarray] | list[np.ndarray]
"""What a network is given, with the frames of it that are features; or the last pictures of a video, fewer than a
batch."""


@dataclass
class PictureChunks:
    """Pictures of a video, one after the other -> chunks whose layout depends on the video alone. ``present``:
    (n_frames,) bool, filled in as the pictures come."""

    slot: FrozenSlot
    n_frames: int
    seen: int = 0
    images: list[np.ndarray | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        spec = self.slot.encoder.input
        assert isinstance(spec, FrameInput)
        self.spec = spec
        self.present = np.zeros(self.n_frames, bool)
        self.images += [None] * spec.context  # before the first frame there is nothing

    def add(self, image: np.ndarray | None) -> Iterator[Pictures]:
        """Take the next frame's picture."""
        self.present[self.seen] = image is not None
        self.seen += 1
        if self.spec.context or image is not None:
            self.images.append(image)
        if len(self.images) >= self.slot.chunk + 2 * self.spec.context:
            yield from self._chunk()

    def finish(self) -> Iterator[Pictures]:
        """What is left."""
        context = self.spec.context
        if context and len(self.images) > context:
            self.images += [None] * context
            yield from self._chunk()
        elif not context and self.images:
            yield [image for image in self.images if image is not None]

    def _chunk(self) -> Iterator[Pictures]:
        context = self.spec.context
        if len(self.images) <= 2 * context:
            return
        seen = np.array([image is not None for image in self.images])
        blank = np.zeros((self.spec.size, self.spec.size, 3), np.uint8)
        frames = np.stack([blank if image is None else image for image in self.images])
        inner = seen[context : len(seen) - context]
        yield {"frames": frames, "present": seen}, inner
        self.images = self.images[len(self.images) - 2 * context :] if context else []


def pad_batch(images: Sequence[np.ndarray], chunk: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A batch of pictures filled up with blanks to ``chunk``, all of it to be encoded: so that every frame meets the
    same kernels; and which of its rows are features."""
    frames = np.zeros((chunk, *images[0].shape), np.uint8)
    frames[: len(images)] = np.stack(images)
    return {"frames": frames, "present": np.ones(chunk, bool)}, np.arange(chunk) < len(images)


def _other_chunks(index: Index, task: Task) -> Iterator[Event]:
    """Sound and vectors, in chunks of frames."""
    slot, video = task.slot, task.video
    raw = RawSlot(index, slot.plan, slot.encoder)
    task.present = present = _reader(task, source_of(index, video)).present()
    for start in range(0, video.n_frames, slot.chunk):
        seen = present[start : start + slot.chunk]
        if seen.any():
            yield Chunk(task, other_inputs(raw, video.name, start, start + len(seen)), seen, seen)
    yield Done(task)


def other_inputs(raw: RawSlot, video: str, start: int, stop: int) -> dict[str, np.ndarray]:
    """What a network of sound or vectors is given for the frames [start, stop)."""
    inputs = collate([raw.clip(video, start, stop)], stop - start)
    return {name: value[0] for name, value in inputs.items()}
