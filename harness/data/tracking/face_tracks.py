"""Assign face tracks to the person that an annotated name refers to, the same one throughout the video.

There is no face recognition: tracks follow overlapping boxes, and pieces of tracks are joined by position and size.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from harness.data.tracking.tracker import NOBODY, Track
from zoo.files import name_key

# The main person of these videos has no suffix, but is the one on this side (Aff-Wild2 ReadMe of edition 3).
_UNSUFFIXED = {"10-60-1280x720": "left", "video59": "left", "video2": "right"}

_SEEDS = 12  # number of heaviest tracks among which two people are looked for
_SECOND = 0.1  # share of the main subject's weight above which those three videos have a second person
_NEAR = 1.0  # a piece continues a person if it is within this many face sizes of the person's last position
_BRIEF = 3  # pieces with fewer frames that are away from the person count as mistakes of the detector
_ALONE = 0.05  # a video shows one person if at most this share of the frames with faces has two of similar size


def choose(tracks: Sequence[Track], name: str, width: int | None = None) -> Track:
    """Return the track of the person that an annotated ``name`` refers to; NOBODY if there is none.

    A name without a suffix refers to the main subject: the longest and largest track. A name with ``_left`` or
    ``_right`` refers to one of the two people who are seen together most, chosen by mean x; the three names whose main
    person has no suffix follow the same rule. If only one person is seen, a suffixed name gets that person if they
    are on that side of a frame of ``width`` pixels, or without ``width`` on any side; see `shared_width`.
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


def shared_width(name: str, video: Path, width: int) -> int | None:
    """Return a frame's width for `choose`; None if the file itself has the name.

    Aff-Wild2's two people share a file without a suffix. A file called ``cam_left.mp4`` may show one person anywhere.
    """
    return None if name_key(video.stem) == name_key(name) else width


def is_main(name: str) -> bool:
    """Return True if a name refers to the main subject of its video, whatever the side."""
    return _side(name) is None


def people_in(tracks: Sequence[Track]) -> list[Track]:
    """Join tracks into people and return everybody in a video, in order of first frame.

    People with fewer than ``_BRIEF`` faces are left out, unless there is nobody else, as in an image.
    """
    if not tracks:
        return []
    everybody = _people([], tracks, cuts=_one_person(tracks))
    found = [person for person in everybody if len(person.frames) >= _BRIEF] or everybody
    return sorted(found, key=lambda person: (person.frames[0], person.faces[0]))


def _side(name: str) -> str | None:
    """Return the side of the person that a name refers to; None for the main subject, whatever the side."""
    suffix = next((side for side in ("left", "right") if name.endswith(f"_{side}")), None)
    return suffix or _UNSUFFIXED.get(name)


def _pair(tracks: Sequence[Track], *, least: float) -> tuple[int, int] | None:
    """Return the indices of the two tracks that are seen together most, the left one first.

    Return None if no two are seen together, or with a weight of at most ``least`` times the heaviest track's.
    """
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
    """Return True if two faces of similar size (at least half as large) are hardly ever in the same frame."""
    frames = np.concatenate([track.frames for track in tracks])
    sizes = np.concatenate([track.sizes for track in tracks])
    largest = np.zeros(frames.max() + 1)
    np.maximum.at(largest, frames, sizes)
    alike = np.bincount(frames[sizes >= largest[frames] / 2])
    return bool((alike >= 2).sum() <= _ALONE * (alike >= 1).sum())


def _people(seeds: Sequence[Track], pieces: Sequence[Track], *, cuts: bool) -> list[Track]:
    """Join pieces into people and return the seeds first, then everybody else. The heaviest pieces are joined first.

    A piece joins the nearest person who is not in the same frames and who, just before or just after it, had a similar
    size (half to double) and was within _NEAR face sizes of it. Otherwise it begins a new person. ``cuts``: the video
    shows one person, who may be anywhere after a cut.
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
    """Return the distance, in face sizes, of a piece from the person just before or after it.

    It is infinite if the piece cannot be the person.
    """
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
