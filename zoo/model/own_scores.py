"""Map an encoder's own predictions to the answers of a track, by the names of classes and values.

ready = match("fer", OwnScores(("angry", "happy", ...)), track.name, track.answers)
ready.notes                       # ("the model has no class Other, which is never predicted", ...)
ready.decode(encoder.scores(x))   # (..., 8): probabilities of the track's classes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.api import Answer, OwnScores
from zoo.errors import UserError
from zoo.registry.class_names import plain


@dataclass(frozen=True)
class Ready:
    """A mapping from a model's own scores to the answers of a track.

    Attributes:
        answers: The track's answers.
        columns: For each answer the columns of the scores, None for a class that the model lacks.
        lacking: The track's classes that the model lacks.
        unused: The model's classes that the track lacks.
    """

    answers: tuple[Answer, ...]
    columns: tuple[tuple[int | None, ...], ...]
    lacking: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the classes for the user, one sentence each."""
        notes = []
        if self.lacking:
            notes.append(f"the model has no class {', '.join(self.lacking)}, which is never predicted")
        if self.unused:
            notes.append(f"the track has no class {', '.join(self.unused)}: the others share its probability")
        return tuple(notes)

    def decode(self, scores: Tensor) -> Tensor:
        """Decode scores (..., K) -> (..., sum of the answers' widths), as a loss does.

        The result has class probabilities, and values within their range. Classes that the track lacks are left out
        before the softmax.
        """
        parts = []
        for answer, columns in zip(self.answers, self.columns, strict=True):
            if answer.kind == "class":
                shared = [(place, column) for place, column in enumerate(columns) if column is not None]
                places, chosen = (list(each) for each in zip(*shared, strict=True))
                out = scores.new_zeros(*scores.shape[:-1], len(columns))
                out[..., places] = scores[..., chosen].softmax(-1)
            else:
                out = scores[..., [column for column in columns if column is not None]].clamp(answer.low, answer.high)
            parts.append(out)
        return torch.cat(parts, -1)

    def absent(self) -> Tensor:
        """Return the prediction (sum of widths,) where there is no input: uniform classes, the middle of a range."""
        parts = []
        for answer in self.answers:
            if answer.kind == "class":
                parts.append(torch.full((len(answer.classes),), 1 / len(answer.classes)))
            else:
                parts.append(torch.tensor([(answer.low + answer.high) / 2]))
        return torch.cat(parts)


def match(who: str, own: OwnScores, track: str, answers: Sequence[Answer]) -> Ready:
    """Find every answer of a track among a model's own predictions.

    Args:
        who: The model's name, for errors.
        own: The model's predictions.
        track: The track's name, for errors.
        answers: The track's answers.

    Raises:
        UserError: The model does not predict one of the answers, or has fewer than two of its classes.
    """
    places = {plain(name): place for place, name in enumerate(own.classes)}
    values = {name.lower(): len(own.classes) + place for place, name in enumerate(own.values)}
    columns: list[tuple[int | None, ...]] = []
    wanted: list[str] = []
    for answer in answers:
        if answer.kind == "class" and own.classes:
            wanted += answer.classes
            found = tuple(places.get(plain(name)) for name in answer.classes)
            if sum(column is not None for column in found) < 2:
                given = ", ".join(own.classes)
                raise UserError(
                    "ready-no-classes", who=who, classes=given, name=track, wanted=", ".join(answer.classes)
                )
            columns.append(found)
        elif answer.kind == "value" and answer.name.lower() in values and (answer.low, answer.high) == (-1.0, 1.0):
            columns.append((values[answer.name.lower()],))
        else:
            given = ", ".join((*own.classes, *own.values))
            raise UserError("ready-no-answer", who=who, given=given, answer=answer.name, name=track)
    known = {plain(name) for name in wanted}
    lacking = tuple(name for name in wanted if plain(name) not in places)
    unused = tuple(name for name in own.classes if wanted and plain(name) not in known)
    return Ready(tuple(answers), tuple(columns), lacking, unused)
