"""Report of ``harness data doctor``: contents and gaps of a data folder, compared with the organisers' figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.data.affwild2.annotation_files import read_frame_labels, read_image_labels
from harness.data.affwild2.annotation_sets import candidates, choose_annotations, fits
from harness.data.affwild2.build import build_index
from harness.data.affwild2.folder_layout import Layout, survey
from harness.data.decoding.video import VideoInfo
from harness.data.doctor.findings import (
    MOST,
    compare_lengths,
    crossing_groups,
    first_of,
    gaps_of,
    probe_all,
    without_sound,
)
from harness.data.doctor.own_data import is_affwild2, judge, own_figures
from harness.data.doctor.published_counts import UNPUBLISHED, Row, compare
from harness.data.doctor.speakers import speaker_note
from harness.data.index.group_tables import UNKNOWN
from harness.data.index.index import Index
from harness.data.index.picture_folders import ABSENT
from harness.runtime.terminal import tabulate
from zoo.errors import UserError
from zoo.registry.registry import Registry
from zoo.text import visible
from zoo.tracks import EditionSpec, TrackSpec

__all__ = ["Report", "Row", "choose_tracks", "diagnose", "no_track", "render"]

_FAULTS = (UNKNOWN, ABSENT)  # what notes of an index begin with that are problems


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
        notes += [f"{one.name}: {note}" for note in index.notes if not note.startswith(_FAULTS)]
        problems += [note for note in index.notes if note.startswith(_FAULTS) and note not in problems]
        problems += [f"{one.name}: {problem}" for problem in (*crossing_groups(index), *gaps_of(index, own))]
    infos, broken = probe_all(video.video for index in indexes for video in index.videos if video.video)
    problems += first_of(broken, "raw videos that cannot be read")
    notes += without_sound(infos)
    notes += first_of([f"{path.name}: {note}" for path, info in infos.items() for note in info.notes], "such notes")
    alone = sorted({v.name for index in indexes for v in index.videos if v.group == v.name})
    if (hint := speaker_note(alone)) and not synthetic:
        notes.append(hint)
    for index in indexes:
        note, wrong = compare_lengths(index, infos)
        notes += note
        problems += first_of(wrong, f"{index.track.name}: annotations that do not fit their videos")
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
        return f"no edition fits the annotations: {'; '.join(misfits[:MOST])}: name one with --edition to see the lines"
    names = {name for entry in registry.entries("editions") for one in entry.spec.tracks for name in one.folders}
    return (
        f"no annotations: looked for {', '.join(sorted(names))}, each with Train_Set and Validation_Set; found "
        f"{len(layout.videos)} videos and {len(layout.crops)} folders of crops: put annotation files into such folders "
        "(`harness help data` shows their form)"
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
    return first_of(faults, "faulty annotation files")
