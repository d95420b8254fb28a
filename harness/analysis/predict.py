"""`harness predict`: a trained run answers raw videos."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.data.affwild2.build import index_videos
from harness.data.affwild2.folder_layout import kind_of_file
from harness.data.preprocessing.crop import crop_folder
from harness.evaluation.postprocessing import Chain, labelled
from harness.evaluation.prediction_tables import to_frame, write_plain
from harness.io.atomic import atomic
from harness.io.scratch import scratch
from harness.runs.finished import check_written, read_own, use_settings
from harness.runs.folder import one_run
from harness.runs.job import Job, plan_of
from harness.runs.run import predict_split, prepare
from harness.runs.splits import fitted_on
from leaderboards.record import Record
from zoo.api import VideoAnswers
from zoo.errors import UserError
from zoo.files import name_key
from zoo.registry.tracks import find_track, load_plugins
from zoo.text import seen_json, visible

ABOUT = "about.json"
"""Beside the tables: of which run they are, and what to know before they are used."""


def predict(
    folder: Path,
    videos: Sequence[Path],
    out: Path,
    *,
    device: str | None,
    jobs: int | None,
    plugins: Sequence[Path] = (),
) -> None:
    """Crop, find boxes, compute features, answer: one table a video in ``out``.

    Post-processing is fitted on the run's own validation answers, as for its test file. A video that cannot be read is
    reported at the end and does not stop the others.
    """
    check_written(folder / "weights.safetensors")
    config, record = use_settings(folder, one_run(folder), plugins)
    config = config.model_copy(update={"device": device} if device else {})
    _check_names(videos)
    registry = load_plugins(config.plugin)
    edition, track = find_track(registry, config.track, config.edition)
    with scratch("predict") as temporary:
        raw, made = temporary / "raw", temporary / "data"
        raw.mkdir()
        given = {video.name: video for video in videos}
        for video in videos:
            (raw / video.name).symlink_to(video.resolve())
        report = crop_folder(raw, made, detector=registry.get("detectors", "centerface"), jobs=jobs)
        failed = {Path(f.item).name: f.reason for f in report.failures}
        failed = {name: reason.replace(str(raw / name), str(given[name])) for name, reason in failed.items()}
        done = [video for video in videos if video.name not in failed]
        if done:
            plan = plan_of(config, registry, track)
            index = index_videos(made, edition, track)
            _answer(Job(config, registry, edition, track, plan, index, "predict", False), folder, record, done, out)
    _tell(failed, len(videos), out)


def _answer(job: Job, folder: Path, record: Record | None, videos: Sequence[Path], out: Path) -> None:
    """Answer videos that are cropped, and write their tables and what they are of."""
    if warning := _synthetic(record):
        print(f"warning: {warning}", file=sys.stderr)
    prepared = prepare(job, weights=folder / "weights.safetensors")
    _write(job, folder, videos, {video.video: video for video in predict_split(job, prepared, "test")}, out)
    about = {
        "run": folder.resolve().name,
        "edition": job.edition.name,
        "track": job.track.name,
        "videos": [f"{video.stem}.csv" for video in videos],
        "warning": warning,
    }
    text = seen_json(json.dumps(about, indent=1, ensure_ascii=False)) + "\n"
    atomic(out / ABOUT, lambda part: part.write_text(text, encoding="utf-8"))


def _tell(failed: Mapping[str, str], count: int, out: Path) -> None:
    """UserError where some of the videos failed, each named."""
    if len(failed) == count == 1:
        raise UserError("predict-failed", message=next(iter(failed.values())))
    for reason in failed.values():
        print(visible(f"failed: {reason}"), file=sys.stderr)
    if failed:
        rest = f"; the others are in {out}" if len(failed) < count else ""
        raise UserError("predict-some-failed", count=len(failed), count2=count, rest=rest)


def _synthetic(record: Record | None) -> str:
    """What to say of a run that was trained on drawn figures; "" of any other, and where its record does not say."""
    if record is None or not (record.result.get("data") or {}).get("synthetic"):
        return ""
    return "this run was trained on the synthetic demo set, on drawn figures: it knows nothing of real people"


def _check_names(videos: Sequence[Path]) -> None:
    stems: dict[str, Path] = {}
    for video in videos:
        if video.is_dir():
            raise UserError("predict-folder", video=video)
        if str(video).isdecimal() and not video.exists():
            raise UserError("predict-camera", video=video)
        if not video.is_file():
            raise UserError("predict-no-file", video=video)
        if (kind := kind_of_file(video)) != "video":
            raise UserError("predict-not-a-video-name", video=video, kind=kind)
        name = name_key(video.stem)
        if name in stems:
            raise UserError("predict-same-name", video=video, part=stems[name])
        stems[name] = video


def _write(job: Job, folder: Path, videos: Sequence[Path], answers: dict[str, VideoAnswers], out: Path) -> None:
    chain = Chain(job.plan.post, job.track)
    fitted = fitted_on(job.config, folder)
    if fitted is not None and labelled(known := read_own(fitted, job.track)):
        chain.fit(known)
    out.mkdir(parents=True, exist_ok=True)
    for video in videos:
        answer = chain.apply(answers[name_key(video.stem)])
        table = to_frame(job.track.answers, [answer], labels=False)
        plain = table.drop(columns=[c for c in table.columns if str(c).startswith("extra_") or c == "group"])
        write_plain(out / f"{video.stem}.csv", plain)
        seen = ", ".join(f"{slot} {mask.mean():.0%}" for slot, mask in answer.present.items())
        print(f"{out / (video.stem + '.csv')}: {len(table)} frames; present: {seen}")
