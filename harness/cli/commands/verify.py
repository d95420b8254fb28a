"""`harness verify`: check a submission."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.submissions.verifier import Listing, Report, check_manifest, compare, read_list, submission_in
from harness.submissions.verifier import verify as check
from harness.submissions.verifier.fields import FOLDERS
from harness.submissions.verifier.manifest import read_manifest
from harness.submissions.verifier.other_editions import other_number
from zoo.errors import UserError
from zoo.registry.tracks import all_editions, find_track, load_plugins
from zoo.text import visible

CLEAN, FOUND, UNCHECKED = 0, 1, 3
"""Exit codes: no findings; findings; no findings, but not everything could be checked."""


def verify(
    path: Path,
    edition: str | None,
    track: str | None,
    list_file: Path | None,
    manifest: Path | None,
    against: Path | None,
    plugins: Sequence[Path] = (),
) -> int:
    """Print every finding with its line, then a summary; return the exit code."""
    if manifest is not None and (edition is None or track is None):
        noted = read_manifest(manifest)
        edition, track = edition or noted.get("edition"), track or noted.get("track")
    if track is None:
        raise UserError("verify-no-track")
    registry = load_plugins([str(plugin) for plugin in plugins])
    chosen, wanted = find_track(registry, track, edition)
    editions = all_editions(registry)
    listed = read_list(list_file, wanted, editions) if list_file is not None else None
    what = submission_in(path, wanted, wanted.submission in FOLDERS)
    report = check(what, wanted, listed, editions)
    findings = report.findings
    if manifest is not None:
        findings = findings + check_manifest(manifest, what, chosen.name, wanted, report.rows, list_file)
    for finding in findings:
        print(visible(f"line {finding.line}: {finding.text}" if finding.line else finding.text))
    if against is not None:
        print(f"against {against}:")
        for line in compare(what, submission_in(against, wanted, wanted.submission in FOLDERS), wanted):
            print(f"  {visible(line)}")
    _notes(listed, list_file, chosen.name, wanted.figures.get("test_rows"))
    return _end(what, f"{chosen.name} {wanted.name}", report, len(findings))


def _notes(listed: Listing | None, list_file: Path | None, edition: str, published: object) -> None:
    if listed is None or list_file is None:
        return
    if other := other_number(list_file.name, edition):
        print(f"note: by its name {list_file.name} is a list of {other}; this was checked as {edition}")
    n = len(listed.keys) or sum(listed.counts.values())
    if listed.kind != "names" and isinstance(published, int) and n != published:
        print(f"note: {list_file.name} has {n:,} rows; the organisers' list of {edition} has {published:,}")


def _end(what: Path, track: str, report: Report, findings: int) -> int:
    if report.unchecked:
        print(report.unchecked)
    if findings:
        print(f"{what}: {findings} findings as {track}, {report.rows:,} rows")
        return FOUND
    if report.unchecked:
        print(f"{what}: nothing else is wrong as {track}, {report.rows:,} rows")
        return UNCHECKED
    print(f"{what}: clean as {track}, {report.rows:,} rows, in the order of the list")
    return CLEAN
