"""AffectNet's labels: codes of expressions, and what counts as missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zoo.corpora import check_rows
from zoo.tracks import Answer

CODES = (
    *("Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Anger", "Contempt"),
    *("None", "Uncertain", "No-Face"),
)
"""The corpus's names of its codes 0 to 10; the last three are no expressions."""
MISSING = -2
"""Valence and arousal of a picture that has none."""


def answers(classes: int) -> tuple[Answer, ...]:
    """Return what AffectNet labels, with the first 7 or 8 of its expressions."""
    return (
        Answer("expression", "class", invalid=8, classes=CODES[:classes]),
        Answer("valence", "value", invalid=MISSING),
        Answer("arousal", "value", invalid=MISSING),
    )


def labels_of(file: Path, codes: np.ndarray, values: np.ndarray, classes: int, first_line: int = 1) -> np.ndarray:
    """Return (N, 3) float32 labels of codes (N,) and values (N, 2), NaN where missing.

    Raises:
        UserError: A code is none of 0 to 10, or a value is neither -2 nor in [-1, 1]; it names file and line.
    """
    known = (codes >= 0) & (codes < len(CODES)) & (codes % 1 == 0)
    check_rows(file, known, codes, "expression", f"a whole number from 0 to {len(CODES) - 1}", first_line)
    for column, name in enumerate(("valence", "arousal")):
        given = values[:, column]
        inside = (given == MISSING) | (np.abs(given) <= 1)
        check_rows(file, inside, given, name, "a number from -1 to 1, or -2 where there is none", first_line)
    expression = np.where(codes < classes, codes, np.nan)
    known_values = np.where((values == MISSING).any(1, keepdims=True), np.nan, values)
    return np.column_stack([expression, known_values]).astype(np.float32)
