"""Drawing of overlay pictures: the frame with boxes, a side panel with one person's predictions, a timeline below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.data.decoding.jpeg import resize
from harness.predicting import canvas
from harness.predicting.canvas import BACK, BLUE, FAINT, GREY, ORANGE, PALETTE, WHITE, Colour
from harness.predicting.final_rows import Person
from harness.predicting.one_pass import Predicted
from zoo.api import Answer

SHORT, LONG = 360, 1920  # pixels: smaller videos are enlarged so that text is legible, larger ones shrunk
TRAIL = 2.0  # seconds of the dot's trail
CLASS_COLOURS = {
    "neutral": PALETTE[0],
    "anger": PALETTE[1],
    "disgust": PALETTE[2],
    "fear": PALETTE[3],
    "happiness": PALETTE[4],
    "sadness": PALETTE[5],
    "surprise": PALETTE[6],
}
"""Colours of the expressions that all models share, independent of the order of a model's classes."""

VALUE_COLOURS = {"valence": BLUE, "arousal": ORANGE}


class Drawing:
    """The pictures of one video's overlay.

    Args:
        predicted: The video and the predictions of its people.
        answers: The predicted quantities.
    """

    def __init__(self, predicted: Predicted, answers: Sequence[Answer]) -> None:
        info = predicted.media.info
        self.people, self.times = predicted.people, info.times
        self.classes = [a for a in answers if a.kind == "class"]
        self.units = [a for a in answers if a.kind == "binary"]
        self.values = [a for a in answers if a.kind not in ("class", "binary")]
        scale = max(1.0, SHORT / min(info.width, info.height))
        scale = min(scale, LONG / max(info.width, info.height))
        self.scale = scale
        self.width, self.height = _even(info.width * scale), _even(info.height * scale)
        self.text = int(np.clip(min(self.width, self.height) / 26, 13, 40))
        self.side = _even(self.text * 15)
        self.main = max(self.people, key=lambda person: np.isfinite(person.score).sum())
        lines = 2.2 * len(self.classes) + 5.5 * bool(self.values) + 1.8 * bool(self.units)
        self.strip = _even(self.text * (lines + 1.6))
        self.back = self._timeline()
        self.size = self.width + self.side, self.height + self.strip
        """Width and height of the pictures."""

    def __call__(self, frame: np.ndarray, index: int) -> np.ndarray:
        """Return the picture of a frame, uint8 RGB (H, W, 3)."""
        out = np.empty((self.size[1], self.size[0], 3), np.uint8)
        out[:] = BACK
        out[: self.height, : self.width] = resize(frame, self.width, self.height)
        view = out[: self.height, : self.width]
        for person in self.people:
            self._box(view, person, index)
        if not any(np.isfinite(person.score[index]) for person in self.people):
            canvas.fill(view, (0, 0), (canvas.width_of("no face", self.text) + self.text, 2 * self.text), BACK)
            canvas.write(view, "no face", (self.text // 2, round(self.text * 1.35)), self.text, GREY)
        side = np.ascontiguousarray(out[: self.height, self.width :])
        self._side(side, index)
        out[: self.height, self.width :] = side
        out[self.height :] = self._strip(index)
        return out

    # --- boxes ---

    def _box(self, view: np.ndarray, person: Person, index: int) -> None:
        box = person.face[index]
        if not np.isfinite(box).all():
            return
        x0, y0, x1, y1 = (round(float(v)) for v in box * self.scale)
        colour = self._colour(person)
        canvas.outline(view, (x0, y0), (x1, y1), colour, max(1, self.text // 8))
        words = self._label(person, index)
        wide, high = canvas.width_of(words, self.text, 600) + self.text, round(self.text * 1.5)
        left = int(np.clip(x0, 0, max(0, self.width - wide)))
        top = int(np.clip(y0 - high, 0, self.height - high))
        canvas.fill(view, (left, top), (left + wide, top + high), colour)
        canvas.write(view, words, (left + self.text // 2, top + round(self.text * 1.1)), self.text, BACK, 600)

    def _colour(self, person: Person) -> Colour:
        return PALETTE[person.number % len(PALETTE)] if len(self.people) > 1 else WHITE

    def _label(self, person: Person, index: int) -> str:
        words = [f"{person.number}"] if len(self.people) > 1 else []
        for answer in self.classes:
            chances = person.predictions.values[answer.name][index]
            best = int(chances.argmax())
            words.append(f"{answer.classes[best]} {chances[best]:.0%}")
        if not self.classes:
            words += [f"{a.name} {float(person.predictions.values[a.name][index]):+.2f}" for a in self.values[:2]]
        return "  ".join(words) or f"{person.number}"

    # --- the side panel ---

    def _side(self, side: np.ndarray, index: int) -> None:
        bars = [(str(name), answer, k) for answer in self.classes for k, name in enumerate(answer.classes)]
        units = [(answer.name, answer) for answer in self.units]
        pad, top = self.text // 2, self.text // 2
        if len(self.people) > 1:
            canvas.write(side, f"person {self.main.number}", (pad, top + self.text), self.text, self._colour(self.main))
            top += 2 * self.text
        square = min(self.side - 2 * pad, round(self.height * 0.4)) if len(self.values) > 1 else 0
        rows = len(bars) + (len(units) + 1) // 2
        row = int(np.clip((self.height - square - top - 2 * pad) / max(rows, 1), 9, self.text * 1.7))
        size = int(np.clip(row * 0.72, 9, self.text))
        for name, answer, k in bars:
            chance = float(self.main.predictions.values[answer.name][index][k])
            self._bar(side, name, chance, (pad, top, self.side - pad, top + row), size, class_colour(name, k))
            top += row
        half = self.side // 2
        for k, (name, answer) in enumerate(units):
            left = pad if k % 2 == 0 else half + pad // 2
            value = float(self.main.predictions.values[answer.name][index])
            place = (left, top, left + half - 3 * pad // 2, top + row)
            self._bar(side, name, value, place, size, ORANGE if value >= 0.5 else GREY)
            top += row * (k % 2)
        if square:
            self._plane(side, index, (self.side - square) // 2, self.height - square - pad, square)

    def _bar(
        self, side: np.ndarray, name: str, share: float, place: tuple[int, int, int, int], size: int, colour: Colour
    ) -> None:
        left, top, right, bottom = place
        middle = left + round((right - left) * 0.48)
        words = name
        while len(words) > 2 and canvas.width_of(words, size) > middle - left - 3:
            words = words[:-1]
        canvas.write(side, words, (left, bottom - round((bottom - top) * 0.3)), size)
        inner = max(1, (bottom - top) // 5)
        canvas.fill(side, (middle, top + inner), (right, bottom - inner), FAINT)
        full = middle + round((right - middle) * float(np.clip(share, 0, 1)))
        canvas.fill(side, (middle, top + inner), (full, bottom - inner), colour)

    def _plane(self, side: np.ndarray, index: int, left: int, top: int, square: int) -> None:
        """Draw the first two values as a dot with a trail in a square: the first to the right, the second upwards."""
        half, size = square // 2, max(9, round(self.text * 0.7))
        canvas.outline(side, (left, top), (left + square, top + square), FAINT, 1)
        canvas.curve(side, np.array([[left, top + half], [left + square, top + half]]), FAINT)
        canvas.curve(side, np.array([[left + half, top], [left + half, top + square]]), FAINT)
        across, up = self.values[:2]
        canvas.write(
            side, across.name, (left + square - canvas.width_of(across.name, size) - 3, top + half - 4), size, GREY
        )
        canvas.write(side, up.name, (left + half + 4, top + size + 2), size, GREY)
        first = int(np.searchsorted(self.times, self.times[index] - TRAIL))
        points = self._points(slice(first, index + 1), across, up) * half * [1, -1] + [left + half, top + half]
        for k in range(1, len(points)):
            canvas.curve(side, points[k - 1 : k + 1], canvas.shade(BLUE, k / len(points)), max(1, self.text // 8))
        x, y = np.round(points[-1]).astype(int).tolist()
        canvas.dot(side, (x, y), max(3, self.text // 4), WHITE)

    def _points(self, part: slice, across: Answer, up: Answer) -> np.ndarray:
        values = self.main.predictions.values
        return np.clip(np.stack([values[across.name][part], values[up.name][part]], axis=1), -1, 1)

    # --- the timeline ---

    def _timeline(self) -> np.ndarray:
        """Draw the whole timeline, once for all frames."""
        strip = np.empty((self.strip, self.width + self.side, 3), np.uint8)
        strip[:] = BACK
        values, top, pad = self.main.predictions.values, self.text // 2, self.text // 2
        self.left, self.right = pad, self.width + self.side - round(self.text * 5.5)
        columns = self._columns()
        size = round(self.text * 0.8)
        for answer in self.classes:
            high = round(self.text * 1.7)
            best = values[answer.name].argmax(1)[columns]
            colours = np.array([class_colour(str(name), k) for k, name in enumerate(answer.classes)])
            strip[top : top + high, self.left : self.right] = colours[best]
            canvas.write(strip, answer.name, (self.right + pad, top + round(self.text * 1.2)), size, GREY)
            top += round(self.text * 2.2)
        if self.values:
            high = round(self.text * 5)
            middle = top + high // 2
            canvas.fill(strip, (self.left, top), (self.right, top + high), canvas.shade(FAINT, 0.5))
            canvas.curve(strip, np.array([[self.left, middle], [self.right, middle]]), FAINT)
            for k, answer in enumerate(self.values):
                colour = VALUE_COLOURS.get(answer.name, PALETTE[k % len(PALETTE)])
                heights = middle - np.clip(values[answer.name][columns], -1, 1) * (high / 2 - 1)
                canvas.curve(strip, np.stack([np.arange(self.left, self.right), heights], axis=1), colour, 2)
                canvas.write(
                    strip, answer.name, (self.right + pad, top + round(self.text * (1.5 + 1.4 * k))), size, colour
                )
            top += round(self.text * 5.5)
        if self.units:
            high = round(self.text * 1.4)
            active = np.mean([values[a.name][columns] >= 0.5 for a in self.units], axis=0)
            strip[top : top + high, self.left : self.right] = (
                np.array(BACK) + (np.array(ORANGE) - np.array(BACK)) * active[:, None]
            )
            canvas.write(strip, "units active", (self.right + pad, top + round(self.text * 1.0)), size, GREY)
        return strip

    def _columns(self) -> np.ndarray:
        """Return the frame of each column of the timeline."""
        wide = self.right - self.left
        times = self.times[0] + (np.arange(wide) + 0.5) / wide * max(self.times[-1] - self.times[0], 1e-9)
        return np.clip(np.searchsorted(self.times, times, side="right") - 1, 0, len(self.times) - 1)

    def _strip(self, index: int) -> np.ndarray:
        """Return the timeline at a frame, with the part after it dimmed."""
        length = max(float(self.times[-1] - self.times[0]), 1e-9)
        now = self.left + round((self.right - self.left) * float(self.times[index] - self.times[0]) / length)
        strip = self.back.copy()
        coming = strip[:, now : self.right]
        coming[:] = (coming.astype(np.uint16) + 2 * np.array(BACK, np.uint16)) // 3
        canvas.fill(strip, (now - 1, 0), (now + 1, self.strip), WHITE)
        size = round(self.text * 0.8)
        seconds = float(self.times[index])
        words = f"{int(seconds // 60)}:{seconds % 60:04.1f}"
        canvas.write(strip, words, (self.right + self.text // 2, self.strip - size // 2), size, WHITE)
        return strip


def class_colour(name: str, place: int) -> Colour:
    """Return the colour of a class, by its name or, if that is unknown, by its position."""
    return CLASS_COLOURS.get(name.lower(), PALETTE[len(CLASS_COLOURS) + place % (len(PALETTE) - len(CLASS_COLOURS))])


def _even(value: float) -> int:
    return max(2, 2 * round(value / 2))
