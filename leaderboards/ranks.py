"""Places of runs that were scored on the same videos: a higher score does not prove a better run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leaderboards.intervals import paired

FEWEST = 10
"""Number of groups of videos below which no places should be given."""
LEVEL = 0.05
"""A difference with a larger p is not taken as a difference."""

Scored = tuple[float, Mapping[str, float]]
"""A run's score, and group -> its score without the group."""


def places(runs: Sequence[Scored]) -> list[str]:
    """Return the place of each run, given from the best to the worst: "1", or "1=" if several share it.

    A new place begins at the first run that the paired comparison can distinguish from the first run of the last place.
    Runs that were not scored on the same groups cannot be distinguished.
    """
    leaders: list[int] = []
    for i, run in enumerate(runs):
        leaders.append(leaders[-1] if i and not _differ(runs[leaders[-1]], run) else i)
    return [f"{leader + 1}=" if leaders.count(leader) > 1 else f"{leader + 1}" for leader in leaders]


def printed(scores: Sequence[float]) -> list[str]:
    """Return the place of each published score, in the given order: one more than the number of higher scores.

    Equal scores share a place, such as "2=".
    """
    return [f"{sum(s > score for s in scores) + 1}" + ("=" if scores.count(score) > 1 else "") for score in scores]


def _differ(a: Scored, b: Scored) -> bool:
    (score_a, without_a), (score_b, without_b) = a, b
    if without_a.keys() != without_b.keys():
        return False
    groups = list(without_a)
    compared = paired(score_a, [without_a[g] for g in groups], score_b, [without_b[g] for g in groups])
    return compared.p < LEVEL
