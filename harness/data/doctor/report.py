"""Report of ``harness data doctor``: contents and gaps of a data folder, compared with the organisers' figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.data.affwild2.annotation_files import read_frame_labels, read_image_labels
from harness.data.affwild2.annotation_sets import candidates, choose_annotations, fits
from harness.data.affwild2.build import build_index
from harness.data.affwild2.folder_layout import Layout, survey
from harness.data.decoding.video import VideoInfo, probe
from harness.data.doctor.own_data import is_affwild2, judge, own_figures
from harness.data.doctor.published_counts import UNPUBLISHED, Row, compare
from harness.data.doctor.speakers import speaker_note
from harness.data.index.index import NO_MEDIA, Index, Split
from harness.runtime.progress import Bar
from harness.runtime.terminal import tabulate
from zoo.errors import UserError
from zoo.registry.registry import Registry
from zoo.text import visible
from zoo.tracks import EditionSpec, TrackSpec

__all__ = ["Report", "Row", "choose_tracks", "diagnose", "no_track", "render"]

_MOST = 5  # maximum number of examples for one kind of problem


@dataclass(frozen=True)
class Report:
    """A diagnosis.

    ``variants``: one line per track with the place of its annotations. ``notes``: useful facts. ``problems``: faults
    and gaps, with what to do. ``infos``: the properties of each raw video.
    """

    root: Path
    variants: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    infos: Mapping[Path, VideoInfo] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """True if there is no problem and no figure differs from its published value."""
        return not self.problems and not any(row.verdict.startswith("off by") for row in self.rows)


def diagnose(root: Path, registry: Registry, *, edition: str | None = None, track: str | None = None) -> Report:
    """Examine a data folder for one edition and track, or for those that its annotations fit.

    All annotations are read, all crops listed and the packets of every raw video read; nothing is changed. Raise
    UserError only if the folder, the edition or the track does not exist: faults of the data are problems in the
    report.
    """
    layout = survey(Path(root))
    rows: list[Row] = []
    variants: list[str] = []
    synthetic = (layout.root / "demo.json").is_file()
    notes = ["this is the synthetic demo set, which has no published figures"] if synthetic else []
    notes += layout.left_out_notes()
    problems: list[str] = []
    indexes: list[Index] = []
    for spec, one in choose_tracks(layout, registry, edition, track):
        try:
            index = build_index(root, spec, one)
        except UserError as error:
            problems += [f"{one.name}: {fault}" for fault in _faults(layout, spec, one) or [str(error)]]
            continue
        indexes.append(index)
        own = not (synthetic or is_affwild2(index))
        if own:
            rows += own_figures(index)
            own_notes, own_problems = judge(index)
            notes += [f"{one.name}: {note}" for note in own_notes]
            problems += [f"{one.name}: {problem}" for problem in own_problems]
        else:
            rows += [_unpublished(row) for row in compare(index)] if synthetic else compare(index)
        variants.append(f"{one.name} ({spec.name}): {index.variant}; {_list_found(index)}")
        notes += [f"{one.name}: {note}" for note in index.notes]
        problems += [f"{one.name}: {problem}" for problem in (*_crossing(index), *_gaps(index, own))]
    infos, broken = _probe_all(video.video for index in indexes for video in index.videos if video.video)
    problems += _first(broken, "raw videos that cannot be read")
    notes += _silent(infos)
    notes += _first([f"{path.name}: {note}" for path, info in infos.items() for note in info.notes], "such notes")
    alone = sorted({v.name for index in indexes for v in index.videos if v.group == v.name})
    if (hint := speaker_note(alone)) and not synthetic:
        notes.append(hint)
    for index in indexes:
        note, wrong = _lengths(index, infos)
        notes += note
        problems += _first(wrong, f"{index.track.name}: annotations that do not fit their videos")
    if not indexes and not problems:
        problems.append(no_track(layout, registry))
    return Report(Path(root), tuple(variants), tuple(rows), tuple(notes), tuple(problems), infos)


def render(report: Report) -> str:
    """Format the report as text: annotations found, table of figures, notes, problems, verdict."""
    parts = [f"Data folder {report.root}"]
    if report.variants:
        parts.append("Annotations\n" + _bullets(report.variants))
    if report.rows and all(row.verdict == UNPUBLISHED for row in report.rows):
        found = [(r.edition, r.track, r.what, r.found) for r in report.rows]
        few, sides = ("edition", "track", "what", "found"), ("left", "left", "left", "right")
        parts.append(tabulate(found, headers=few, colalign=sides, disable_numparse=True))
    elif report.rows:
        cells = [(r.edition, r.track, r.what, r.official, r.found, r.verdict, r.cause) for r in report.rows]
        headers = ("edition", "track", "what", "official", "found", "verdict", "likely cause")
        right = ("left", "left", "left", "right", "right", "left", "left")
        parts.append(tabulate(cells, headers=headers, colalign=right, disable_numparse=True))
    if report.notes:
        parts.append("Notes\n" + _bullets(report.notes))
    if report.problems:
        parts.append("Problems\n" + _bullets(report.problems))
    off = sum(row.verdict.startswith("off by") for row in report.rows)
    if report.clean:
        met = ", and all confirmed published figures match" if any(row.official for row in report.rows) else ""
        parts.append(f"Clean: nothing is missing{met}.")
    else:
        parts.append(f"Not clean: problems: {len(report.problems)}; figures that are off: {off} of {len(report.rows)}.")
    return "\n\n".join(parts) + "\n"


_SPLIT = "put some people's files into Train_Set and others' into Validation_Set"


def _unpublished(row: Row) -> Row:
    """Return a row without its official figure, for a data set without published figures."""
    return replace(row, official="", verdict=UNPUBLISHED, cause="")


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {visible(line)}" for line in lines)


# --- what to examine -------------------------------------------------------------------------------------------------


def choose_tracks(
    layout: Layout, registry: Registry, edition: str | None, track: str | None
) -> list[tuple[EditionSpec, TrackSpec]]:
    """Return the tracks to examine.

    Without ``edition``, each track is taken from the newest edition whose headers fit all annotations in the folder:
    seven expression classes, for example, belong to an older edition.
    """
    if edition is not None:
        spec: EditionSpec = registry.get("editions", edition)
        known = {one.name: one for one in _annotated(spec)}
        if track is not None and track not in known:
            raise UserError("edition-no-track", edition=edition, track=track, names=", ".join(known))
        here = [one for one in known.values() if candidates(layout, one)] or list(known.values())[:1]
        return [(spec, one) for one in ([known[track]] if track else here)]
    specs: list[EditionSpec] = [entry.spec for entry in registry.entries("editions")]
    names = sorted({one.name for spec in specs for one in _annotated(spec)})
    if track is not None and track not in names:
        raise UserError("track-in-no-edition", track=track, names=", ".join(names))
    chosen: dict[str, tuple[EditionSpec, TrackSpec]] = {}
    for spec in sorted(specs, key=lambda spec: (-spec.year, spec.name)):
        here = [one for one in spec.tracks if candidates(layout, one)]
        if all(any(fits(found, one) for found in candidates(layout, one)) for one in here):
            for one in here:
                chosen.setdefault(one.name, (spec, one))
    return [pair for name, pair in chosen.items() if track in (None, name)]


def _annotated(spec: EditionSpec) -> list[TrackSpec]:
    """Return the tracks with annotation folders; those of other data sets have none."""
    return [track for track in spec.tracks if track.folders]


def no_track(layout: Layout, registry: Registry) -> str:
    """Return a message that says why nothing could be examined."""
    misfits = [
        f"{layout.relative(found.folder)} has a header that {spec.name} does not know"
        for spec in (entry.spec for entry in registry.entries("editions"))
        for one in spec.tracks
        for found in candidates(layout, one)
    ]
    if misfits:
        return (
            f"no edition fits the annotations: {'; '.join(misfits[:_MOST])}: name one with --edition to see the lines"
        )
    names = {name for entry in registry.entries("editions") for one in entry.spec.tracks for name in one.folders}
    return (
        f"no annotations: looked for {', '.join(sorted(names))}, each with Train_Set and Validation_Set; found "
        f"{len(layout.videos)} videos and {len(layout.crops)} folders of crops: is this an Aff-Wild2 folder?"
    )


def _list_found(index: Index) -> str:
    if index.test_list is None:
        return "no official test list"
    return f"test list {index.test_list.path.name} ({index.test_list.kind})"


def _faults(layout: Layout, edition: EditionSpec, track: TrackSpec) -> list[str]:
    """Return the faults of all annotation files. ``build_index`` stops at the first one."""
    try:
        chosen = choose_annotations(layout, edition, track)
    except UserError:
        return []
    read = read_image_labels if track.unit == "image" else read_frame_labels
    faults = []
    for path in (path for files in chosen.files.values() for path in files):
        try:
            read(path, track)
        except UserError as error:
            faults.append(str(error))
    return _first(faults, "faulty annotation files")


# --- what to find ----------------------------------------------------------------------------------------------------


def _crossing(index: Index) -> list[str]:
    """Return a problem if groups have videos in more than one split."""
    groups: dict[str, dict[Split, str]] = {}
    for video in index.videos:
        groups.setdefault(video.group, {}).setdefault(video.split, video.name)
    crossing = [
        f"{group} ({', '.join(f'{name} in {split}' for split, name in splits.items())})"
        for group, splits in groups.items()
        if len(splits) > 1
    ]
    if not crossing:
        return []
    return [
        f"groups that cross splits, which makes scores too high: {_some(crossing)}: remove one side, or give them "
        "different groups in groups.csv (video,group) if they are different people"
    ]


def _gaps(index: Index, own: bool) -> list[str]:
    """Return the problems of missing parts. ``own``: the user's own data, without organisers to ask."""
    gaps = []
    if index.test_list is None and not own:
        gaps.append(
            f"no official test list (looked for {', '.join(index.track.lists)}): ask the organisers for it; without it "
            "the rows of a submission are not the official ones"
        )
    if index.absent:
        gaps.append(f"{NO_MEDIA} of the listed test videos {_some(index.absent)}: unpack the archive")
    if not index.split("train") or not index.split("val"):
        gaps.append("annotations of train or val are missing: " + (_SPLIT if own else "ask the organisers for them"))
    for what, missing in (
        ("crops", [video.name for video in index.videos if video.crops is None]),
        ("raw video", [video.name for video in index.videos if video.video is None]),
    ):
        if 0 < len(missing) < len(index.videos):
            gaps.append(f"no {what} of {_some(missing)}: unpack the missing archive")
    if index.track.unit == "image" and any(video.crops for video in index.videos):
        absent = [f"{v.name} ({n})" for v in index.videos if (n := int((v.rows & ~v.crop_frames).sum()))]
        if absent:
            gaps.append(f"listed images that are not there, in {_some(absent)}: unpack the missing archive")
    return gaps


def _probe_all(paths: Iterable[Path]) -> tuple[dict[Path, VideoInfo], list[str]]:
    """Return the properties of the raw videos, and an error for each that cannot be read."""
    infos: dict[Path, VideoInfo] = {}
    broken: list[str] = []
    links: dict[Path, list[Path]] = {}  # a file to which several names link is read once
    for path in sorted(set(paths)):
        links.setdefault(path.resolve(), []).append(path)
    for names in Bar(links.values(), desc="raw videos", unit="video"):
        try:
            infos |= dict.fromkeys(names, probe(names[0]))
        except UserError as error:
            broken.append(str(error))
    return infos, broken


def _silent(infos: dict[Path, VideoInfo]) -> list[str]:
    silent = [path.name for path, info in infos.items() if not info.has_audio]
    return [f"without sound (the stream audio is absent): {_some(silent)}"] if silent else []


def _lengths(index: Index, infos: dict[Path, VideoInfo]) -> tuple[list[str], list[str]]:
    """Compare the videos' lengths with their annotations; return a summary, and an error for each that does not fit."""
    wrong: list[str] = []
    compared = off = 0
    for video in index.videos:
        if video.video in infos:
            frames = infos[video.video].n_frames
            compared += 1
            off += frames != video.n_frames
            try:
                index.check_length(video, frames)
            except UserError as error:
                wrong.append(str(error))
    if index.track.unit == "image" or not compared:
        return [], wrong
    same = compared - off
    note = f"{index.track.name}: the raw videos of {same} of {compared} names have as many frames as their annotations"
    return [note + (f", {off - len(wrong)} differ by {index.frame_tolerance}" if off > len(wrong) else "")], wrong


def _first(messages: Sequence[str], what: str) -> list[str]:
    """Return the first few of many messages, and the number of the others."""
    more = len(messages) - _MOST
    return [*messages[:_MOST], f"{more} more {what}"] if more > 0 else list(messages)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST])
    return f"{len(names)} ({shown}, ...)" if len(names) > _MOST else shown
