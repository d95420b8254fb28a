"""`harness submit` and `harness submissions`: write, verify and list submissions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.cli.commands.info_edition import limit_is_confirmed
from harness.config.recipe import read_toml
from harness.config.schema import RunConfig, validate
from harness.runs.finished import check_data, check_written, data_place, use_settings
from harness.runs.job import Job, make_job
from harness.runtime.terminal import tabulate
from harness.submissions import ledger
from harness.submissions.submission import SubmissionResult, make_submission
from harness.submissions.verifier.manifest import read_manifest
from harness.submissions.writer import read_table
from leaderboards.record import Record, RecordError
from leaderboards.record import read as read_record
from zoo.api import TrackSpec
from zoo.errors import UserError
from zoo.registry.tracks import all_editions, find_track, load_plugins
from zoo.text import visible


def submit_run(
    folder: Path,
    edition: str | None,
    track: str | None,
    list_file: Path | None,
    out: Path | None,
    *,
    name: str | None = None,
    archive: bool = False,
    data: Path | None = None,
    plugins: Sequence[Path] = (),
) -> None:
    """Write and verify a submission from the run's predictions for the test videos."""
    config, record = use_settings(folder, _config(folder), plugins)
    registry = load_plugins(config.plugin)
    _, trained = find_track(registry, config.track, config.edition)
    track = track or config.track
    chosen, wanted = find_track(registry, track, edition or (config.edition if track == config.track else None))
    _same_answers(trained, wanted, folder)
    path = folder / "predictions" / "test.post.parquet"
    if not path.is_file():
        raise UserError("submit-no-test-answers", file=path)
    check_written(path)
    listed = list_file or (Path(config.data.list) if config.data.list else None)
    if listed is None and chosen.name == config.edition:
        found = _job(folder, config, record, data).index.test_list
        listed = found.path if found else None
    own = chosen.name == config.edition and track == config.track
    made = make_submission(
        wanted,
        read_table(path, trained, whole=True),
        listed,
        out or folder / ("submission" if own else f"submission-{chosen.name}-{track}"),
        edition=chosen.name,
        editions=all_editions(registry),
        name=name,
        archive=archive,
        run=folder.name,
        record_sha256=_digest(folder / "record.json"),
    )
    _finish(made, runs_of(folder), chosen.name, wanted)


def submit_table(
    table: Path,
    edition: str | None,
    track: str,
    list_file: Path | None,
    out: Path,
    *,
    name: str | None = None,
    archive: bool = False,
    runs: Path,
    plugins: Sequence[Path] = (),
) -> None:
    """Write and verify a submission from a table of predictions."""
    registry = load_plugins([str(path) for path in plugins])
    chosen, wanted = find_track(registry, track, edition)
    made = make_submission(
        wanted,
        read_table(table, wanted),
        list_file,
        out,
        edition=chosen.name,
        editions=all_editions(registry),
        name=name,
        archive=archive,
        run=table.name,
    )
    _finish(made, runs, chosen.name, wanted)


def _config(folder: Path) -> RunConfig:
    """Return the configuration of a run that has its own predictions, without loading what trains it.

    A folder of several seeds counts as a run if their predictions are merged in it.
    """
    if (folder / "seeds").is_file() and not (folder / "predictions" / "test.post.parquet").is_file():
        raise UserError("run-has-seeds", folder=folder, file=folder / "seed-0")
    path = folder / "config.toml"
    if not path.is_file():
        raise UserError("run-not-a-run", folder=folder)
    return validate(read_toml(path), str(path))


def _job(folder: Path, config: RunConfig, record: Record | None, data: Path | None) -> Job:
    """Return the job of a run on its data: ``data``, or the recorded folder."""
    place = data or (data_place(folder, record, config.data_dir) if config.data_dir else None)
    job = make_job(config.model_copy(update={"data_dir": str(place) if place else None}), trained=True)
    check_data(job, record, folder)
    return job


def _digest(record: Path) -> str | None:
    try:
        return read_record(record).result_sha256 if record.is_file() else None
    except RecordError as error:
        raise UserError("record-invalid", message=str(error)) from None


def runs_of(folder: Path) -> Path:
    """Return the folder of runs that a run is in; the run of a single seed is one folder deeper."""
    parent = folder.resolve().parent
    shown = folder.parent if parent == folder.parent.resolve() else parent
    return shown.parent if (shown / "seeds").is_file() else shown


def submissions(runs: Path) -> None:
    """Print the ledger, and how many of the allowed submissions each track has used."""
    made, bad = ledger.entries(runs)
    rows = [
        [
            e["time"],
            e["edition"],
            e["track"],
            e.get("run") or "-",
            e.get("rows"),
            e.get("list") or "none",
            e["sha256"][:12],
            e.get("path", ""),
        ]
        for e in made
    ]
    print(tabulate(rows, ["made", "edition", "track", "run", "rows", "list", "sha256", "path"], disable_numparse=True))
    print()
    known = {
        (e.name, t.name): (t.limit, limit_is_confirmed(t)) for e in all_editions(load_plugins([])) for t in e.tracks
    }
    noted = {(e["edition"], e["track"]): (e.get("limit"), "") for e in made}  # as recorded: its plugin may be gone
    for edition, track in noted:
        limit, sure = (noted | known)[edition, track]
        print(_of_limit(ledger.used(made, edition, track), edition, track, limit, sure))
    if own := _unnoted(runs, {e["sha256"] for e in made}):
        names = visible(", ".join(own))
        print(f"written by the runs themselves and not counted: {names}; record one with `harness submit RUN`")
    for line in bad:
        print(line)


def _unnoted(runs: Path, known: set[str]) -> list[str]:
    """Return the runs whose own submission has a content that is not in the ledger."""
    noted = {path.parent.parent.name: read_manifest(path) for path in sorted(runs.glob("*/submission/manifest.json"))}
    return [name for name, manifest in noted.items() if manifest["sha256"] not in known]


def _of_limit(n: int, edition: str, track: str, limit: int | None, sure: str) -> str:
    """Return how many submissions of the allowed number are made; ``sure``: a note if the limit is unconfirmed."""
    edition, track = visible(edition), visible(track)
    if limit is None:
        return f"{edition} {track}: {n} made; the limit is unconfirmed"
    over = ": more than a team may submit" if n > limit else ""
    return f"{edition} {track}: {n} of {limit} allowed{sure}{over}"


def _finish(made: SubmissionResult, runs: Path, edition: str, track: TrackSpec) -> None:
    """Record the submission in the ledger and print its path, digest and notes."""
    manifest = made.manifest
    listed = manifest["list"]
    ledger.note(
        runs,
        {
            "edition": edition,
            "track": manifest["track"],
            "sha256": manifest["sha256"],
            "rows": manifest["rows"],
            "run": manifest["run"],
            "record_sha256": manifest["record_sha256"],
            "time": manifest["time"],
            "list": listed["name"] if listed else None,
            "path": str(made.path),
            "limit": track.limit,
        },
    )
    print(f"{made.path}: {manifest['rows']} rows, verified, sha256 {manifest['sha256']}")
    if archive := manifest.get("zip"):
        print(f"{made.path.parent / archive}: the archive")
    for note in made.notes:
        print(visible(note))
    n = ledger.used(ledger.entries(runs)[0], edition, track.name)
    print(_of_limit(n, edition, track.name, track.limit, limit_is_confirmed(track)))


def _same_answers(trained: TrackSpec, wanted: TrackSpec, folder: Path) -> None:
    if trained.answers != wanted.answers:
        a, b = (", ".join(c for x in t.answers for c in (x.classes or (x.name,))) for t in (trained, wanted))
        raise UserError("submit-other-answers", folder=folder, a=a, name=wanted.name, b=b)
