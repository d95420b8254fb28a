"""Live prediction from a camera, frame by frame until it is stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import pandas as pd

from harness.predicting.models import RunModel
from harness.predicting.predictor import Predictor
from harness.runtime.interrupts import stoppable
from zoo.errors import UserError

SHOWN = 1.0  # seconds between two lines on the terminal


def watch(number: int, model: RunModel) -> pd.DataFrame:
    """Predict the frames of a camera until Ctrl-C and return one row a frame, as in the table of a video.

    Raises:
        UserError: The camera does not exist or gives no frame.
    """
    rows: list[dict[str, Any]] = []
    with _opened(number) as camera, stoppable() as stopped:
        predictor = Predictor(model)
        started = said = time.monotonic()
        print(f"camera {number}: Ctrl-C ends it, and writes its table", flush=True)
        while not stopped():
            there, picture = camera.read()
            if not there:
                break
            now = time.monotonic()
            row = predictor(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), now - started)
            rows.append({"video": f"camera-{number}", "frame": len(rows) + 1, **row})
            if now - said >= SHOWN:
                said = now
                print(_line(row, model), flush=True)
    if not rows:
        raise UserError("predict-camera", number=number)
    table = pd.DataFrame(rows)
    table.insert(3, "person", 1)
    return table


def _line(row: dict[str, Any], model: RunModel) -> str:
    said = [f"{row['time']:.1f} s"]
    for answer in model.answers:
        if answer.kind == "class":
            said.append(str(row[f"{answer.name}_name"]))
        elif answer.kind != "binary":
            said.append(f"{answer.name} {row[answer.name]:+.2f}")
    return ", ".join(said)


@contextmanager
def _opened(number: int) -> Iterator[Any]:
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)  # OpenCV warns about every backend that it tried
    camera = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise UserError("predict-camera", number=number)
        yield camera
    finally:
        camera.release()
        logging.setLogLevel(level)
