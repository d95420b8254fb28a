"""Draw the frames of a video: each part of the picture shows one slot's copy and nothing of the others.

scene (context): cold or warm by valence, faint or bold stripes by arousal
face: mouth and brows by valence, eyes and brows by arousal
body: shoulders by valence, arms by arousal

A black panel and head rest behind each person keep the scene and the shoulders out of the body and face crops. They are
black because the person's box is blacked out for the context: that stream then looks the same with and without the
person, and a few unusual frames do not decide its score.

Faces are blank in the raw videos and are drawn for the face crops only. The person's box includes the head, and body
encoders would read the face there nearly as well as from the face crop (measured: r = .6, and the pose itself has .6).
"""

from __future__ import annotations

import cv2
import numpy as np

from harness.data.synthetic.appearance import PANEL, SHOULDERS, Figure, Look
from harness.data.synthetic.drawing import Pen
from harness.data.synthetic.latents import LatentTrajectory, Person
from harness.data.synthetic.video_plans import HEIGHT, WIDTH

COLD, WARM = np.array([190.0, 80.0, 30.0]), np.array([30.0, 150.0, 250.0])
BLACK = (0.0, 0.0, 0.0)
DARK, WHITE, LIPS = (45.0, 40.0, 40.0), (245.0, 245.0, 245.0), (60.0, 50.0, 170.0)
ARM = 66.0
FLOOR = 400.0  # below the lower edge of the picture


def draw_frame(story: LatentTrajectory, look: Look, frame: int) -> np.ndarray:
    """Draw one picture of the raw video: (HEIGHT, WIDTH, 3) uint8 BGR."""
    image = _scene(story, look, frame)
    pens = [Pen(image, look, figure, frame) for figure in look.figures]
    for pen in pens:
        pen.rectangle(-PANEL, -108, PANEL, FLOOR, BLACK)
    for person, pen in zip(story.people, pens, strict=True):
        gone = bool(person.out[frame])
        if not gone:
            _body(pen, *person.body[frame])
        rest = pen.figure.crop / 2 + 8  # fills the whole face crop
        pen.rectangle(-rest, -rest, rest, rest, BLACK)
        if not gone:
            _head(pen, bool(person.away[frame]))
    return image


def draw_face(image: np.ndarray, person: Person, look: Look, figure: Figure, frame: int) -> np.ndarray:
    """Return a copy of the picture `image` in which `person` has a face."""
    pen = Pen(image.copy(), look, figure, frame)
    valence, arousal = person.face[frame]
    opening, lift = max(1.2, 9 + 6.5 * arousal), -27 - 8 * arousal
    for side in (-1, 1):
        pen.ellipse(side * 20, -8, 11, opening, WHITE)
        pen.ellipse(side * 20, -8, 4.5, min(4.5, opening), DARK)
        pen.line([[side * 9, lift + 5 * valence], [side * 32, lift - 5 * valence]], 5, DARK)
    across = np.linspace(-1, 1, 13)
    pen.line(np.column_stack([27 * across, 32 + 20 * valence * (0.5 - across**2)]), 6, LIPS)
    return pen.image


def _scene(story: LatentTrajectory, look: Look, frame: int) -> np.ndarray:
    """Draw the pattern as the camera sees it, coloured by a table with one colour per shade of the pattern."""
    valence, arousal = story.scene[frame]
    colour = (COLD + np.clip(0.5 + 0.42 * valence, 0, 1) * (WARM - COLD)) * look.light[frame]
    boldness = max(0.0, 0.12 + 0.11 * arousal)
    table = colour * (1 + boldness * (np.arange(256)[:, None] / 127 - 1))
    x, y, zoom = look.camera[frame]
    height, width = look.pattern.shape
    camera = np.array([[zoom, 0, WIDTH / 2 - zoom * (width / 2 + x)], [0, zoom, HEIGHT / 2 - zoom * (height / 2 + y)]])
    pattern = cv2.warpAffine(look.pattern, camera, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    colours = np.clip(np.round(table), 0, 255).astype(np.uint8).reshape(1, 256, 3)
    return np.asarray(cv2.LUT(cv2.merge([pattern] * 3), colours))


def _body(pen: Pen, valence: float, arousal: float) -> None:
    half, angle = 62 + 17 * valence, np.radians(-60 + 62 * arousal)
    clothes, top = pen.figure.clothes, SHOULDERS
    sleeves = (0.75 * clothes[0], 0.75 * clothes[1], 0.75 * clothes[2])
    pen.polygon([[-half, top], [half, top], [0.8 * half, FLOOR], [-0.8 * half, FLOOR]], clothes)
    for side in (-1, 1):
        x, y = side * (half + ARM * np.cos(angle)), top + 8 - ARM * np.sin(angle)
        pen.line([[side * (half - 6), top + 8], [x, y]], 22, sleeves)
        pen.ellipse(x, y, 10, 10, pen.figure.skin)


def _head(pen: Pen, away: bool) -> None:
    half = pen.figure.half_width
    pen.ellipse(0, 0, half, 1.2 * half, pen.figure.hair)
    if not away:
        pen.ellipse(0, 6, 0.9 * half, 1.05 * half, pen.figure.skin)
