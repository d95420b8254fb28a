"""`harness data report`: a page about a data folder."""

from __future__ import annotations

from pathlib import Path

from harness.data.affwild2.build import build_index
from harness.data.affwild2.folder_layout import survey
from harness.data.doctor.report import choose_tracks, diagnose
from harness.data.doctor.report import render as as_text
from harness.io.atomic import atomic
from harness.reports.data_figures import track_figures
from harness.reports.rendering import render, script_json
from zoo.errors import UserError
from zoo.registry.registry import Registry


def report_data(folder: Path, out: Path, registry: Registry, *, edition: str | None, track: str | None) -> Path:
    """Write a page with figures of a data folder and the doctor's findings, and return the file.

    Args:
        folder: The data folder.
        out: The page.
        registry: Editions and tracks.
        edition: The edition; None: the one that the annotations fit.
        track: The track; None: all tracks that the annotations fit.

    Raises:
        UserError: The folder, the edition or the track does not exist, or the page cannot be written.
    """
    if not folder.is_dir():
        raise UserError("folder-missing", folder=folder)
    diagnosis = diagnose(folder, registry, edition=edition, track=track)
    tracks, left_out = [], []
    for spec, one in choose_tracks(survey(folder), registry, edition, track):
        try:
            tracks.append(track_figures(build_index(folder, spec, one), diagnosis.infos))
        except UserError as error:  # the doctor's part of the page lists every problem of the annotations
            left_out.append(f"{one.name}: no figures: {error}")
    page = render(
        "data.html",
        "report.js",
        payload=script_json({"curves": [], "timelines": {"answers": [], "videos": []}}),
        title=folder.resolve().name,
        synthetic=(folder / "demo.json").is_file(),
        tracks=tracks,
        left_out=left_out,
        diagnosis=diagnosis,
        verdict=as_text(diagnosis).strip().splitlines()[-1],
    )
    atomic(out, lambda part: part.write_text(page, encoding="utf-8"))
    return out
