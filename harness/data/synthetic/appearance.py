"""Appearance and position of the people, light, background and camera of a video, all unrelated to the labels.

They are drawn from separate random numbers, so that only the slots' copies can be learned from the pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.data.synthetic.latents import Floats, LatentTrajectory, Person, smooth_noise
from harness.data.synthetic.video_plans import HEIGHT, WIDTH

Colour = tuple[float, float, float]

# Sizes in pixels of a person who is alone in the picture; two people are drawn smaller.
PANEL = 182  # half width of the panel behind a person: keeps the scene out of the person's box
PERSON_BOX = (
    170,
    92,
    300,
)  # half width, height above and depth below the middle of the head: fixed, so that it does not reveal the pose
SHOULDERS = 84  # from the middle of the head down to the shoulders
TWO_SCALE = 0.56


@dataclass(frozen=True)
class Figure:
    """Appearance of one person; colours are BGR."""

    scale: float
    """Size relative to a person who is alone."""
    half_width: float
    """Half width of the head, pixels at scale 1."""
    crop: float
    """Side of the square face crop, pixels at scale 1."""
    skin: Colour
    hair: Colour
    clothes: Colour
    centre: Floats
    """(T, 2) middle of the head in the scene, before the camera."""
    jitter: Floats
    """(T, 8) detector errors in pixels: face box, then person box."""
    crop_jitter: Floats
    """(T, 2) errors of the crop's centre, in pixels."""
    score: Floats
    """(T,) confidence of a detector."""


@dataclass(frozen=True)
class Look:
    """Appearance of one video."""

    figures: tuple[Figure, ...]
    pattern: np.ndarray
    """(H', W') uint8, larger than the picture: stripes and furniture, 127 in the mean."""
    camera: Floats
    """(T, 3) pan in x and y in pixels, and zoom."""
    light: Floats
    """(T,) factor on all colours."""

    def place(self, frame: int, points: Floats) -> Floats:
        """Map scene points (N, 2) to picture points (N, 2) at `frame`."""
        x, y, zoom = self.camera[frame]
        middle = np.array([WIDTH / 2, HEIGHT / 2])
        return np.asarray((points - middle - [x, y]) * zoom + middle)


def draw_look(story: LatentTrajectory, seed: int) -> Look:
    """Draw the appearance of `story`'s video."""
    rng = np.random.default_rng([seed, story.plan.index, 0, 1])
    frames, scale = story.plan.frames, TWO_SCALE if len(story.people) == 2 else 1.0
    figures = tuple(_figure(rng, person, scale) for person in story.people)
    drift = smooth_noise(rng, frames, 24.0, 3)
    camera = drift * [5.0, 3.0, 0.012] + [0.0, 0.0, rng.uniform(0.98, 1.03)]
    light = rng.uniform(0.92, 1.04) * (1 + 0.02 * smooth_noise(rng, frames, 12.0, 1)[:, 0])
    return Look(figures, _pattern(rng), camera, light)


def face_box(look: Look, figure: Figure, frame: int) -> Floats:
    """Return the box of the head as a detector finds it: (4,) x0, y0, x1, y1 in pixels."""
    half = figure.half_width * figure.scale
    return _box(look, figure, frame, half, 1.2 * half, 1.2 * half) + figure.jitter[frame, :4]


def person_box(look: Look, figure: Figure, frame: int) -> Floats:
    """Return the person's box, (4,) x0, y0, x1, y1 in pixels, clipped at the picture.

    Its size is fixed relative to the head's and does not depend on the pose.
    """
    half, above, below = (figure.scale * size for size in PERSON_BOX)
    box = _box(look, figure, frame, half, above, below) + figure.jitter[frame, 4:]
    return np.clip(box, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])


def crop_box(look: Look, figure: Figure, frame: int) -> Floats:
    """Return the square that becomes the face crop: (4,) x0, y0, x1, y1 in pixels."""
    half = figure.crop * figure.scale / 2
    return _box(look, figure, frame, half, half, half) + np.tile(figure.crop_jitter[frame], 2)


def _box(look: Look, figure: Figure, frame: int, half: float, above: float, below: float) -> Floats:
    x, y = figure.centre[frame]
    return look.place(frame, np.array([[x - half, y - above], [x + half, y + below]])).reshape(4)


def _figure(rng: np.random.Generator, person: Person, scale: float) -> Figure:
    frames = len(person.x)
    height = (126.0 if scale == 1.0 else 205.0) + 3 * smooth_noise(rng, frames, 12.0, 1)[:, 0]
    tone, shade = rng.uniform(0.55, 1.0), rng.uniform(0.1, 0.6)
    return Figure(
        scale=scale,
        half_width=rng.uniform(46, 54),
        crop=rng.uniform(116, 142),
        skin=(150 * tone, 185 * tone, 235 * tone),
        hair=(90 * shade, 120 * shade, 150 * shade),
        clothes=_colour(rng.uniform(130, 235, 3)),
        centre=np.column_stack([person.x, height]),
        jitter=np.clip(scale * rng.standard_normal((frames, 8)), -3, 3),
        crop_jitter=np.clip(scale * rng.standard_normal((frames, 2)), -3, 3),
        score=rng.uniform(0.86, 0.995, frames),
    )


def _colour(values: Floats) -> Colour:
    return float(values[0]), float(values[1]), float(values[2])


def _pattern(rng: np.random.Generator) -> np.ndarray:
    """Draw stripes of one direction and width, and a few pieces of furniture."""
    height, width = HEIGHT + 80, WIDTH + 80
    y, x = np.mgrid[:height, :width]
    angle, period = rng.uniform(0.65, 0.9), rng.uniform(46, 54)
    waves = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + rng.uniform(0, 6.3))
    for _ in range(rng.integers(1, 4)):
        left, top = rng.integers(0, width - 90), rng.integers(0, height - 90)
        waves[top : top + rng.integers(30, 90), left : left + rng.integers(30, 90)] = rng.uniform(-0.5, 0.5)
    return np.clip(np.round(127 + 127 * waves), 0, 254).astype(np.uint8)
