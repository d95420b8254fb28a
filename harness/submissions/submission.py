"""Write submissions, and verify them before they are put in place, by two programs that share no code.

``manifest.json`` next to a submission describes it: edition, track, file, sha256, rows, list, run, and filled rows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from harness.data.index.index import Index
from harness.data.index.samples import TestList
from harness.io.digests import opened, sealed
from harness.submissions import writer
from harness.submissions.verifier import read_list, verify
from harness.submissions.verifier.other_editions import other_number
from harness.submissions.writer.files import sha256
from leaderboards.blocks import SubmissionBlock
from leaderboards.record import replace_file
from zoo.api import EditionSpec, TrackSpec, VideoAnswers
from zoo.errors import UserError
from zoo.text import seen_json

MANIFEST = "manifest.json"
SCHEMA = 1


class ListFacts(TypedDict):
    """The organisers' list that a submission follows."""

    name: str
    sha256: str
    kind: str


class Manifest(TypedDict):
    """The content of a submission's manifest.

    Rows are counted; ``class_histogram`` is class -> rows that predict it.
    """

    schema: int
    edition: str | None
    track: str
    track_version: int
    form: str
    file: str
    sha256: str
    rows: int
    list: ListFacts | None
    official: bool
    run: str | None
    record_sha256: str | None
    interpolated_rows: int
    held_rows: int
    unseen_rows: int
    blind_videos: Sequence[str]
    left_out_frames: int
    clipped_rows: int
    class_histogram: dict[str, int]
    time: str
    zip: NotRequired[str]


@dataclass(frozen=True)
class SubmissionResult:
    """A submission that is in place: its path, its manifest and notes for the user."""

    path: Path
    manifest: Manifest
    notes: list[str]


def make_submission(
    track: TrackSpec,
    answers: writer.Answers,
    list_file: Path | None,
    out: Path,
    *,
    edition: str | None = None,
    editions: Sequence[EditionSpec] = (),
    name: str | None = None,
    archive: bool = False,
    run: str | None = None,
    record_sha256: str | None = None,
) -> SubmissionResult:
    """Write and verify a submission in ``out`` with its manifest and, if asked for, an archive.

    The manifest is ``manifest.json``, or ``<name>.manifest.json`` if the user named the file, so that several trials
    fit in one folder.

    Args:
        track: the track to submit to.
        answers: the predictions.
        list_file: the organisers' list of rows, if there is one.
        out: the folder to write to.
        edition: name of the edition, for the manifest.
        editions: all editions, to say which one a list of another track belongs to.
        name: the file name, if it is not the track's usual one.
        archive: also write a zip file.
        run: the run that the predictions come from.
        record_sha256: the digest of that run's record.

    Raises:
        UserError: The submission cannot be made or does not verify. Nothing has been changed.
    """
    # The verifier knows which track a list belongs to. It reads the list again later, so that the list is not kept in
    # memory in between.
    if list_file is not None:
        read_list(list_file, track, editions)
    listed = writer.read_list(list_file, track) if list_file is not None else None
    if name is not None and (not name or Path(name).name != name or name.startswith(".") or MANIFEST in name):
        raise UserError("file-name-invalid", name=name)
    composed = writer.compose(track, answers, listed, name)
    manifest = _manifest(track, composed, listed, edition, run, record_sha256)
    beside = {}
    if archive:
        manifest["zip"] = f"{Path(composed.name).stem if not composed.folder else composed.name}.zip"
        beside[manifest["zip"]] = writer.zipped(composed)
    own = MANIFEST if name is None else f"{composed.name}.{MANIFEST}"
    beside[own] = _as_json(cast(Mapping[str, Any], manifest))
    path = writer.place(
        out,
        composed,
        beside,
        lambda written: _verified(written, out, track, list_file, editions),
        retired=[older for older in _archive_of(out / own) if older not in beside],
    )
    return SubmissionResult(path, manifest, _notes(track, composed, listed, edition, manifest))


def _verified(
    written: Path, out: Path, track: TrackSpec, list_file: Path | None, editions: Sequence[EditionSpec]
) -> None:
    listed = read_list(list_file, track, editions) if list_file is not None else None
    if findings := verify(written, track, listed, editions).findings:
        shown = "; ".join(f"line {finding.line}: {finding.text}" for finding in findings[:5])
        raise UserError("submission-not-verified", file=out / written.name, shown=shown)


def _archive_of(manifest: Path) -> list[str]:
    """Return the archive of an older submission, which must not stay next to a new one."""
    try:
        name = json.loads(manifest.read_text(encoding="utf-8")).get("zip")
    except (OSError, ValueError, AttributeError):
        return []
    return [name] if isinstance(name, str) and name.endswith(".zip") and Path(name).name == name else []


def _manifest(
    track: TrackSpec,
    composed: writer.Submission,
    listed: writer.Listing | None,
    edition: str | None,
    run: str | None,
    record_sha256: str | None,
) -> Manifest:
    rows = composed.rows
    return {
        "schema": SCHEMA,
        "edition": edition,
        "track": track.name,
        "track_version": track.version,
        "form": track.submission,
        "file": composed.name,
        "sha256": sha256(composed),
        "rows": len(rows.unit),
        "list": {"name": listed.path.name, "sha256": listed.sha256, "kind": listed.kind} if listed else None,
        "official": listed is not None,
        "run": run,
        "record_sha256": record_sha256,
        "interpolated_rows": rows.interpolated,
        "held_rows": rows.held,
        "unseen_rows": rows.unseen,
        "blind_videos": list(rows.blind),
        "left_out_frames": rows.left_out,
        "clipped_rows": composed.clipped,
        "class_histogram": composed.histogram,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _notes(
    track: TrackSpec,
    composed: writer.Submission,
    listed: writer.Listing | None,
    edition: str | None,
    manifest: Manifest,
) -> list[str]:
    """Return notes on what was decided for the user, one line each."""
    rows, notes = composed.rows, []
    for n, what in (
        (rows.interpolated, "rows without a prediction, interpolated"),
        (rows.held, "rows before the first or after the last prediction of their video, filled with it"),
        (rows.left_out, "predicted frames one beyond the list's last of their video, left out"),
        (composed.clipped, "rows with a number outside its range, clipped to the range"),
    ):
        if n:
            notes.append(f"{what}: {n:,}")
    for names, what in (
        (rows.unlisted, "predicted names that are not in the list, left out"),
        (rows.blind, "videos for which no slot has a single frame, predicted without input"),
    ):
        if names:
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            notes.append(f"{what}: {len(names):,} ({shown})")
    if composed.header and composed.header != track.submission_header:
        notes.append(f"the header follows the list: {composed.header!r}, not {track.submission_header!r}")
    elif track.other_headers and not (listed and listed.header):
        others = " or ".join(map(repr, track.other_headers))
        notes.append(f"the header {composed.header!r} is unconfirmed (others: {others}); --list EXAMPLE is followed")
    if listed is None:
        notes.append("submission: not an official row set (no organisers' list was found or given with --list)")
    elif listed.kind == "names":
        notes.append(f"{listed.path.name} names videos only: the number of frames of each is this data's own")
    if listed is not None and edition is not None and (other := other_number(listed.path.name, edition)):
        notes.append(f"by its name {listed.path.name} is a list of {other}; this submission is for {edition}")
    return notes


def submission_obstacle(index: Index, editions: Sequence[EditionSpec]) -> str:
    """Return the reason why a run on this data cannot be submitted, as far as it shows before prediction; else "".

    Reasons are missing test videos, a list of something else, or names that the form cannot hold.
    """
    track, path = index.track, index.test_list.path if index.test_list else None
    if index.absent:
        shown = ", ".join(index.absent[:5]) + (f" and {len(index.absent) - 5} more" if len(index.absent) > 5 else "")
        return str(UserError("test-list-videos-missing", test_list=path, root=index.root, some=shown))
    try:
        listed = None
        if path is not None:
            read_list(path, track, editions)
            listed = writer.read_list(path, track)
        for video in index.split("test"):
            writer.check_name(video.name, track, listed)
    except UserError as error:
        return str(error)
    return ""


def submit_videos(
    track: TrackSpec,
    videos: Sequence[VideoAnswers],
    rows: TestList | None,
    folder: Path,
    *,
    edition: str | None = None,
    run: str | None = None,
) -> tuple[SubmissionBlock, list[str]]:
    """Make the submission of `harness run`; return the block of its record, and notes."""
    answers = writer.from_videos(track, videos)
    made = make_submission(track, answers, rows.path if rows else None, folder, edition=edition, run=run)
    of_list = made.manifest["list"]
    facts: SubmissionBlock = {
        "file": made.manifest["file"],
        "rows": made.manifest["rows"],
        "official": made.manifest["official"],
        "sha256": made.manifest["sha256"],
        "list": of_list["name"] if of_list else None,
        "held": made.manifest["held_rows"],
    }
    return facts, made.notes


def link_record(folder: Path, record_sha256: str) -> None:
    """Write the digest of a run's finished record into the manifest of the submission that the run made."""
    path = folder / MANIFEST
    if path.is_file():
        content = opened(json.loads(path.read_text(encoding="utf-8"))) | {"record_sha256": record_sha256}
        replace_file(path, _as_json(content))


def _as_json(manifest: Mapping[str, Any]) -> bytes:
    """Return a manifest as JSON with its own digest, by which a change is detected."""
    return f"{seen_json(json.dumps(sealed(manifest), indent=1, ensure_ascii=False))}\n".encode()
