"""Cut videos into the chunks that encoders take, in threads ahead of the encoders.

A video is decoded once for all its slots.
"""

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
    """The features of one video by one slot, to be written into an entry of the cache.

    ``source``: the fingerprint of the data that the key was made from; ``present``: (n_frames,) bool, filled in as the
    video is read; ``complete``: True once all of it has been read.
    """

    video: Video
    slot: FrozenSlot
    entry: Entry
    source: str = ""
    present: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    complete: bool = False
    writer: Writer | None = None


@dataclass(frozen=True)
class Chunk:
    """One input of the encoder.

    ``mask`` (T,): frames to encode; ``keep`` (T,): rows of the output that are features.
    """

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
    """An event sent after the last chunk of a task."""

    task: Task


@dataclass(frozen=True)
class Failed:
    """A video that could not be read.

    ``again``: a packed file of the video proved damaged and is set aside, so that the video would now be read from its
    source, perhaps under another key.
    """

    video: Video
    reason: str
    again: bool = False


@dataclass(frozen=True)
class Progress:
    """A number of frames that have been read."""

    frames: int


Event = Chunk | PartialBatch | Done | Failed | Progress


def events(index: Index, video: Video, tasks: Sequence[Task], *, threads: int = 0) -> Iterator[Event]:
    """Yield all chunks of a video's tasks and Done for each task; or Failed, and then nothing more.

    ``threads``: threads of the video's decoder, 0 for one a core.
    """
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
    """Return the reader of the data that the task's key stands for.

    Raises DamagedPackError if the reader would by now read other data: features must never be stored under the key of
    other pictures.
    """
    reader = open_reader(task.slot.plan.stream, source)
    if task.source and reader.fingerprint() != task.source:
        kind = DamagedPackError
        raise kind("features-source-changed", name=task.video.name)
    return reader


@dataclass
class Cutter:
    """A cutter of one video's pictures into the chunks of one task."""

    task: Task

    def __post_init__(self) -> None:
        self.chunks = PictureChunks(self.task.slot, self.task.video.n_frames)
        self.spec, self.task.present = self.chunks.spec, self.chunks.present

    def add(self, image: np.ndarray | None) -> Iterator[Event]:
        """Yield the chunks that the next frame's picture completes."""
        yield from map(self._event, self.chunks.add(image))

    def finish(self) -> Iterator[Event]:
        """Yield the remaining chunks, then Done."""
        yield from map(self._event, self.chunks.finish())
        yield Done(self.task)

    def _event(self, pictures: Pictures) -> Event:
        if isinstance(pictures, list):
            return PartialBatch(self.task, pictures)
        return Chunk(self.task, *pictures, pictures[1])


Pictures = tuple[dict[str, np.ndarray], np.ndarray] | list[np.ndarray]
"""An encoder's inputs and the mask of rows that are features; or the last pictures of a video, fewer than a batch."""


@dataclass
class PictureChunks:
    """Chunks of a video's pictures, given one after the other; their layout depends on the video alone.

    ``present``: (n_frames,) bool, filled in as the pictures come.
    """

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
        """Yield the chunk that the next frame's picture completes, if it does."""
        self.present[self.seen] = image is not None
        self.seen += 1
        if self.spec.context or image is not None:
            self.images.append(image)
        if len(self.images) >= self.slot.chunk + 2 * self.spec.context:
            yield from self._chunk()

    def finish(self) -> Iterator[Pictures]:
        """Yield the remaining pictures."""
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
    """Pad a batch of pictures with blanks to ``chunk`` rows; return the inputs and the mask of rows that are features.

    The blanks are encoded too, so that every frame goes through the same kernels.
    """
    frames = np.zeros((chunk, *images[0].shape), np.uint8)
    frames[: len(images)] = np.stack(images)
    return {"frames": frames, "present": np.ones(chunk, bool)}, np.arange(chunk) < len(images)


def _other_chunks(index: Index, task: Task) -> Iterator[Event]:
    """Yield the chunks of a slot of sound or vectors."""
    slot, video = task.slot, task.video
    raw = RawSlot(index, slot.plan, slot.encoder)
    task.present = present = _reader(task, source_of(index, video)).present()
    for start in range(0, video.n_frames, slot.chunk):
        seen = present[start : start + slot.chunk]
        if seen.any():
            yield Chunk(task, other_inputs(raw, video.name, start, start + len(seen)), seen, seen)
    yield Done(task)


def other_inputs(raw: RawSlot, video: str, start: int, stop: int) -> dict[str, np.ndarray]:
    """Return the inputs of an encoder of sound or vectors for the frames [start, stop)."""
    inputs = collate([raw.clip(video, start, stop)], stop - start)
    return {name: value[0] for name, value in inputs.items()}
