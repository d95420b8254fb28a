"""Folders of numbered pictures: which frames have one."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from zoo.errors import UserError

_CROP = re.compile(r"(\d{5,})\.jpg")


def crop_frames(folder: Path) -> np.ndarray:
    """Frame numbers (k,) int32, sorted, from 1, of the images ``00001.jpg`` ... of a folder.

    UserError where it holds JPEGs of other names only, or a frame 0, which would shift all others.
    """
    names = os.listdir(folder)
    numbers = _numbers(names)
    strange = [] if len(numbers) else [name for name in names if name.lower().endswith((".jpg", ".jpeg"))]
    if strange:
        raise UserError("crop-name", file=folder / min(strange))
    if len(numbers) and numbers[0] == 0:
        raise UserError("crop-frame-zero", folder=folder)
    return numbers


def _numbers(names: list[str]) -> np.ndarray:
    """(k,) int32, sorted. Where all names are alike, which is the rule, they are read as one block of bytes."""
    joined = "".join(names)
    if len(joined) == 9 * len(names) and joined.isascii():
        letters = np.frombuffer(joined.encode(), np.uint8).reshape(-1, 9)
        digits = letters[:, :5].astype(np.int32) - ord("0")
        if (letters[:, 5:] == np.frombuffer(b".jpg", np.uint8)).all() and ((digits >= 0) & (digits <= 9)).all():
            return np.sort(digits @ np.array([10_000, 1_000, 100, 10, 1], np.int32))
    return np.sort(np.array([int(match[1]) for name in names if (match := _CROP.fullmatch(name))], np.int32))
