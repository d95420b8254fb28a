"""The run that teaches another one (``distill.run``), and its predictions for the training videos.

A teacher must not have been trained on a video that the student is scored on. A run with folds teaches with its
out-of-fold predictions. Another run predicts the training videos anew; those that it was trained on are counted in the
record, since it predicts them better than new videos.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.config.schema import RunConfig
from harness.config.teacher_options import Distill
from harness.data.index.index import Index, Video
from harness.runs.exposure import TrainingExposure, read_exposure
from harness.runs.finished import read_own, use_settings
from harness.runs.folder import has_folds, saved_config
from harness.runs.splits import BOTH, split_name
from leaderboards.record import RecordError, read
from zoo.api import TrackSpec, VideoAnswers
from zoo.errors import UserError
from zoo.registry.registry import Registry
from zoo.registry.tracks import find_track

Predict = Callable[[RunConfig, Path, Sequence[Video]], Sequence[VideoAnswers]]
"""A function from a run's settings, its folder and videos to its predictions for these."""


@dataclass(frozen=True)
class Teacher:
    """A finished run that teaches.

    ``sha256``: that of its record's result. ``exposures``: its trainings, and those of what it began with.
    ``out_of_fold``: its out-of-fold predictions, if it has folds. ``in_sample``: training videos of the student that it
    was trained on, if it predicts them anew.
    """

    folder: Path
    run: str
    sha256: str
    config: RunConfig
    track: TrackSpec
    exposures: tuple[TrainingExposure, ...]
    out_of_fold: Path | None
    in_sample: tuple[str, ...]


def find_teacher(
    config: RunConfig, index: Index, track: TrackSpec, registry: Registry, *, synthetic: bool
) -> Teacher | None:
    """Return the run that ``distill.run`` names; raise UserError if it cannot teach ``config``.

    Args:
        config: The student's settings.
        index: Its data, with the splits as it uses them.
        track: Its track.
        registry: The registered blocks.
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
    folder = Path(distill.run)
    own, sha256, name = _finished(folder, config)
    _, taught = find_track(registry, own.track, own.edition)
    if taught.name != track.name or taught.answers != track.answers:
        what = f"{taught.name} ({', '.join(answer.name for answer in taught.answers)})"
        raise UserError("teacher-other-track", folder=folder, there=what, here=track.name)
    weights = sorted(folder.glob("fold-*/weights.safetensors")) if has_folds(own) else [folder / "weights.safetensors"]
    exposures = tuple(dict.fromkeys(saw for file in weights for saw in read_exposure(file)))
    if not exposures:
        raise UserError("teacher-unknown-training", folder=folder)
    groups = {group for saw in exposures if saw.synthetic == synthetic for group in saw.train}
    if seen := [video.name for video in _reported(config, index) if video.group in groups]:
        raise UserError("teacher-saw-reported", folder=folder, split=split_name(config), count=len(seen), first=seen[0])
    file = folder / "predictions" / f"{split_name(own)}.parquet" if has_folds(own) else None
    known = () if file else tuple(video.name for video in index.split("train") if video.group in groups)
    return Teacher(folder, name, sha256, own, taught, exposures, file, known)


def _finished(folder: Path, config: RunConfig) -> tuple[RunConfig, str, str]:
    """Return the settings of a finished run, the digest of its result, and its name."""
    try:
        record = read(folder / "record.json")
    except RecordError as error:
        raise UserError("teacher-not-finished", folder=folder, error=error) from None
    why = "" if record.status == "done" else f"it is {record.status}"
    kinds = {"ensemble": "it is an ensemble", "zero_shot": "it is zero-shot, so nothing was trained"}
    why = why or next((said for key, said in kinds.items() if key in record.result), "")
    if not why and (folder / "seeds").is_file():
        why = f"it has several seeds; name one of them, {folder / 'seed-0'}"
    if why:
        raise UserError("teacher-unfit", folder=folder, why=why)
    own, _ = use_settings(folder, saved_config(folder), [Path(path) for path in config.plugin])
    return own, record.result_sha256, record.name


def _reported(config: RunConfig, index: Index) -> list[Video]:
    """Return the videos that the student is scored on: with all folds those of train and val."""
    if has_folds(config):
        return [video for video in index.videos if video.split in BOTH]
    return index.split("test" if config.fit else "val")


def teaching_settings(teacher: Teacher, config: RunConfig) -> RunConfig:
    """Return the settings with which a teacher predicts the student's videos: its own, on the student's machine."""
    here = {name: getattr(config, name) for name in ("data_dir", "plugin", "device", "devices", "nodes")}
    alone = {"folds": 0, "fold": -1, "fit": (), "epochs_from": None, "distill": Distill()}
    return teacher.config.model_copy(update={**here, **alone})


def soft_targets(
    teacher: Teacher, config: RunConfig, videos: Sequence[Video], predict: Predict
) -> dict[str, np.ndarray]:
    """Return video -> (n, K) float32 predictions of a teacher, NaN at frames of which it has no input.

    Raises:
        UserError: A video has no predictions of the teacher, or another number of frames.
    """
    if teacher.out_of_fold is not None:
        found: Sequence[VideoAnswers] = read_own(teacher.out_of_fold, teacher.track)
    else:
        found = predict(teaching_settings(teacher, config), teacher.folder, videos)
    known = {video.video: video for video in found}
    return dict(_rows(teacher, known.get(video.name), video) for video in videos)


def _rows(teacher: Teacher, found: VideoAnswers | None, video: Video) -> tuple[str, np.ndarray]:
    if found is None or len(found.times) != video.n_frames:
        frames = "none" if found is None else len(found.times)
        raise UserError("teacher-video", folder=teacher.folder, name=video.name, frames=frames, n_frames=video.n_frames)
    columns = [found.values[answer.name].reshape(video.n_frames, -1) for answer in teacher.track.answers]
    rows = np.concatenate(columns, 1).astype(np.float32)
    rows[~np.logical_or.reduce(list(found.present.values()))] = np.nan
    return video.name, rows
