"""How fast a video is predicted: each stage alone, and the one pass that has them side by side.

Both functions are called in a process of their own (harness.benchmarks.measure.in_child), so that memory and threads
are theirs alone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import torch

from harness.data.tracking.detection import FaceFinder, detector_settings
from harness.predicting.command import load_model, one_file
from harness.predicting.media import Media, open_input
from harness.predicting.models import Model
from harness.predicting.one_pass import check_streams, live, predict_media
from harness.predicting.tables import table_of
from harness.predicting.video_scan import Row, VideoScan

DEVICE = "cpu"  # a bound of its cores means nothing beside a GPU


def stages(video: str, model: str | None, settings: list[str], plugins: list[str], rounds: int) -> dict[str, float]:
    """Seconds of processor a frame that each stage needs, the median over rounds, on one thread: ``decode``; ``detect``
    (find faces); ``cut`` (align faces, scale pictures); ``encode`` (encoders and everything behind them)."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    media, loaded = _open(video, model, plugins)
    every = [_round(media, loaded, settings) for _ in range(rounds + 1)][1:]  # the first one builds and warms up
    return {name: statistics.median(one[name] for one in every) for name in every[0]}


def _round(media: Media, model: Model, settings: list[str]) -> dict[str, float]:
    finder, wanted = FaceFinder(model.detector, detector_settings(settings)), model.branches.wanted()
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

    finder.faces(next(media.pictures([None]))[0]) if media.has_pictures else None  # build the detector
    decoded = _seconds(lambda: [None for _ in media.pictures(kinds)])
    looked = _seconds(look)
    whole = _seconds(cut)
    if len(rows) < media.info.n_frames:  # who is looked at could not be guessed
        rows[:] = [[None for _ in wanted]] * media.info.n_frames
    encoded, n = _seconds(encode), media.info.n_frames
    parts = {"decode": decoded, "detect": looked - decoded, "cut": whole - looked, "encode": encoded}
    return {name: max(0.0, seconds) / n for name, seconds in parts.items()}


def _seconds(work: Callable[[], object]) -> float:
    """Seconds of processor, of all threads: what else the machine does is not counted."""
    start = time.process_time()
    work()
    return time.process_time() - start


def one_pass(video: str, model: str | None, settings: list[str], plugins: list[str]) -> dict[str, float]:
    """The whole of a prediction: ``frames``; ``seconds`` of it on the clock and of ``processor``; seconds to ``load``
    the model, to the ``first_frame`` that is read and to the ``first_row`` of the table, all from the start; and how
    often the video was decoded (``readings``)."""
    began = time.perf_counter()
    media, loaded = _open(video, model, plugins)
    ready, used = time.perf_counter(), time.process_time()
    first: list[float] = []

    def tick() -> None:
        if not first:
            first.append(time.perf_counter())

    predicted = predict_media(media, loaded, detector=detector_settings(settings), tick=tick)
    table_of(predicted, loaded.answers)
    ended = time.perf_counter()
    return {
        "frames": media.info.n_frames,
        "seconds": ended - ready,
        "processor": time.process_time() - used,
        "load": ready - began,
        "first_frame": (first or [ended])[0] - began,
        "first_row": ended - began,  # post-processing looks at all frames, so that all rows are there at once
        "readings": predicted.readings,
    }


def _open(video: str, model: str | None, plugins: list[str]) -> tuple[Media, Model]:
    file = one_file(Path(video))
    media = open_input(file.path, file.kind)
    loaded = load_model(model, device=DEVICE, plugins=[Path(path) for path in plugins])
    check_streams(media, loaded)
    return media, loaded
