"""Person boxes by body proportions from face boxes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

GAP_SECONDS = 1.0  # gaps of the face up to this length are interpolated for person boxes

# The person's size in widths and heights of the face. Sideways: HAIR if the frame ends at the chin, ARMS (shoulders and
# bent arms) if it shows a face's height or more below the chin. ABOVE: hair. BELOW: from the chin to the feet of
# somebody standing (a body is eight to nine face heights tall); the box is clipped at the frame.
HAIR, ARMS, ABOVE, BELOW = 0.4, 1.5, 0.5, 7.5


def faces_and_people(face: np.ndarray, width: int, height: int, *, max_gap: int = 25) -> np.ndarray:
    """Return face boxes with gaps interpolated, and person boxes by body proportions, together (n, 8) float32.

    A face box is extended by ABOVE face heights above, BELOW face heights below, and HAIR to ARMS face widths on each
    side, growing with how much the frame shows below the chin: in a close-up, shoulders outside the picture must not
    hide the scene. The result is clipped at the frame.

    Args:
        face: (n, 4) x0 y0 x1 y1 in pixels; NaN if no face is detected.
        width: Width of the frame.
        height: Height of the frame.
        max_gap: Gaps of up to so many frames are interpolated; longer ones are NaN.
    """
    face = _interpolated(face.astype(np.float64), max_gap)
    wide, high = face[:, 2] - face[:, 0], face[:, 3] - face[:, 1]
    shown = np.clip((height - face[:, 3]) / np.maximum(high, 1), 0, 1)
    side = (HAIR + (ARMS - HAIR) * shown) * wide
    person = face + np.stack([-side, -ABOVE * high, side, BELOW * high], axis=1)
    person = np.clip(person, 0, [width, height, width, height])
    return np.concatenate([face, person], axis=1).astype(np.float32)


def _interpolated(values: np.ndarray, max_gap: int) -> np.ndarray:
    """Fill gaps of at most ``max_gap`` rows of NaN between known rows by linear interpolation."""
    known = np.flatnonzero(np.isfinite(values).all(axis=1))
    out = values.copy()
    for before, after in pairwise(known):
        if 1 < after - before <= max_gap + 1:
            weight = (np.arange(before + 1, after) - before)[:, None] / (after - before)
            out[before + 1 : after] = (1 - weight) * values[before] + weight * values[after]
    return out
