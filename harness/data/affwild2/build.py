"""Build the index of a track from an Aff-Wild2 folder of any edition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from harness.data.affwild2.annotation_sets import choose_annotations, choose_list, other_annotations
from harness.data.affwild2.cached_files import Files
from harness.data.affwild2.folder_layout import survey
from harness.data.affwild2.groups import group_of, without_side
from harness.data.affwild2.media import Media
from harness.data.affwild2.raw_video_names import known_names
from harness.data.affwild2.subjects import Subject, annotated, from_list, from_names
from harness.data.index.group_tables import read_groups, unknown_note
from harness.data.index.index import NO_MEDIA, Index, Video, _length_error
from harness.data.index.picture_folders import ABSENT
from zoo.errors import UserError
from zoo.files import name_key
from zoo.tracks import EditionSpec, TrackSpec


def build_index(
    root: Path,
    edition: EditionSpec,
    track: TrackSpec,
    *,
    test_list: Path | None = None,
    crops: str = "cropped_aligned",
    frame_tolerance: int = 1,
) -> Index:
    """Index a data folder for a track; ``crops``: cropped_aligned or cropped.

    The number of frames of a video comes from:

    - its annotation file: the number of lines after the header;
    - an image list, or a test list of rows: the highest listed frame. Frames between listed ones are absent and
      unlabelled;
    - for other test videos: the raw video, or else the last crop.

    Raise UserError, with file and line, if something cannot be used, and with the names if videos of ``test_list`` are
    missing. Missing videos of a list that was found in the folder are only noted in the index.
    """
    layout = survey(Path(root))
    chosen = choose_annotations(layout, edition, track)
    with closing(Files(layout.root, track)) as files:
        media = Media(layout, crops, files)
        groups = read_groups(layout.root)
        people = annotated(chosen, track, files)
        official = files.test_list(test_list) if test_list else choose_list(layout, edition, track, files)
        notes: list[str] = []
        absent: list[str] = []
        if official is not None:
            tests, absent = from_list(official, people, track, media)
        else:
            tests, notes = _unannotated(people, track, media, groups, other_annotations(layout, edition, track))
        if absent and test_list:
            raise UserError("test-list-videos-missing", test_list=test_list, root=layout.root, some=_some(absent))
        beyond: list[str] = []
        videos = [_with_media(person, media, groups, track, frame_tolerance, beyond) for person in (*people, *tests)]
        if beyond:
            some = "one video" if len(beyond) == 1 else f"{len(beyond)} videos"
            notes.append(f"crops of {some} continue beyond the last annotated frame; these are not used")
        notes += _missing(videos, media)
        if other := [layout.relative(path) for path in layout.documents if path.parent.parent == chosen.folder]:
            notes.append(f"left out, because annotations are .txt files: {_some(other)}")
        notes += _unknown_groups(groups, videos, media, absent)
        if files.unused_pictures:
            unused = _some(sorted(files.unused_pictures.values()))
            notes.append(f"pictures whose names are not frame numbers are not used: {unused}")
        if files.unread_pictures:
            unread = _some(sorted(files.unread_pictures.values()))
            notes.append(f"pictures of kinds that are not read as crops are not used: {unread}")
        if files.absent_pictures:
            hollow = _some(sorted(files.absent_pictures.values()))
            notes.append(f"{ABSENT}: {hollow}; copy these pictures again")
        try:
            files.save()
        except UserError as error:  # the index itself is complete
            notes.append(f"the next command will read all annotations again: {error}")
    variant = layout.relative(chosen.folder)
    return Index(
        layout.root, edition, track, variant, tuple(videos), official, tuple(notes), frame_tolerance, tuple(absent)
    )


def index_videos(root: Path, edition: EditionSpec, track: TrackSpec) -> Index:
    """Index a folder of unannotated raw videos, with or without crops. Every frame gets a prediction."""
    layout = survey(Path(root))
    with closing(Files(layout.root, track)) as files:
        media = Media(layout, "cropped_aligned", files)
        videos = tuple(_with_media(p, media, {}, track, 1, []) for p in from_names(sorted(layout.videos), track, media))
    return Index(layout.root, edition, track, "", videos, None, ())


def _unannotated(
    people: Sequence[Subject], track: TrackSpec, media: Media, groups: Mapping[str, str], others: Sequence[str]
) -> tuple[list[Subject], list[str]]:
    """Return the test videos of a folder without an official list, and notes on them.

    These are the videos without annotation whose group has no annotated video.
    """
    give = "give the organisers' list with --list FILE"
    if others or track.unit == "image":
        why = f"other tracks are annotated too ({', '.join(others)})" if others else "images must be listed"
        return [], [f"no test videos: no official list is in the folder, and {why}; {give}"]
    names, kin = media.without_annotation([person.name for person in people], groups)
    notes = []
    if names:
        notes.append(f"test videos, as they are not annotated: {', '.join(names)}; not an official row set: {give}")
    else:
        notes.append(f"no test videos: no official list is in the folder, and every video is annotated; {give}")
    if kin:
        notes.append(f"neither annotated nor test videos, because their groups are annotated: {', '.join(kin)}")
    return from_names(names, track, media), notes


def _with_media(
    person: Subject,
    media: Media,
    groups: Mapping[str, str],
    track: TrackSpec,
    frame_tolerance: int,
    beyond: list[str],
) -> Video:
    """Add group, raw video and crops to a person.

    If there are crops beyond the annotation, they are left out and the name is added to ``beyond``. Raise UserError if
    they exceed it by more than ``frame_tolerance`` frames.
    """
    folder, frames = media.crops(person.name)
    n = len(person.rows)
    crop_frames = np.zeros(n, bool)
    crop_frames[frames[frames <= n] - 1] = True
    if track.unit == "image":
        crop_frames &= person.rows
    video = Video(
        name=person.name,
        group=group_of(person.name, groups),
        split=person.split,
        n_frames=n,
        video=media.video(person.name),
        crops=folder,
        crop_frames=crop_frames,
        labels=person.labels,
        rows=person.rows,
        source=person.source,
    )
    surplus = int(frames[-1]) - n if len(frames) and track.unit != "image" else 0
    if surplus > frame_tolerance:
        raise _length_error(video, f"{folder} continues to frame {frames[-1]}", surplus)
    if surplus > 0:
        beyond.append(person.name)
    return video


def _missing(videos: Sequence[Video], media: Media) -> list[str]:
    """Return notes on videos without crops or raw file. Raise UserError if no video has either."""
    blind = [video.name for video in videos if video.crops is None]
    mute = [video.name for video in videos if video.video is None]
    if len(blind) == len(mute) == len(videos):
        raise UserError(
            "data-no-media", root=media.layout.root, kind=media.kind, name=videos[0].name, value=len(videos) - 1
        )
    neither = sorted(set(blind) & set(mute))
    notes = []
    if neither:
        notes.append(f"{NO_MEDIA}: {_some(neither)}")
    if len(blind) == len(videos):
        notes.append(f"no {media.kind}: the stream face is absent; `harness data crop` makes crops of raw videos")
    if len(mute) == len(videos):
        notes.append("no raw videos: the streams body, context and audio are absent")
    doubled = {stem: files for stem, files in media.layout.videos.items() if len(files) > 1}
    used = sorted({f"{v.video}" for v in videos if v.video and name_key(v.video.stem) in doubled})
    if used:
        notes.append(f"{len(used)} raw videos are in several folders; used: {_some(used)}")
    return notes


def _unknown_groups(
    groups: Mapping[str, str], videos: Sequence[Video], media: Media, absent: Sequence[str]
) -> list[str]:
    """Return a note on the entries of groups.csv that name no video of the folder, whatever its track."""
    known = {*(video.name for video in videos), *absent, *media.folders, *media.layout.videos}
    known |= {without_side(name) for name in known}
    if not groups.keys() - known:
        return []
    known |= known_names(media.layout)  # of other tracks too; their lists are read only if an entry is unknown
    note = unknown_note(groups, known | {without_side(name) for name in known})
    return [note] if note else []


def _some(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return f"{len(names)}: {shown}, ..." if len(names) > most else shown
