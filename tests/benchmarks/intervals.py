"""How often the intervals hold the truth, and how long the scores of a whole validation set take.

    uv run python tests/benchmarks/intervals.py [coverage] [paired] [time] [--trials N]

``coverage``: videos are drawn from 6,000 made-up ones whose score together is the truth; the share of 95 % intervals
that hold it, and their mean width; beside it the share of those that are not made longer towards the bias
(leaderboards.intervals). ``paired``: the same for the difference of two systems that answer the same videos
and err together; once they are equally good but for what the noise of 6,000 videos leaves, once they are not.
``time``: the whole block of scores of the record for 1.6 million frames in 356 videos.

The videos: labels and errors drift from frame to frame (AR(1)) and differ from video to video. Classes are as unequal
as those of the field, so that with few videos some never occur and score 0.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import signal, stats
from tabulate import tabulate

from leaderboards.intervals import jackknife, paired
from zoo.metrics import scores as metrics
from zoo.tracks import Answer, TrackSpec, VideoAnswers

POOL = 6_000
GROUPS = (4, 8, 16, 76)
MEMORY = 0.97
PRIORS = np.log([0.40, 0.04, 0.03, 0.03, 0.16, 0.14, 0.06, 0.14])
UNITS = np.array([-1.1, -1.6, -0.9, -0.6, -0.1, -0.2, -0.2, -1.9, -1.9, -2.0, 0.2, -1.4])
"""Means of the action units' latent values: shares of about 5 to 55 %."""
Video = tuple[dict[str, np.ndarray], list[dict[str, np.ndarray]]]
"""Targets, and each system's values."""


@dataclass(frozen=True)
class Case:
    """A metric on a kind of videos. ``make(rng, skills)``: a video answered by a system for each skill."""

    name: str
    metric: str
    answers: tuple[Answer, ...]
    range: tuple[float, float]
    make: Callable[[np.random.Generator, Sequence[float]], Video]


def drift(rng: np.random.Generator, channels: int, frames: int) -> np.ndarray:
    """(channels, frames) noise of variance 1 that resembles its neighbours."""
    shocks = rng.normal(size=(channels, frames + 100)) * np.sqrt(1 - MEMORY**2)
    out: np.ndarray = signal.lfilter([1], [1, -MEMORY], shocks, axis=1)[:, 100:]
    return out


def errors(rng: np.random.Generator, systems: int, channels: int, frames: int) -> np.ndarray:
    """(systems, channels, frames): half of the variance is common to all systems, and in each half some of it is the
    video's, some the frames'."""
    each = [0.8 * rng.normal(size=(channels, 1)) + 0.6 * drift(rng, channels, frames) for _ in range(systems + 1)]
    return np.stack([(each[0] + own) / np.sqrt(2) for own in each[1:]])


def values(rng: np.random.Generator, skills: Sequence[float], frames: int | None = None) -> Video:
    """Valence and arousal; ``frames`` 1: one row a video."""
    n = frames or int(rng.integers(150, 450))
    truth = np.clip(0.25 * rng.normal(size=(2, 1)) + 0.25 * drift(rng, 2, n), -1, 1)
    noise = errors(rng, len(skills), 2, n)
    guesses = [np.clip(s * truth + 0.25 * e + 0.05, -1, 1) for s, e in zip(skills, noise, strict=True)]
    names = ("valence", "arousal")
    return dict(zip(names, truth, strict=True)), [dict(zip(names, g, strict=True)) for g in guesses]


def expressions(rng: np.random.Generator, skills: Sequence[float]) -> Video:
    """Eight classes, each video with a leaning of its own."""
    n, classes = int(rng.integers(150, 450)), len(PRIORS)
    truth = (PRIORS[:, None] + 1.2 * rng.normal(size=(classes, 1)) + drift(rng, classes, n)).argmax(0)
    noise = errors(rng, len(skills), classes, n)
    logits = [
        2.5 * s * np.eye(classes)[truth] + (1.2 * e + 0.5 * PRIORS[:, None]).T
        for s, e in zip(skills, noise, strict=True)
    ]
    return {"expression": truth.astype(float)}, [{"expression": np.exp(x - x.max(1, keepdims=True))} for x in logits]


def units(rng: np.random.Generator, skills: Sequence[float]) -> Video:
    """Twelve action units, some of them rare."""
    n = int(rng.integers(150, 450))
    latent = UNITS[:, None] + 0.8 * rng.normal(size=(len(UNITS), 1)) + 0.6 * drift(rng, len(UNITS), n)
    noise = errors(rng, len(skills), len(UNITS), n)
    names = [f"AU{i}" for i in range(len(UNITS))]
    guesses = [1 / (1 + np.exp(-(s * latent + 0.6 * e))) for s, e in zip(skills, noise, strict=True)]
    return dict(zip(names, (latent > 0).astype(float), strict=True)), [
        dict(zip(names, g, strict=True)) for g in guesses
    ]


VA = (Answer("valence", "value", -5), Answer("arousal", "value", -5))
EXPR = (Answer("expression", "class", -1, tuple(f"class {i}" for i in range(len(PRIORS)))),)
AU = tuple(Answer(f"AU{i}", "binary", -1) for i in range(len(UNITS)))
CASES = (
    Case("mean CCC of valence and arousal", "mean_ccc", VA, (-1, 1), values),
    Case("macro F1 of 8 classes", "macro_f1", EXPR, (0, 1), expressions),
    Case("mean F1 of 12 units", "mean_f1", AU, (0, 1), units),
    Case("mean Pearson, frames", "mean_pearson", VA, (-1, 1), values),
    Case("mean Pearson, one row a video", "mean_pearson", VA, (-1, 1), lambda rng, skills: values(rng, skills, 1)),
)


def pool(case: Case, skills: Sequence[float]) -> list[list[metrics.Stats]]:
    """For each system the sums of every video."""
    rng = np.random.default_rng(0)
    found: list[list[metrics.Stats]] = [[] for _ in skills]
    for _ in range(POOL):
        targets, answered = case.make(rng, skills)
        for sums, guess in zip(found, answered, strict=True):
            sums.append(metrics.statistics(case.answers, guess, targets))
    return found


def main_of(case: Case, stats: Sequence[metrics.Stats]) -> float:
    """The score of some videos together."""
    return metrics.score(case.metric, case.answers, metrics.merge(stats)).main


def drawn(case: Case, systems: Sequence[Sequence[metrics.Stats]], groups: int, trials: int) -> Iterator[Any]:
    """Trial by trial, for each system its score on the same drawn videos and those without each of them."""
    rng = np.random.default_rng(groups)
    for _ in range(trials):
        chosen = rng.choice(POOL, groups, replace=False)
        for_each = [[videos[i] for i in chosen] for videos in systems]
        yield [(main_of(case, s), metrics.leave_one_out(case.metric, case.answers, s).tolist()) for s in for_each]


def even(total: float, rest: Sequence[float], score_range: tuple[float, float]) -> tuple[float, float]:
    """The interval without its longer side: as far down as up on the stretched scale."""
    low, high = score_range
    stretched = (2 * np.array([total, *rest]) - low - high) / (high - low)
    centre, *others = np.arctanh(np.clip(stretched, -1 + 1e-9, 1 - 1e-9))
    margin = stats.t.ppf(0.975, len(rest) - 1) * np.sqrt((len(rest) - 1) * np.var(others))
    below, above = (float(low + (np.tanh(centre + side * margin) + 1) / 2 * (high - low)) for side in (-1, 1))
    return below, above


def coverage(
    trials: int, cases: Sequence[Case] = CASES, groups: Sequence[int] = GROUPS
) -> dict[tuple[str, int], float]:
    """Of the intervals of one score: (metric, videos) -> the share that holds the truth."""
    rows, shares = [], {}
    for case in cases:
        videos = pool(case, [0.6])
        truth = main_of(case, videos[0])
        for n in groups:
            scores = [one[0] for one in drawn(case, videos, n, trials)]
            ends = [jackknife(*score, case.range) for score in scores]  # type: ignore[call-arg]
            held = shares[case.metric, n] = float(np.mean([end.low <= truth <= end.high for end in ends]))
            width = np.mean([end.high - end.low for end in ends])
            plain = np.mean([low <= truth <= high for low, high in (even(*score, case.range) for score in scores)])  # type: ignore[call-arg]
            rows.append([case.name, f"{truth:.3f}", n, f"{held:.1%}", f"{width:.3f}", f"{plain:.1%}"])
            print(*rows[-1], sep="; ", flush=True)
    headers = ["", "truth", "videos", "intervals that hold it", "mean width", "without the longer side"]
    print(tabulate(rows, headers, disable_numparse=True))
    return shares


def comparisons(
    trials: int, cases: Sequence[Case] = CASES, groups: Sequence[int] = GROUPS
) -> dict[tuple[str, int], float]:
    """Of the intervals of a difference: (metric, videos) -> the share that holds the truth, of unequal systems."""
    rows, shares = [], {}
    for case in cases:
        for skills in ([0.6, 0.6], [0.6, 0.75]):
            systems = pool(case, skills)
            truth = main_of(case, systems[1]) - main_of(case, systems[0])
            for n in groups:
                got = [paired(*b, *a) for a, b in drawn(case, systems, n, trials)]
                held = shares[case.metric, n] = float(np.mean([d.low <= truth <= d.high for d in got]))
                called = np.mean([d.p < 0.05 for d in got])
                width = np.mean([d.high - d.low for d in got])
                rows.append([case.name, f"{truth:+.3f}", n, f"{held:.1%}", f"{called:.1%}", f"{width:.3f}"])
                print(*rows[-1], sep="; ", flush=True)
    headers = ["", "true difference", "videos", "intervals that hold it", "p < 0.05", "mean width"]
    print(tabulate(rows, headers, disable_numparse=True))
    return shares


def timed(frames: int = 1_600_000, videos: int = 356) -> dict[str, float]:
    """Of the record's block of scores: track -> seconds."""
    from harness.evaluation.scoring import score_block
    from zoo.registry.tracks import find_track, load_plugins

    registry, taken = load_plugins([]), {}
    for name in ("va", "expr", "au"):
        track = find_track(registry, name, "abaw10")[1]
        answered = whole_set(track, frames, videos)
        begun = time.perf_counter()
        block = score_block(track, answered)
        seconds = taken[name] = time.perf_counter() - begun
        assert block is not None
        assert (block["frames"], len(block["groups"])) == (frames, videos)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name}: {frames:,} frames, {videos} videos: {seconds:.2f} s (peak memory so far {memory:.0f} MB)")
    return taken


def whole_set(track: TrackSpec, frames: int, videos: int) -> list[VideoAnswers]:
    """Random answers to videos of equal length, but for the first, which takes the rest."""
    rng = np.random.default_rng(0)
    lengths = np.full(videos, frames // videos)
    lengths[0] += frames - lengths.sum()
    made = []
    for i, n in enumerate(lengths):
        guess, truth = {}, {}
        for a in track.answers:
            sides = len(a.classes) or 2
            guess[a.name] = rng.dirichlet(np.ones(sides), n) if a.kind == "class" else rng.random(n)
            truth[a.name] = rng.uniform(-1, 1, n) if a.kind == "value" else rng.integers(0, sides, n).astype(float)
        made.append(VideoAnswers(f"video{i}", f"video{i}", guess, truth, {}, np.arange(n) / 30))
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", default=["coverage", "paired", "time"])
    parser.add_argument("--trials", type=int, default=1000)
    given = parser.parse_args()
    for part in given.parts:
        if part == "time":
            timed()
        else:
            {"coverage": coverage, "paired": comparisons}[part](given.trials)
