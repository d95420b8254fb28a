"""Made-up pictures in the published layout of a corpus: drawn faces whose form follows from their labels."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from zoo.api import CorpusSpec, CorpusTable
from zoo.errors import UserError
from zoo.files import reason_of
from zoo.registry.registry import resolve

MARK = "made_up.json"
"""A file beside the pictures that says that nobody was photographed."""
SIGNS = ("Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Anger", "Contempt")
"""Expressions that are drawn differently: the place in this list decides brows and lips."""


def make_corpus(root: Path, spec: CorpusSpec, form: str | None, count: int, seed: int) -> str:
    """Write made-up pictures in a published form of a corpus, and return the form.

    Raises:
        UserError: The corpus has no such form, or the folder is not empty or not writable.
    """
    chosen = form or next(iter(spec.forms), "")
    if spec.sample is None or chosen not in spec.forms:
        raise UserError("corpus-form", corpus=spec.name, got=chosen, names=", ".join(spec.forms) or "none")
    try:
        if root.exists() and any(root.iterdir()):
            raise UserError("corpus-not-empty", root=root)
        root.mkdir(parents=True, exist_ok=True)
        resolve(spec.sample)(root, chosen, count, partial(draw_face, seed), seed)
        said = {"made up": spec.data, "form": chosen, "pictures": count, "seed": seed}
        (root / MARK).write_text(json.dumps(said) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError("file-not-written", file=root, error=reason_of(error)) from None
    return chosen


def is_made_up(table: CorpusTable) -> bool:
    """Return True if the mark is in the common folder of a corpus's pictures, or in one above it.

    The folder that a user names may lie above or below the one that ``make_corpus`` wrote.
    """
    names = table.files.tolist()
    # The first and the last name share what all share.
    ends = [os.path.dirname(os.fsdecode(name)) for name in (min(names), max(names))]
    place = table.root.resolve() / os.path.commonpath(ends)
    return any((folder / MARK).is_file() for folder in (place, *place.parents))


def draw_face(
    seed: int, path: Path, labels: Mapping[str, float | str], side: int, box: tuple[int, int, int, int]
) -> None:
    """Write a JPEG of ``side`` pixels with a face in ``box``; tone, light and place differ from picture to picture."""
    rng = np.random.default_rng([seed, zlib.crc32(str(path.name).encode())])
    image = np.full((side, side, 3), rng.uniform(20, 110, 3), np.uint8)
    x, y, width, height = box
    tone, light = rng.uniform(0.6, 1.0), rng.uniform(0.8, 1.1)

    def colour(*bgr: float) -> tuple[float, float, float]:
        blue, green, red = (min(255.0, value * light) for value in bgr)
        return blue, green, red

    middle = np.array([x + width / 2, y + height / 2]) + rng.uniform(-0.03, 0.03, 2) * width
    unit = min(width, height) / 100
    valence, arousal = float(labels.get("valence", 0)), float(labels.get("arousal", 0))
    sign = SIGNS.index(str(labels.get("expression"))) if labels.get("expression") in SIGNS else 0

    def at(dx: float, dy: float) -> tuple[int, int]:
        return round(middle[0] + dx * unit), round(middle[1] + dy * unit)

    def size(value: float) -> int:
        return max(1, round(value * unit))

    cv2.ellipse(image, at(0, 0), (size(36), size(45)), 0, 0, 360, colour(150 * tone, 185 * tone, 235 * tone), -1)
    for turn in (-1, 1):
        cv2.ellipse(image, at(15 * turn, -8), (size(8), size(4 + 3 * arousal)), 0, 0, 360, colour(245, 245, 245), -1)
        tilt = 3 * (sign % 4 - 1.5)
        cv2.line(image, at(7 * turn, -20 + tilt), at(24 * turn, -20 - tilt), colour(40, 40, 45), size(3))
    lips = colour(60, 50, 170) if sign < 4 else colour(150, 60, 60)
    across = np.linspace(-1, 1, 9)
    mouth = np.array([at(20 * a, 22 + 14 * valence * (0.5 - a * a)) for a in across])
    cv2.polylines(image, [mouth], False, lips, size(4))
    cv2.imwrite(str(path), image)
