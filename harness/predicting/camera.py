"""Live prediction from a camera, frame by frame until it is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import cv2
import pandas as pd

from harness.predicting.models import EVERYTHING, Model
from harness.predicting.predictor import Predictor
from harness.predicting.row_writers import RowWriter
from harness.runtime.interrupts import stoppable
from zoo.errors import UserError

SHOWN = 1.0  # seconds between two lines on the terminal


def watch(
    number: int, model: Model, writer: RowWriter, say: Callable[[str], None], detector: Mapping[str, Any] | None = None
) -> int:
    """Predict the frames of a camera until it ends or Ctrl-C is pressed.

    Args:
        number: The camera's number.
        model: The model.
        writer: Gets one row a frame, as in the table of a video.
        say: Prints a line for the user.
        detector: Settings of the FaceFinder.

    Returns:
        The number of frames.

    Raises:
        UserError: The camera does not exist or gives no frame, or the rows cannot be written.
    """
    predictor, frames = Predictor(model, detector=detector), 0
    with _opened(number) as camera, stoppable() as stopped:
        started = said = time.monotonic()
        say(f"camera {number}: Ctrl-C ends it, and completes its table")
        if model.keep == EVERYTHING:
            say(f"camera {number}: predicted without test-time augmentation, which needs the whole video")
        while not stopped():
            there, picture = camera.read()
            if not there:
                break
            now, frames = time.monotonic(), frames + 1
            row = predictor(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), now - started)
            known = {"video": f"camera-{number}", "frame": frames, "time": row.pop("time"), "person": 1}
            writer.add(pd.DataFrame([known | row]))
            if now - said >= SHOWN:
                said = now
                say(_line(known | row, model))
    if not frames:
        raise UserError("predict-camera", number=number)
    return frames


def _line(row: Mapping[str, Any], model: Model) -> str:
    parts = [f"{row['time']:.1f} s"]
    for answer in model.answers:
        if answer.kind == "class":
            parts.append(str(row[f"{answer.name}_name"]))
        elif answer.kind != "binary":
            parts.append(f"{answer.name} {row[answer.name]:+.2f}")
    return ", ".join(parts)


@contextmanager
def _opened(number: int) -> Iterator[Any]:
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)  # OpenCV warns about every backend that it tried
    camera = cv2.VideoCapture(number)  # inputs.py lets only numbers of some digits pass
    try:
        if not camera.isOpened():
            raise UserError("predict-camera", number=number)
        yield camera
    finally:
        camera.release()
        logging.setLogLevel(level)
