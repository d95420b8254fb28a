"""Equations of the demo set: people's valence and arousal, and how much of them each slot shows.

Valence and arousal are smooth random curves. Face, context, body and audio each show their own noisy copy. Labels
follow the curves; drawings and sounds follow the copies. The information that a slot has about the labels is therefore
known before anything is drawn: `oracle.py` needs this file only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.data.synthetic.video_plans import VideoPlan

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SLOTS = ("face", "context", "body", "audio")
# Noise that each slot adds to (valence, arousal). The slots differ, so that two of them are better than either alone.
NOISE = {"face": (0.48, 0.52), "context": (0.38, 0.55), "body": (0.60, 0.45), "audio": (0.50, 0.33)}
LATENT_WIDTH, NOISE_WIDTH = 6.0, 3.0  # standard deviations of the smoothing kernels, in frames
CLIP = 1.5  # copies are clipped to +-CLIP, the range for which the drawing has room

EXPRESSIONS = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Other")
AUS = ("AU1", "AU2", "AU4", "AU6", "AU7", "AU10", "AU12", "AU15", "AU23", "AU24", "AU25", "AU26")
NEUTRAL_RADIUS = 0.27
# (upper angle in degrees, class), counter-clockwise from positive valence, with arousal pointing up
SECTORS = ((50, 4), (100, 6), (135, 3), (165, 1), (205, 2), (275, 5), (335, 7), (360, 4))
# Weights of the face's valence and arousal, and the threshold above which the unit is active
AU_FORMS = np.array(
    [
        (-0.35, 0.94, 0.32),  # AU1 inner brow raiser
        (0.10, 0.99, 0.30),  # AU2 outer brow raiser
        (-0.98, 0.20, 0.28),  # AU4 brow lowerer
        (0.97, 0.24, 0.24),  # AU6 cheek raiser
        (0.60, -0.80, 0.38),  # AU7 lid tightener
        (-0.80, 0.60, 0.40),  # AU10 upper lip raiser
        (1.00, 0.00, 0.16),  # AU12 lip corner puller
        (-0.94, -0.34, 0.34),  # AU15 lip corner depressor
        (-0.55, 0.84, 0.42),  # AU23 lip tightener
        (-0.30, -0.95, 0.36),  # AU24 lip pressor
        (0.50, 0.87, 0.12),  # AU25 lips part
        (0.25, 0.97, 0.40),  # AU26 jaw drop
    ]
)
AU_NOISE = 0.15
UNLABELLED_VA, UNLABELLED = -5.0, -1


@dataclass(frozen=True)
class Person:
    """One annotated person of a video; arrays run over its T frames."""

    name: str
    latent: Floats
    """(T, 2) valence and arousal, in -1..1, rounded to three decimals as in the files."""
    au_scores: Floats
    """(T, 12) linear forms to which the AU thresholds are applied."""
    va: Floats
    """(T, 2) labels: the latent, -5 where unlabelled."""
    expression: Ints
    """(T,) labels 0..7, -1 where unlabelled."""
    aus: Ints
    """(T, 12) labels 0 or 1, -1 where unlabelled."""
    face: Floats
    """(T, 2) the copy that the face shows."""
    body: Floats
    """(T, 2) the copy that the pose shows."""
    x: Floats
    """(T,) horizontal position of the head in the scene, in pixels, before the camera moves."""
    away: Bools
    """(T,) True if the head is turned away."""
    out: Bools
    """(T,) True if the person has left the picture."""
    covered: Bools
    """(T,) True if another person's head is in front of this one's."""

    @property
    def face_seen(self) -> Bools:
        """(T,) bool: frames that have a face crop."""
        return ~(self.away | self.out | self.covered)


@dataclass(frozen=True)
class LatentTrajectory:
    """The course of one raw video: people, copies and times."""

    plan: VideoPlan
    people: tuple[Person, ...]
    scene: Floats
    """(T, 2) the copy that the scene shows; for two people, a copy of their mean."""
    voice: Floats
    """(T, 2) the copy that the voice carries; for two people, a copy of their mean."""
    silent: Bools
    """(T,) True if there is no voice: a pause, or the sound has not begun."""
    times: Floats
    """(T,) seconds of the frames from the first one."""


def draw_story(plan: VideoPlan, seed: int, shares: Mapping[str, float], round_: int = 0) -> LatentTrajectory:
    """Draw one video's story. `round_` 0 is the one that is rendered; others are more draws of the same equations."""
    rng = np.random.default_rng([seed, plan.index, round_, 0])
    frames = plan.frames
    latents = [_latent(rng, frames) for _ in plan.suffixes]
    shared = np.mean(latents, axis=0)
    paths = _paths(rng, len(plan.suffixes), frames)
    people = tuple(_person(rng, plan, name, latents[i], paths, i, shares) for i, name in enumerate(plan.names))
    scene = _copy(rng, shared, "context", shares)
    voice = _copy(rng, shared, "audio", shares)
    silent = _stretch(rng, frames, 0.06, 0.16)
    times = _times(rng, plan)
    return LatentTrajectory(plan, people, scene, voice, silent | (times < plan.sound_start), times)


def visible_frames(story: LatentTrajectory, person: Person) -> dict[str, Bools]:
    """Return slot -> (T,) bool: frames at which the slot carries its copy of this person."""
    always = np.ones(story.plan.frames, dtype=bool)
    return {"face": person.face_seen, "context": always, "body": ~person.out, "audio": ~story.silent}


def smooth_noise(rng: np.random.Generator, frames: int, width: float, columns: int = 2) -> Floats:
    """Draw Gaussian noise (frames, columns) of unit variance, smoothed with a Gaussian of `width` frames."""
    reach = int(np.ceil(4 * width))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    white = rng.standard_normal((frames + 2 * reach, columns))
    return np.stack([np.convolve(white[:, c], kernel, "valid") for c in range(columns)], axis=1)


def _latent(rng: np.random.Generator, frames: int) -> Floats:
    level = 0.2 * rng.standard_normal(2)
    curve = np.tanh(1.15 * (level + 0.403 * smooth_noise(rng, frames, LATENT_WIDTH)))
    return np.asarray(np.round(curve, 3), dtype=np.float64)


def _noisy(rng: np.random.Generator, latent: Floats, slot: str) -> Floats:
    return latent + np.array(NOISE[slot]) * smooth_noise(rng, len(latent), NOISE_WIDTH)


def _mixed(rng: np.random.Generator, copy: Floats, slot: str, shares: Mapping[str, float]) -> Floats:
    """Mix the copy with an unrelated person's by the slot's share, so that the slot looks alike at every share."""
    share = shares[slot]
    stranger = _noisy(rng, _latent(rng, len(copy)), slot)
    return np.clip(share * copy + np.sqrt(1 - share**2) * stranger, -CLIP, CLIP)


def _copy(rng: np.random.Generator, latent: Floats, slot: str, shares: Mapping[str, float]) -> Floats:
    return _mixed(rng, _noisy(rng, latent, slot), slot, shares)


def _person(
    rng: np.random.Generator,
    plan: VideoPlan,
    name: str,
    latent: Floats,
    paths: Floats,
    which: int,
    shares: Mapping[str, float],
) -> Person:
    frames = plan.frames
    true_face = _noisy(rng, latent, "face")
    hidden = _stretch(rng, frames, 0.10, 0.25)
    away = hidden & (rng.random() < 2 / 3)
    au_scores = np.clip(true_face, -CLIP, CLIP) @ AU_FORMS[:, :2].T
    au_scores = au_scores + AU_NOISE * rng.standard_normal(au_scores.shape)
    va, expression, aus = _labels(rng, latent, au_scores)
    if plan.line_shift < 0:  # the last frame has no line
        va[-1], expression[-1], aus[-1] = UNLABELLED_VA, UNLABELLED, UNLABELLED
    return Person(
        name=name,
        latent=latent,
        au_scores=au_scores,
        va=va,
        expression=expression,
        aus=aus,
        face=_mixed(rng, true_face, "face", shares),
        body=_copy(rng, latent, "body", shares),
        x=paths[which],
        away=away,
        out=hidden & ~away,
        covered=_covered(paths, which),
    )


def _labels(rng: np.random.Generator, latent: Floats, au_scores: Floats) -> tuple[Floats, Ints, Ints]:
    """Return the labels of the three tracks. In each, half of the people have an unlabelled stretch of their own."""
    va, expression = latent.copy(), expressions(latent)
    aus = (au_scores > AU_FORMS[:, 2]).astype(np.int64)
    gaps = [_stretch(rng, len(va), 0.05, 0.12) & (rng.random() < 0.5) for _ in range(3)]
    va[gaps[0]], expression[gaps[1]], aus[gaps[2]] = UNLABELLED_VA, UNLABELLED, UNLABELLED
    if gaps[0].any():  # Aff-Wild2 also has frames where one of the two values alone is missing
        first = gaps[0].argmax()
        va[first, 0] = latent[first, 0]
    return va, expression, aus


def expressions(latent: Floats) -> Ints:
    """Map valence and arousal (T, 2) to classes (T,) of EXPRESSIONS: neutral near the origin, else by angle."""
    angle = np.degrees(np.arctan2(latent[:, 1], latent[:, 0])) % 360
    ends = [end for end, _ in SECTORS]
    sector = np.array([label for _, label in SECTORS])[np.searchsorted(ends, angle, side="right")]
    return np.where(np.hypot(latent[:, 0], latent[:, 1]) < NEUTRAL_RADIUS, 0, sector)


def _stretch(rng: np.random.Generator, frames: int, low: float, high: float) -> Bools:
    """Draw one run of frames at a random place, (T,) bool; its length is a share `low` to `high` of all frames."""
    length = max(1, round(frames * rng.uniform(low, high)))
    start = rng.integers(0, frames - length + 1)
    index = np.arange(frames)
    return (index >= start) & (index < start + length)


def _paths(rng: np.random.Generator, people: int, frames: int) -> Floats:
    """Draw head positions (people, T). Two people swap sides once, late: each keeps its side for most of the time."""
    sway = 4 * smooth_noise(rng, frames, 12.0, people).T
    if people == 1:
        return 320 + rng.uniform(-45, 45) + sway
    middle, width = rng.uniform(0.66, 0.74) * frames, 0.16 * frames
    step = np.clip((np.arange(frames) - middle) / width + 0.5, 0, 1)
    crossed = step * step * (3 - 2 * step)
    return np.stack([175 + 290 * crossed, 465 - 290 * crossed]) + sway


def _covered(paths: Floats, which: int) -> Bools:
    """Return the frames (T,) bool at which this head is behind another one; the last person is in front."""
    if which == len(paths) - 1:
        return np.zeros(paths.shape[1], dtype=bool)
    return np.abs(paths[which] - paths[-1]) < 62


def _times(rng: np.random.Generator, plan: VideoPlan) -> Floats:
    steps = np.full(plan.frames - 1, 1 / float(plan.rate))
    if plan.variable:  # a phone's camera: from half to twice the nominal interval, in whole milliseconds
        steps = np.round(steps * 1000 * np.exp2(rng.uniform(-1, 1, plan.frames - 1))) / 1000
    return np.concatenate([[0.0], np.cumsum(steps)])
