"""Lin's concordance correlation coefficient: one formula for the metric, the loss and the demo set's ceilings."""

from __future__ import annotations

from typing import Any


def concordance_terms(covariance: Any, variance_x: Any, variance_y: Any, gap: Any) -> tuple[Any, Any]:
    """Return the numerator and denominator of CCC. The caller decides what CCC is if the denominator is 0.

    The arguments are numbers, arrays or tensors, and so are the results. All four may be multiplied by the number of
    frames. Lin, Biometrics 45 (1989).

    Args:
        covariance: Covariance of x and y.
        variance_x: Variance of x.
        variance_y: Variance of y.
        gap: The squared difference of the means.
    """
    return 2 * covariance, variance_x + variance_y + gap
