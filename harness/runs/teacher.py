"""The run that teaches another one (``distill.run``), and its predictions for the training videos.

A teacher must not have been trained on a video that the student is scored on. A run with folds teaches with its
out-of-fold predictions, and with those of all folds for videos outside them. Another run predicts the training videos
anew; those that it was trained on are counted in the record, since it predicts them better than new videos.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from pyarrow import parquet

from harness.config.distill import Distill
from harness.config.recorded import BOTH as FOLDED
from harness.config.schema import RunConfig
from harness.data.index.index import Index, Video
from harness.runs.exposure import TrainingExposure, read_exposure
from harness.runs.finished import check_groups, check_stages, check_written, is_runs_data, read_own, use_settings
from harness.runs.folder import has_folds, saved_config
from harness.runs.splits import BOTH, split_name
from leaderboards.record import Record, RecordError, read
from zoo.api import TrackSpec, VideoAnswers
from zoo.errors import UserError
from zoo.registry.registry import Registry
from zoo.registry.tracks import find_track

if TYPE_CHECKING:
    from harness.runs.job import Job

Build = Callable[[RunConfig], "Job"]
"""A function from the settings of a finished run to its job."""
Predict = Callable[["Job", Path, Sequence[Video]], Sequence[VideoAnswers]]
"""A function from a run's job, its folder and videos to its predictions for these."""


@dataclass(frozen=True)
class Teacher:
    """A finished run that teaches.

    ``sha256``: that of its record's result. ``exposures``: its trainings, and those of what it began with.
    ``tables``: its predictions for videos that it was not trained on, if it has folds; else ``job`` predicts anew, and
    ``in_sample`` are training videos of the student that it was trained on.
    """

    folder: Path
    run: str
    sha256: str
    config: RunConfig
    track: TrackSpec
    exposures: tuple[TrainingExposure, ...]
    tables: tuple[Path, ...]
    job: Job | None
    in_sample: tuple[str, ...]


def find_teacher(
    config: RunConfig,
    index: Index,
    whole: Index,
    track: TrackSpec,
    registry: Registry,
    build: Build,
    *,
    synthetic: bool,
) -> Teacher | None:
    """Return the run that ``distill.run`` names; raise UserError if it cannot teach ``config``.

    Args:
        config: The student's settings.
        index: Its data, with the splits as it uses them.
        whole: Its data, with the original splits.
        track: Its track.
        registry: The registered blocks.
        build: Builds the job of a teacher that predicts anew.
        synthetic: Whether its data are synthetic: names of real and synthetic videos have nothing to do with each
            other.
    """
    distill, train = config.distill, config.train
    if distill.run is None:
        if distill != Distill():
            raise UserError("distill-without-run")
        return None
    for setting, used in (("train.mixup", train.mixup), ("train.shuffle_labels", train.shuffle_labels)):
        if used:
            raise UserError("distill-not-with", setting=setting)
    if distill.unlabelled and train.gaps == "close":
        raise UserError("distill-not-with", setting="train.gaps=close (distill.unlabelled learns in the gaps)")
    if distill.unlabelled and train.balance == "labels":
        why = "distill.unlabelled learns from clips without labels, which are never drawn then"
        raise UserError("distill-not-with", setting=f"train.balance=labels ({why})")
    folder = Path(distill.run)
    own, record = _finished(folder, config)
    _, taught = find_track(registry, own.track, own.edition)
    if taught.name != track.name or taught.answers != track.answers:
        what = f"{taught.name} ({', '.join(answer.name for answer in taught.answers)})"
        raise UserError("teacher-other-track", folder=folder, there=what, here=track.name)
    weights = [folder / name for name in _weights(own)]
    for file in weights:
        check_written(file)
    exposures = tuple(dict.fromkeys(saw for file in weights for saw in read_exposure(file)))
    if not exposures:
        raise UserError("teacher-unknown-training", folder=folder)
    if is_runs_data(whole, record):
        check_groups(whole, record, folder, by_groups=True)
    groups = {group for saw in exposures if saw.synthetic == synthetic for group in saw.train}
    if seen := [video.name for video in _reported(config, index) if video.group in groups]:
        raise UserError("teacher-saw-reported", folder=folder, split=split_name(config), count=len(seen), first=seen[0])
    tables = _tables(folder, own) if has_folds(own) else ()
    job = None if tables else build(_teaching_settings(own, config))
    if job is not None:
        check_stages(job, record, folder)
    learned = [v for v in index.videos if v.split in (config.folds_of if has_folds(config) else ("train",))]
    _check_coverage(folder, learned, tables, job)
    known = () if tables else tuple(video.name for video in index.split("train") if video.group in groups)
    return Teacher(folder, record.name, record.result_sha256, own, taught, exposures, tables, job, known)


def _weights(own: RunConfig) -> list[str]:
    """Return the names of the weights of a run, or of each of its folds."""
    names = [f"fold-{f}/" for f in range(own.folds)] if has_folds(own) else [""]
    return [f"{name}weights.safetensors" for name in names]


def _tables(folder: Path, own: RunConfig) -> tuple[Path, ...]:
    """Return the predictions of a run with folds: out of fold, and of all folds for the videos outside them."""
    tables = [folder / "predictions" / f"{name}.parquet" for name in (split_name(own), "rest")]
    return tuple(path for path in tables if path.is_file())


def _check_coverage(folder: Path, videos: Sequence[Video], tables: Sequence[Path], job: Job | None) -> None:
    """Raise UserError if a training video of the student lacks predictions of the teacher at some frames."""
    there = {video.name: video.n_frames for video in job.index.videos} if job is not None else {}
    for path in tables:
        check_written(path)
        counts = parquet.read_table(path.absolute(), columns=["video"]).column("video").value_counts().to_pylist()
        there |= {str(one["values"]): int(one["counts"]) for one in counts}
    for video in videos:
        if (frames := there.get(video.name)) != video.n_frames:
            _refuse_video(folder, video, frames)


def _refuse_video(folder: Path, video: Video, frames: int | None) -> NoReturn:
    said = "none" if frames is None else frames
    raise UserError("teacher-video", folder=folder, name=video.name, frames=said, n_frames=video.n_frames)


def _finished(folder: Path, config: RunConfig) -> tuple[RunConfig, Record]:
    """Return the settings of a finished run that has what a teacher needs, and its record."""
    try:
        record = read(folder / "record.json")
    except RecordError as error:
        raise UserError("teacher-not-finished", folder=folder, error=error) from None
    why = "" if record.status == "done" else f"it is {record.status}"
    kinds = {
        "ensemble": "it is an ensemble",
        "zero_shot": "it is zero-shot, so nothing was trained",
        "trees": "it is of trees (--trees), which are not kept",
    }
    why = why or next((said for key, said in kinds.items() if key in record.result), "")
    if not why and (folder / "seeds").is_file():
        why = f"it has several seeds; name one of them, {folder / 'seed-0'}"
    if why:
        raise UserError("teacher-unfit", folder=folder, why=why)
    own, _ = use_settings(folder, saved_config(folder), [Path(path) for path in config.plugin])
    needed = [*_weights(own), *([f"predictions/{split_name(own)}.parquet"] if has_folds(own) else [])]
    if lacking := next((name for name in needed if not (folder / name).is_file()), None):
        raise UserError("teacher-unfit", folder=folder, why=f"it has no {lacking}")
    return own, record


def _reported(config: RunConfig, index: Index) -> list[Video]:
    """Return the videos that the student is scored on: with all folds those of train and val."""
    if has_folds(config):
        return [video for video in index.videos if video.split in BOTH]
    return index.split("test" if config.fit else "val")


def _teaching_settings(own: RunConfig, config: RunConfig) -> RunConfig:
    """Return the settings with which a teacher predicts the student's videos: its own, on the student's machine."""
    here = {name: getattr(config, name) for name in ("data_dir", "plugin", "device", "devices", "nodes")}
    alone = {"folds": 0, "fold": -1, "folds_of": FOLDED, "fit": (), "epochs_from": None, "distill": Distill()}
    return own.model_copy(update={**here, **alone})


def soft_targets(teacher: Teacher, videos: Sequence[Video], predict: Predict) -> dict[str, np.ndarray]:
    """Return video -> (n, K) float32 predictions of a teacher, NaN at frames of which it has no input.

    Raises:
        UserError: A video has no predictions of the teacher, or another number of frames.
    """
    found = [video for path in teacher.tables for video in read_own(path, teacher.track)]
    if teacher.job is not None:
        found += predict(teacher.job, teacher.folder, videos)
    known = {video.video: video for video in found}
    return dict(_rows(teacher, known.get(video.name), video) for video in videos)


def _rows(teacher: Teacher, found: VideoAnswers | None, video: Video) -> tuple[str, np.ndarray]:
    if found is None or len(found.times) != video.n_frames:
        _refuse_video(teacher.folder, video, None if found is None else len(found.times))
    columns = [found.values[answer.name].reshape(video.n_frames, -1) for answer in teacher.track.answers]
    rows = np.concatenate(columns, 1).astype(np.float32)
    rows[~np.logical_or.reduce(list(found.present.values()))] = np.nan
    return video.name, rows
