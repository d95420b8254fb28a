"""Rules for streams: the output of their readers on one video."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from zoo.api import StreamSpec
from zoo.errors import UserError
from zoo.files import absolute
from zoo.readers import Sound, Source, Word
from zoo.registry.registry import resolve
from zoo.testing.comparisons import no_network
from zoo.testing.rules import Check, checks_of, describe, excuse, expect, record_calls, run_all

FRAMES, FPS, WIDTH, HEIGHT, RATE = 25, 25, 96, 64, 16_000
MAKERS = Callable[[Path, int], Source]


@dataclass(frozen=True)
class StreamCase:
    """A stream, and a function that makes a video for it.

    Attributes:
        spec: The stream's spec.
        source: ``source(folder, seed)`` writes a video and returns its zoo.readers.Source.
    """

    spec: StreamSpec
    source: MAKERS

    @contextmanager
    def reader(self, seed: int = 0, *, bare: bool = False) -> Iterator[tuple[Any, Source]]:
        """Open a reader of a video.

        Args:
            seed: Seed of the video.
            bare: Of the video only the annotation exists.

        Yields:
            The reader, and its source.
        """
        with tempfile.TemporaryDirectory() as folder:
            source = self.source(Path(folder), seed)
            if bare:
                source = replace(source, root=Path(folder) / "empty", video=None, crops=None, boxes=None, faces=None)
            yield record_calls(resolve(self.spec.reader)(source)), source


def stream_checks(spec: StreamSpec, *, source: MAKERS | None = None) -> list[Check]:
    """Return every rule for a stream, one by one.

    See ``head_checks`` for an example.

    Args:
        spec: The stream's spec.
        source: ``source(folder, seed)`` writes a video on which the stream finds something, and returns its
            zoo.readers.Source. The default is a short video with crops, sound, words and boxes.

    Returns:
        The checks.
    """
    return checks_of(spec.name, RULES, StreamCase(spec, source or make_source))


def check_stream(spec: StreamSpec, *, source: MAKERS | None = None) -> None:
    """Run every rule for a stream.

    See ``check_head`` for an example.

    Args:
        spec: The stream's spec.
        source: See ``stream_checks``.

    Raises:
        ConformanceError: The first rule that is broken.
    """
    run_all(stream_checks(spec, source=source))


def pictures(seed: int) -> np.ndarray:
    """Return the frames of the synthetic video, (25, 64, 96, 3) uint8 RGB.

    Args:
        seed: Seed of the video.

    Returns:
        The frames.
    """
    small = np.random.default_rng(seed).integers(0, 256, (FRAMES, HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    return small.repeat(8, 1).repeat(8, 2)


def make_source(folder: Path, seed: int) -> Source:
    """Write a second of video with sound, two words, face crops but for three frames, and boxes in all but the first.

    Args:
        folder: An existing, empty folder.
        seed: Seed of the video.

    Returns:
        The video.
    """
    import cv2

    crops = folder / "crops"
    crops.mkdir()
    for i, picture in enumerate(pictures(seed)):
        if i not in (3, 4, 9):
            cv2.imwrite(str(crops / f"{i + 1:05d}.jpg"), picture[:, :HEIGHT])
    boxes = np.tile([20.0 + seed, 10.0, 60.0, 64.0], (FRAMES, 1))
    boxes[0] = np.nan
    _write_video(folder / "clip.mp4", seed)
    cues = ("00:00:00,100 --> 00:00:00,400\nhello", f"00:00:00,400 --> 00:00:00,700\nnumber{seed}")
    (folder / "clip.srt").write_text("\n\n".join(cues) + "\n", encoding="utf-8")
    times = np.arange(FRAMES) / FPS
    return Source(
        "clip",
        folder,
        FRAMES,
        lambda: times,
        folder / "clip.mp4",
        crops,
        lambda: boxes,
        size=lambda: (WIDTH, HEIGHT),
        faces=lambda: boxes - np.array([0, 0, 0, 24]),
    )


def _write_video(path: Path, seed: int) -> None:
    import av

    with av.open(absolute(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=RATE)
        for picture in pictures(seed):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
        samples = 0.1 * np.random.default_rng(seed).standard_normal((1, RATE), np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(audio.encode(frame))
        container.mux(audio.encode())


def _content(case: StreamCase, reader: Any, source: Source) -> list[Any]:
    """Return the reader's output at the frames that are present, after checking it."""
    mask = reader.present()
    if not mask.any():
        excuse("it finds nothing in the made-up video: give stream_checks a source of your own")
    if case.spec.kind == "frames":
        frames = _frames(reader) if reader.uses_video else [None] * FRAMES
        images = [reader.image(i, frame, 32) for i, frame in enumerate(frames)]
        wrong = [i for i, image in enumerate(images) if image is not None and not mask[i]]
        expect(not wrong, f"a picture is given of frame {wrong and wrong[0]}, which is not present")
        return images
    if case.spec.kind == "sound":
        return [reader.sound(RATE)]
    if case.spec.kind == "text":
        return list(reader.words())
    return [np.asarray(reader.vectors())[mask]]


def _frames(reader: Any) -> list[np.ndarray]:
    """Return the frames as the reader needs them for images of size 32."""
    import cv2

    if not getattr(reader, "squeezed", False):
        return list(pictures(0))
    return [cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA) for picture in pictures(0)]


# --- rules ------------------------------------------------------------------------------------------------------------


def offline(case: StreamCase) -> None:
    """Check that opening a video does not access the network.

    Machines that train often have none.
    """
    with no_network(), case.reader():
        pass


def presence(case: StreamCase) -> None:
    """Check that present() is one bool per frame, and the same at a second call.

    It is the mask that training, fusion and tables use.
    """
    with case.reader() as (reader, source):
        mask = reader.present()
        good = isinstance(mask, np.ndarray) and mask.shape == (source.n_frames,) and mask.dtype == bool
        expect(good, f"present() gives {describe(mask)} for {source.n_frames} frames")
        expect(np.array_equal(mask, reader.present()), "present() differs at a second call")


def content(case: StreamCase) -> None:
    """Check that images, sound and vectors have the required types and shapes.

    They go to the encoder unchanged, together with those of other videos.

    Images are uint8 RGB (size, size, 3), or None at frames without one, which are requested too. Sound is a Sound at
    the requested rate. Words have times from 0 on. Vectors are (n, D) float32, finite where present.
    """
    with case.reader() as (reader, source):
        for item in _content(case, reader, source):
            if case.spec.kind == "frames" and item is not None:
                expect(
                    item.shape == (32, 32, 3) and item.dtype == np.uint8, f"a picture of size 32 is {describe(item)}"
                )
            elif case.spec.kind == "sound":
                expect(isinstance(item, Sound), f"sound() gives {describe(item)}")
                fine = item.samples.ndim == 1 and item.samples.dtype == np.float32 and np.isfinite(item.samples).all()
                expect(fine and item.rate == RATE, f"sound() gives {describe(item)} for {RATE} Hz")
            elif case.spec.kind == "text":
                fine = isinstance(item, Word) and 0 <= item.start <= item.end
                expect(fine, f"words() gives {describe(item)}")
            elif case.spec.kind == "vectors":
                fine = item.ndim == 2 and item.dtype == np.float32 and np.isfinite(item).all()
                expect(fine, f"the vectors of present frames are {describe(item)}")


def nothing_there(case: StreamCase) -> None:
    """Check that a video without files gives a mask of False, or a UserError that names the missing part.

    Data folders sometimes lack a crop folder or a video. That must not end a run with a traceback.
    """
    try:
        with case.reader(bare=True) as (reader, _):
            mask = reader.present()
    except UserError:
        return
    expect(not np.asarray(mask).any(), "frames are present in a video without files", describe(mask))


def fingerprint(case: StreamCase) -> None:
    """Check that equal content has one fingerprint, and other content another.

    Features are cached under it. If it does not change with the content, the features of the old content are used.
    """
    with case.reader() as (one, source):
        first = one.fingerprint()
        expect(isinstance(first, str) and first, f"fingerprint() gives {describe(first)}, not a text")
        _content(case, one, source)
        expect(one.fingerprint() == first, "the fingerprint differs after reading")
        again = resolve(case.spec.reader)(source)
        expect(again.fingerprint() == first, "a second reader of the same video has another fingerprint")
    with case.reader(seed=1) as (other, _):
        expect(other.fingerprint() != first, "a video with other content has the same fingerprint")


def repeatable(case: StreamCase) -> None:
    """Check that two readers of one video give the same output.

    A run is repeated from its record.
    """
    with case.reader() as (one, source):
        two = resolve(case.spec.reader)(source)
        for a, b in zip(_content(case, one, source), _content(case, two, source), strict=True):
            same = a == b if isinstance(a, Word) else np.array_equal(*(getattr(x, "samples", x) for x in (a, b)))
            expect(same, "two readers of one video give other things")


RULES = (offline, presence, content, nothing_there, fingerprint, repeatable)
