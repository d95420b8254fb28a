"""Score ceilings of the demo set: scores of an oracle that sees the slots' true copies instead of pictures and sound.

The oracle is a windowed ridge regression, fitted on 300 more latent videos of the same equations. Frames at which a
slot is hidden are hidden from it too. `python -m harness.data.synthetic.oracle` writes `ceilings.json` for the standard
set.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from harness.data.synthetic.latents import (
    EXPRESSIONS,
    SLOTS,
    UNLABELLED,
    UNLABELLED_VA,
    Bools,
    Floats,
    Ints,
    LatentTrajectory,
    Person,
    draw_story,
    expressions,
    visible_frames,
)
from harness.data.synthetic.standard import DEMO_VERSION, STANDARD_FRAMES, STANDARD_VIDEOS
from harness.data.synthetic.video_plans import VideoPlan, plan_videos
from zoo.files import part_name
from zoo.metrics.concordance import concordance_terms

REACH = 10  # frames of context on each side
FIT_VIDEOS = 300
RIDGE = 1e-3
SPAN, CELLS = 1.5, 41  # expressions are counted on a grid of the valence-arousal plane: +-SPAN, CELLS per side
CEILINGS = Path(__file__).with_name("ceilings.json")

Ceilings = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Table:
    """Frames of all people, one per row."""

    inputs: Floats
    """(N, 1 + 4 * 3 * (2 * REACH + 1)): a constant, then slot by slot valence, arousal and presence in the window."""
    latent: Floats
    """(N, 2) valence and arousal, including unlabelled frames."""
    au_scores: Floats
    """(N, 12) linear forms to which the AU thresholds are applied."""
    va: Floats
    expression: Ints
    aus: Ints


def combos() -> list[tuple[str, ...]]:
    """Return the 15 combinations of slots, small ones first."""
    return [combo for size in range(1, len(SLOTS) + 1) for combo in combinations(SLOTS, size)]


def ceilings(plans: Sequence[VideoPlan], seed: int, shares: Mapping[str, float]) -> Ceilings:
    """Return track -> combination (`face+audio`) -> the oracle's score on the validation videos among `plans`.

    `va`: mean CCC; `expr`: macro-F1 over 8 classes; `au`: mean F1 over 12 units; each pooled over labelled frames.
    """
    filmed = [plan for plan in plans if plan.split == "val"]
    val = tabulate(draw_story(plan, seed, shares) for plan in filmed)
    fit = tabulate(draw_story(filmed[k % len(filmed)], seed, shares, 1 + k // len(filmed)) for k in range(FIT_VIDEOS))
    targets = np.hstack([fit.latent, fit.au_scores])
    gram = fit.inputs.T @ fit.inputs / len(targets)
    cross = fit.inputs.T @ targets / len(targets)
    scores: Ceilings = {"va": {}, "expr": {}, "au": {}}
    for combo in combos():
        columns = slot_columns(combo)
        penalty = np.diag([0.0] + [RIDGE] * (len(columns) - 1))
        weights = np.linalg.solve(gram[np.ix_(columns, columns)] + penalty, cross[columns])
        known, guess = fit.inputs[:, columns] @ weights, val.inputs[:, columns] @ weights
        name = "+".join(combo)
        scores["va"][name] = _va_score(known[:, :2], fit, guess[:, :2], val)
        scores["expr"][name] = _expr_score(known[:, :2], fit, guess[:, :2], val)
        scores["au"][name] = _au_score(known[:, 2:], fit, guess[:, 2:], val)
    return scores


def tabulate(stories: Iterable[LatentTrajectory]) -> Table:
    """Stack the frames of all people of `stories`."""
    pairs = [(story, person) for story in stories for person in story.people]
    people = [person for _, person in pairs]
    return Table(
        inputs=np.concatenate([_windows(story, person) for story, person in pairs]),
        latent=np.concatenate([person.latent for person in people]),
        au_scores=np.concatenate([person.au_scores for person in people]),
        va=np.concatenate([person.va for person in people]),
        expression=np.concatenate([person.expression for person in people]),
        aus=np.concatenate([person.aus for person in people]),
    )


def slot_columns(combo: Sequence[str]) -> list[int]:
    """Return the columns of Table.inputs that an oracle with the slots of `combo` sees; the first is the constant."""
    size = 3 * (2 * REACH + 1)
    starts = [1 + size * SLOTS.index(slot) for slot in combo]
    return [0] + [start + k for start in starts for k in range(size)]


def _windows(story: LatentTrajectory, person: Person) -> Floats:
    """Return inputs (T, 1 + 4 * 3 * (2 * REACH + 1)): zeros where a slot is absent and beyond the video's ends."""
    copies = {"face": person.face, "context": story.scene, "body": person.body, "audio": story.voice}
    seen = visible_frames(story, person)
    frames = story.plan.frames
    columns = [np.ones((frames, 1))]
    for slot in SLOTS:
        shown = np.column_stack([copies[slot], np.ones(frames)]) * seen[slot][:, None]
        padded = np.pad(shown, ((REACH, REACH), (0, 0)))
        columns += [padded[k : k + frames] for k in range(2 * REACH + 1)]
    return np.hstack(columns)


def _va_score(known: Floats, fit: Table, guess: Floats, val: Table) -> float:
    """Return the mean CCC of predictions stretched to the labels' standard deviation.

    A regression shrinks towards the mean; CCC is highest without that shrinkage.
    """
    stretch = fit.latent.std(axis=0) / known.std(axis=0)
    answer = (guess - known.mean(axis=0)) * stretch + fit.latent.mean(axis=0)
    rows = (val.va != UNLABELLED_VA).all(axis=1)
    return float(np.mean([_ccc(answer[rows, k], val.va[rows, k]) for k in range(2)]))


def _ccc(x: Floats, y: Floats) -> float:
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    both, apart = concordance_terms(covariance, x.var(), y.var(), (x.mean() - y.mean()) ** 2)
    return float(both / apart)


def _expr_score(known: Floats, fit: Table, guess: Floats, val: Table) -> float:
    """Return the macro-F1 of the most frequent class around the predicted valence and arousal.

    Rare classes are weighted up, because macro-F1 averages over classes. The weighting that scores best on the second
    half of `fit` is used.
    """
    truth, half = expressions(fit.latent), len(fit.latent) // 2
    counts = np.stack([_density(known[:half][truth[:half] == c]) for c in range(len(EXPRESSIONS))])
    share = np.bincount(truth[:half], minlength=len(EXPRESSIONS)) / half
    rules = [(counts / share[:, None, None] ** power).argmax(axis=0) for power in (0.0, 0.25, 0.5, 0.75, 1.0)]
    best = max(rules, key=lambda rule: _macro_f1(rule[_cells(known[half:])], truth[half:]))
    rows = val.expression != UNLABELLED
    return _macro_f1(best[_cells(guess[rows])], val.expression[rows])


def _cells(points: Floats) -> tuple[Ints, Ints]:
    """Map points (N, 2) of the plane to the row and column of their cells."""
    cells = np.clip(np.round((points / SPAN + 1) / 2 * (CELLS - 1)), 0, CELLS - 1).astype(np.int64)
    return cells[:, 0], cells[:, 1]


def _density(points: Floats) -> Floats:
    """Count points (N, 2) per cell, smoothed: (CELLS, CELLS).

    Counts are never quite zero, so that far cells follow their nearest points.
    """
    counts = np.zeros((CELLS, CELLS))
    np.add.at(counts, _cells(points), 1.0)
    return gaussian_filter(counts, 1.0) + 1e-6 * gaussian_filter(counts, 6.0)


def _macro_f1(answer: Ints, truth: Ints) -> float:
    return float(np.mean([_f1(answer == c, truth == c) for c in range(len(EXPRESSIONS))]))


def _f1(answer: Bools, truth: Bools) -> float:
    """Return the F1 of the positive class; 0 if it neither occurs nor is predicted."""
    return float(2 * (answer & truth).sum() / max(1, answer.sum() + truth.sum()))


def _au_score(known: Floats, fit: Table, guess: Floats, val: Table) -> float:
    """Return the mean F1 over units, each with the threshold that is best on every fifth row of `fit`."""
    scores = []
    for unit in range(guess.shape[1]):
        tried, labelled = known[::5, unit], fit.aus[::5, unit] != UNLABELLED
        truth = fit.aus[::5, unit] == 1
        cuts = np.quantile(tried, np.linspace(0.3, 0.95, 40))
        cut = max(cuts, key=lambda c: _f1((tried > c)[labelled], truth[labelled]))
        rows = val.aus[:, unit] != UNLABELLED
        scores.append(_f1(guess[rows, unit] > cut, val.aus[rows, unit] == 1))
    return float(np.mean(scores))


def standard_ceilings(seed: int) -> Ceilings:
    """Return the ceilings of the set that `make_demo(out, seed=seed)` makes, rounded to six decimals."""
    scores = ceilings(plan_videos(STANDARD_VIDEOS, STANDARD_FRAMES), seed, dict.fromkeys(SLOTS, 1.0))
    return {track: {combo: round(x, 6) for combo, x in row.items()} for track, row in scores.items()}


def main() -> None:
    """Write `ceilings.json` for seeds 0, 1 and 2."""
    content = {
        "version": DEMO_VERSION,
        "videos": STANDARD_VIDEOS,
        "frames": STANDARD_FRAMES,
        "seeds": {str(seed): standard_ceilings(seed) for seed in range(3)},
    }
    part = part_name(CEILINGS)
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(part, CEILINGS)


if __name__ == "__main__":
    main()
