"""Prediction speed of a video: each stage alone, and the whole pass in which the stages overlap.

Call both functions in a process of their own (harness.benchmarks.measure.in_child), so that they share memory and
threads with nothing else.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import cv2
import torch

from harness.predicting.command import load_model, one_file, split_settings
from harness.predicting.final_rows import Nobody, Person
from harness.predicting.media import Media, open_input
from harness.predicting.models import Model, finder_of
from harness.predicting.one_pass import check_streams, live, predict_media
from harness.predicting.tables import rows_of
from harness.predicting.video_scan import Row, VideoScan

DEVICE = "cpu"  # a limit on cores would mean nothing with a GPU


class Timings(TypedDict):
    """The timings of a prediction, in seconds.

    ``seconds`` by the clock and ``processor`` seconds of the prediction; seconds from the start until the model is
    loaded (``load``), the first frame is read (``first_frame``) and the first row is final (``first_row``).
    ``readings``: how often the video was decoded.
    """

    frames: int
    seconds: float
    processor: float
    load: float
    first_frame: float
    first_row: float
    readings: int


def stages(video: str, model: str | None, settings: list[str], plugins: list[str], rounds: int) -> dict[str, float]:
    """Return the processor seconds a frame of each stage, on one thread, as the median over rounds.

    Returns:
        ``decode``; ``detect`` (find faces); ``cut`` (align faces, scale pictures); ``encode`` (encoders and all that
        follows them).
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    media, loaded = _open(video, model, settings, plugins)
    every = [_round(media, loaded, settings) for _ in range(rounds + 1)][1:]  # the first round builds and warms up
    return {name: statistics.median(one[name] for one in every) for name in every[0]}


def _round(media: Media, model: Model, settings: list[str]) -> dict[str, float]:
    finder, wanted = finder_of(model, split_settings(settings)[0]), model.branches.wanted()
    kinds = list(dict.fromkeys([None, *(want.kind for want in wanted if want.uses_video)]))
    scan = VideoScan(media, finder, wanted)
    rows: list[Row] = []

    def look() -> None:
        faces_of = finder.start()
        for pictures in media.pictures(kinds):
            faces_of(pictures[0])

    def cut() -> None:
        rows.extend(scan.guessed())

    def encode() -> None:
        with live(scan, model, lambda: iter(rows), lambda: None) as video:
            model.predict(video)

    if media.has_pictures:  # build the detector before it is timed
        finder.faces(next(media.pictures([None]))[0])
    decoded = _seconds(lambda: [None for _ in media.pictures(kinds)])
    looked = _seconds(look)
    whole = _seconds(cut)
    if len(rows) < media.info.n_frames:  # the person could not be guessed
        rows[:] = [[None for _ in wanted]] * media.info.n_frames
    encoded, n = _seconds(encode), media.info.n_frames
    parts = {"decode": decoded, "detect": looked - decoded, "cut": whole - looked, "encode": encoded}
    return {name: max(0.0, seconds) / n for name, seconds in parts.items()}


def _seconds(work: Callable[[], object]) -> float:
    """Return the processor seconds of all threads of this process; the machine's other work is not counted."""
    start = time.process_time()
    work()
    return time.process_time() - start


def one_pass(video: str, model: str | None, settings: list[str], plugins: list[str]) -> Timings:
    """Predict a video and return its timings."""
    began = time.perf_counter()
    media, loaded = _open(video, model, settings, plugins)
    ready, used = time.perf_counter(), time.process_time()
    first: list[float] = []

    def tick() -> None:
        if not first:
            first.append(time.perf_counter())

    rows = _Rows(loaded)
    predicted = predict_media(media, loaded, detector=split_settings(settings)[0], tick=tick, follower=rows)
    ended = time.perf_counter()
    return {
        "frames": media.info.n_frames,
        "seconds": ended - ready,
        "processor": time.process_time() - used,
        "load": ready - began,
        "first_frame": (first or [ended])[0] - began,
        "first_row": rows.first - began,
        "readings": predicted.readings,
    }


class _Rows(Nobody):
    """The rows of a table, made as `harness predict` makes them, and the time of the first."""

    def __init__(self, model: Model) -> None:
        self.model, self.first = model, 0.0

    def rows(self, person: Person, start: int) -> None:
        """Make the next rows."""
        rows_of(person, self.model.answers, start)
        self.first = self.first or time.perf_counter()


def _open(video: str, model: str | None, settings: list[str], plugins: list[str]) -> tuple[Media, Model]:
    file = one_file(Path(video))
    media = open_input(file.path, file.kind)
    options = split_settings(settings)[1]
    loaded = load_model(model, device=DEVICE, plugins=[Path(path) for path in plugins], settings=options)
    check_streams(media, loaded)
    return media, loaded
