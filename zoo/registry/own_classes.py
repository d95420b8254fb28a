"""The class scores of frozen encoders that predict by themselves, as probabilities of a track's classes.

They are the last columns of the slot's features if ``encoder.SLOT.scores=true``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.api import Answer
from zoo.registry.class_names import plain

if TYPE_CHECKING:
    import numpy as np

    from zoo.registry.plan import SlotPlan


@dataclass(frozen=True)
class OwnClasses:
    """The place of an encoder's class scores among the features of its slot, and the track's classes that they mean.

    Attributes:
        slot: The slot.
        answer: Name of the track's answer.
        scores: Number of the encoder's scores, the last columns of the features: logits of classes, then values.
        classes: Number of its classes.
        columns: For each class of the answer the place among the encoder's classes, None if the encoder lacks it.
    """

    slot: str
    answer: str
    scores: int
    classes: int
    columns: tuple[int | None, ...]

    @property
    def key(self) -> str:
        """The name of the probabilities in VideoAnswers.extra."""
        return f"own.{self.slot}.{self.answer}"

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return the encoder's own probabilities of the answer's classes.

        The softmax is over all classes of the encoder, so that a class that the track lacks lowers the confidence in
        the others; a class that the encoder lacks has probability 0. So the sum is at most 1.

        Args:
            features: (..., D), the slot's features with its scores.

        Returns:
            (..., classes of the answer), float64.
        """
        import numpy as np  # a plan of a run is made without it

        first = features.shape[-1] - self.scores
        scores = features[..., first : first + self.classes].astype(np.float64)
        own = np.exp(scores - scores.max(-1, keepdims=True))
        own /= own.sum(-1, keepdims=True)
        out = np.zeros((*own.shape[:-1], len(self.columns)))
        for place, column in enumerate(self.columns):
            if column is not None:
                out[..., place] = own[..., column]
        return out


def own_classes(slots: Iterable[SlotPlan], answers: Sequence[Answer]) -> tuple[OwnClasses, ...]:
    """Return the class scores among the features of all slots: those of frozen encoders with ``scores=true``.

    An encoder counts for an answer if it has at least two of its classes. A trained encoder does not count: training
    changes its scores.
    """
    found = []
    for slot in slots:
        own = slot.own_scores if slot.frozen and slot.scores else None
        places = {plain(name): place for place, name in enumerate(own.classes)} if own is not None else {}
        for answer in answers:
            columns = tuple(places.get(plain(name)) for name in answer.classes)
            if own is not None and answer.kind == "class" and sum(column is not None for column in columns) > 1:
                scores = len(own.classes) + len(own.values)
                found.append(OwnClasses(slot.name, answer.name, scores, len(own.classes), columns))
    return tuple(found)
