"""Checks of frames, sound and times that are passed to a Predictor one by one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zoo.errors import UserError


def check_frame(frame: Any, shape: tuple[int, ...] | None) -> None:
    """Raise UserError if a frame is not an array of uint8 (H, W, 3), or is not of the ``shape`` of those before it."""
    if not isinstance(frame, np.ndarray):
        raise UserError("predictor-frame", got=f"a {type(frame).__name__}")
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        raise UserError("predictor-frame", got=f"{frame.dtype} {frame.shape}")
    if shape is not None and frame.shape != shape:
        got, first = (f"{width} x {height}" for height, width, _ in (frame.shape, shape))
        raise UserError("predictor-frame-size", got=got, first=first)


def check_time(time: Any, last: float | None) -> None:
    """Raise UserError if a time is not a finite number of seconds, or is earlier than the ``last`` one."""
    if (
        isinstance(time, bool)
        or not isinstance(time, int | float | np.integer | np.floating)
        or not math.isfinite(time)
    ):
        raise UserError("predictor-time", got=repr(time))
    if last is not None and time < last:
        raise UserError("predictor-time-back", got=float(time), last=float(last))


def check_samples(samples: Any) -> None:
    """Raise UserError if sound is not an array (S,) of finite floats or int16."""
    if not isinstance(samples, np.ndarray):
        raise UserError("predictor-sound", got=f"a {type(samples).__name__}")
    known = samples.dtype == np.int16 or samples.dtype.kind == "f"
    if samples.ndim != 1 or not known:
        raise UserError("predictor-sound", got=f"{samples.dtype} {samples.shape}")
    if not np.isfinite(samples).all():
        raise UserError("predictor-sound", got="values that are not finite")
