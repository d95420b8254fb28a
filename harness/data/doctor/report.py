"""``harness data doctor``: what a data folder has, what it lacks, and whether it is what the organisers gave out."""

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

_MOST = 5  # examples given of one kind of problem


@dataclass(frozen=True)
class Report:
    """A diagnosis. ``variants``: a line a track on where its annotations are; ``notes``: worth knowing;
    ``problems``: what is wrong or missing, and what to do; ``infos``: what each raw video says of itself."""

    root: Path
    variants: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    infos: Mapping[Path, VideoInfo] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """No problem, and every figure equal to a published one, or without one."""
        return not self.problems and not any(row.verdict.startswith("off by") for row in self.rows)


def diagnose(root: Path, registry: Registry, *, edition: str | None = None, track: str | None = None) -> Report:
    """Examine a data folder, for one edition and track or for those that its annotations fit.

    Reads all annotations, lists all crops and reads every raw video's packets; changes nothing. UserError only where
    the folder, the edition or the track does not exist: faults of the data are problems in the report.
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
    """The report as text: annotations found, table of figures, notes, problems, verdict."""
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
        met = (
            ", and every published figure that is confirmed is met" if any(row.official for row in report.rows) else ""
        )
        parts.append(f"Clean: nothing is missing{met}.")
    else:
        parts.append(f"Not clean: problems: {len(report.problems)}; figures that are off: {off} of {len(report.rows)}.")
    return "\n\n".join(parts) + "\n"


_SPLIT = "put some people's files into Train_Set and others' into Validation_Set"


def _unpublished(row: Row) -> Row:
    """A figure of a set that nobody published figures of."""
    return replace(row, official="", verdict=UNPUBLISHED, cause="")


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {visible(line)}" for line in lines)


# --- what to examine -------------------------------------------------------------------------------------------------


def choose_tracks(
    layout: Layout, registry: Registry, edition: str | None, track: str | None
) -> list[tuple[EditionSpec, TrackSpec]]:
    """The tracks to examine. Without an edition, each track is taken from the newest edition of which all tracks
    that are annotated here have its headers: seven classes of expression make it an older one."""
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
    """Tracks with annotation folders; those of other data sets have none."""
    return [track for track in spec.tracks if track.folders]


def no_track(layout: Layout, registry: Registry) -> str:
    """Why nothing could be examined."""
    misfits = [
        f"{layout.relative(found.folder)} has a header that {spec.name} does not know"
        for spec in (entry.spec for entry in registry.entries("editions"))
        for one in spec.tracks
        for found in candidates(layout, one)
    ]
    if misfits:
        return f"no edition fits the annotations: {'; '.join(misfits[:_MOST])}: name one by --edition to see the lines"
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
    """The faults of all annotation files, where an index stops at the first."""
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
    """Groups with videos in more than one split."""
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
        f"groups that cross splits, so that scores come out too high: {_some(crossing)}: take one side away, or tell "
        "them apart in groups.csv (video,group) if they are different people"
    ]


def _gaps(index: Index, own: bool) -> list[str]:
    """Parts that are missing; ``own``: of a set that has no organisers to ask."""
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
    """The raw videos' time lines, and what is wrong with those that cannot be read."""
    infos: dict[Path, VideoInfo] = {}
    broken: list[str] = []
    links: dict[Path, list[Path]] = {}  # a file that several names link to is read once
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
    return [f"without sound, so that audio is absent there: {_some(silent)}"] if silent else []


def _lengths(index: Index, infos: dict[Path, VideoInfo]) -> tuple[list[str], list[str]]:
    """A summary of frames against annotations, and those that are too far apart."""
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
    note = f"{index.track.name}: the raw videos of {same} of {compared} names have as many frames as there are rows"
    return [note + (f", {off - len(wrong)} differ by {index.frame_tolerance}" if off > len(wrong) else "")], wrong


def _first(messages: Sequence[str], what: str) -> list[str]:
    """The first few of many messages, and how many more there are."""
    more = len(messages) - _MOST
    return [*messages[:_MOST], f"{more} more {what}"] if more > 0 else list(messages)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST])
    return f"{len(names)} ({shown}, ...)" if len(names) > _MOST else shown
