"""Lin's concordance correlation coefficient: one formula for the metric, the loss and the demo set's ceilings."""

from __future__ import annotations

from typing import Any


def concordance_terms(covariance: Any, variance_x: Any, variance_y: Any, gap: Any) -> tuple[Any, Any]:
    """Numerator and denominator of CCC, of which the caller says what it is when the denominator is 0.

    ``gap``: the squared difference of the means. All four may be multiplied by the number of frames. They are numbers,
    arrays or tensors alike, and so are the terms. Lin, Biometrics 45 (1989).
    """
    return 2 * covariance, variance_x + variance_y + gap
