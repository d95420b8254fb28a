"""Tracks of faces -> the person that an annotated name means, the same one throughout the video.

Nobody is recognised: a track follows boxes that overlap, and pieces are put together by place and size.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from harness.data.tracking.tracker import NOBODY, Track

# The main person of these carries no suffix, but is the one on this side (Aff-Wild2 ReadMe of edition 3).
_UNSUFFIXED = {"10-60-1280x720": "left", "video59": "left", "video2": "right"}

_SEEDS = 12  # heaviest tracks among which two people are looked for
_SECOND = 0.1  # share of the main subject's weight that makes a second person of those three videos
_NEAR = 1.0  # a piece continues a person within this many face sizes of where the person was
_BRIEF = 3  # pieces of fewer frames, seen elsewhere than the person, are taken for mistakes of the detector
_ALONE = 0.05  # a video with two faces of like size in fewer frames than this shows one person


def choose(tracks: Sequence[Track], name: str, width: int | None = None) -> Track:
    """The track of the person that an annotated ``name`` means; NOBODY where there is none.

    Without suffix: the main subject, the longest and largest. With ``_left`` or ``_right``: of the two people most
    seen together, the one whose mean x says so; the three names whose main person has no suffix follow the same rule.
    Where only one person is seen, a suffixed name gets it if it stands on that side of a frame of ``width`` pixels.
    """
    if not tracks:
        return NOBODY
    suffix = next((side for side in ("left", "right") if name.endswith(f"_{side}")), None)
    side = _side(name)
    if side is not None and (two := _pair(tracks, least=0.0 if suffix else _SECOND)) is not None:
        seeds, rest = [tracks[k] for k in two], [track for k, track in enumerate(tracks) if k not in two]
        return _people(seeds, rest, cuts=False)[0 if side == "left" else 1]
    person = max(_people([], tracks, cuts=_one_person(tracks)), key=lambda person: person.weight)
    if suffix is not None and width is not None:
        on_left = person.centres[:, 0].mean() < width / 2
        return person if on_left == (suffix == "left") else NOBODY
    return person


def is_main(name: str) -> bool:
    """Whether a name means the main subject of its video, on whichever side it is."""
    return _side(name) is None


def people_in(tracks: Sequence[Track]) -> list[Track]:
    """Everybody in a video, put together from the tracks, in order of their first frame. Of fewer than ``_BRIEF``
    faces is nobody."""
    if not tracks:
        return []
    found = [person for person in _people([], tracks, cuts=_one_person(tracks)) if len(person.frames) >= _BRIEF]
    return sorted(found, key=lambda person: (person.frames[0], person.faces[0]))


def _side(name: str) -> str | None:
    """On which side the person that a name means is; None for the main subject, wherever it is."""
    suffix = next((side for side in ("left", "right") if name.endswith(f"_{side}")), None)
    return suffix or _UNSUFFIXED.get(name)


def _pair(tracks: Sequence[Track], *, least: float) -> tuple[int, int] | None:
    """Places of the two tracks most seen together, left one first; None where none are, or for less than ``least``
    of the heaviest track."""
    heavy = sorted(range(len(tracks)), key=lambda k: -tracks[k].weight)[:_SEEDS]
    best, found = least * tracks[heavy[0]].weight, None
    for i, j in combinations(heavy, 2):
        a, b = tracks[i], tracks[j]
        _, in_a, in_b = np.intersect1d(a.frames, b.frames, assume_unique=True, return_indices=True)
        together = float(np.minimum(a.sizes[in_a], b.sizes[in_b]).sum())
        if together > best:
            left_first = a.centres[in_a, 0].mean() <= b.centres[in_b, 0].mean()
            best, found = together, (i, j) if left_first else (j, i)
    return found


def _one_person(tracks: Sequence[Track]) -> bool:
    """Whether two faces of like size (half as large or more) are hardly ever seen in one frame."""
    frames = np.concatenate([track.frames for track in tracks])
    sizes = np.concatenate([track.sizes for track in tracks])
    largest = np.zeros(frames.max() + 1)
    np.maximum.at(largest, frames, sizes)
    alike = np.bincount(frames[sizes >= largest[frames] / 2])
    return bool((alike >= 2).sum() <= _ALONE * (alike >= 1).sum())


def _people(seeds: Sequence[Track], pieces: Sequence[Track], *, cuts: bool) -> list[Track]:
    """The seeds, then whoever else there is, each put together from pieces, heaviest first.

    A piece joins the nearest person that is not seen in the same frames, was of like size (half to double) and within
    _NEAR face sizes of it, just before or just after; else it begins a new one. ``cuts``: the video shows one person,
    who may be anywhere after a cut.
    """
    people = list(seeds)
    for piece in sorted(pieces, key=lambda track: -track.weight):
        distances = [_distance(person, piece, cuts) for person in people]
        nearest = int(np.argmin(distances)) if people else 0
        if people and distances[nearest] <= _NEAR:
            people[nearest] = _joined(people[nearest], piece)
        else:
            people.append(piece)
    return people


def _distance(person: Track, piece: Track, cuts: bool) -> float:
    """Face sizes between a piece and the person just before or after it; infinite where it cannot be the person."""
    if np.intersect1d(person.frames, piece.frames, assume_unique=True).size:
        return np.inf
    if cuts and len(piece.frames) >= _BRIEF:
        ratio = float(np.median(piece.sizes) / np.median(person.sizes))
        return 0.0 if 1 / 3 <= ratio <= 3 else np.inf  # a cut may zoom as well
    before = np.searchsorted(person.frames, piece.frames[0]) - 1
    after = np.searchsorted(person.frames, piece.frames[-1])
    nearest = np.inf
    for at, end in ((before, 0), (after, -1)):
        if 0 <= at < len(person.frames):
            sizes = person.sizes[at], piece.sizes[end]
            if max(sizes) <= 2 * min(sizes):
                step = np.linalg.norm(person.centres[at] - piece.centres[end])
                nearest = min(nearest, float(step) / max(sizes))
    return nearest


def _joined(a: Track, b: Track) -> Track:
    order = np.argsort(np.concatenate([a.frames, b.frames]), kind="stable")
    fields = ((getattr(a, name), getattr(b, name)) for name in ("frames", "faces", "boxes", "scores"))
    return Track(*(np.concatenate(pair)[order] for pair in fields))
