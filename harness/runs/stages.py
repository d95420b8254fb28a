"""Stages: finished runs whose predictions are the input of another run (``BRANCH=features:RUN``).

A run predicts the videos that it was trained on better than others, so a second run would learn to trust it too much.
Hence the first must be a run with folds: every training video has the prediction of a fold that saw nothing of its
group, and all other videos have the merged predictions of all folds (stacked generalisation: Wolpert 1992,
doi:10.1016/S0893-6080(05)80023-1). What is checked before any training:

- the run is finished, its files are as recorded, and it is of the same track and data;
- no fold was trained on, or chose its epoch by, the group of a training or validation video that it predicts, also
  through the weights that it began with;
- no run of the chain was trained on, or chosen by, a reported video. With ``--folds`` of the second run too that cannot
  be: its training videos' predictions come from folds that were trained on the reported videos. Such videos are then
  listed under ``seen`` in the record, which marks the run in tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyarrow import parquet

from harness.config.schema import RunConfig
from harness.data.index.index import Index, Video
from harness.runs.exposure import TrainingExposure, read_exposure
from harness.runs.finished import check_index, check_settings, check_written, record_of_run
from harness.runs.folder import saved_config
from harness.runs.splits import fold_of_group
from leaderboards.blocks import StageBlock
from leaderboards.record import Record
from zoo.errors import UserError
from zoo.registry.plan import SlotPlan

SHOWN = 3  # names of videos in an error


@dataclass(frozen=True)
class Stage:
    """A run whose predictions a branch reads.

    ``folds``: for every fold the trainings of its own weights; ``exposures``: all trainings of the chain, each once.
    """

    branch: str
    folder: Path
    record: Record
    config: RunConfig
    folds: tuple[tuple[TrainingExposure, ...], ...]
    exposures: tuple[TrainingExposure, ...]

    def block(self) -> StageBlock:
        """Return the stage's part of a record, with the stages before it."""
        result = self.record.result
        return {
            "branch": self.branch,
            "run": self.record.name,
            "sha256": self.record.result_sha256,
            "split": result["split"],
            "stages": list(result.get("stages") or ()),
        }


def stage_folder(slot: SlotPlan) -> Path | None:
    """Return the run whose predictions a branch reads; None if it reads something else."""
    if not slot.encoder.runs or not slot.slot.argument:
        return None
    folder = Path(slot.slot.argument).expanduser()
    return folder if (folder / "record.json").is_file() else None


def find_stages(
    slots: Sequence[SlotPlan], index: Index, config: RunConfig, *, trained: bool = False
) -> tuple[Stage, ...]:
    """Return the stages of a run's branches; raise UserError if one cannot be its input.

    Args:
        slots: The run's branches.
        index: Its data, with the original splits.
        config: Its settings.
        trained: Whether it is trained already: then its reported videos were checked with the settings of then.
    """
    stages = tuple(open_stage(slot.name, folder, index) for slot in slots if (folder := stage_folder(slot)) is not None)
    for stage in stages:
        check_unseen(stage, index)
        if not trained:
            check_reported(stage, index, config)
    return stages


def open_stage(branch: str, folder: Path, index: Index) -> Stage:
    """Open a finished run with folds; UserError if it is another kind of run, of other data, or damaged."""
    where = f"{branch}=features:{folder}"
    record = record_of_run(folder)
    if record is None or record.status != "done":
        raise UserError("stage-unfinished", where=where, status=record.status if record else "without a record")
    result = record.result
    if (track := result.get("track")) != index.track.name:
        raise UserError("stage-other-track", where=where, track=track, here=index.track.name)
    check_index(index, record, folder)
    config = saved_config(folder)
    check_settings(folder, config, record)
    if not config.folds or config.fold >= 0 or "ensemble" in result:
        raise UserError("stage-without-folds", where=where, split=result.get("split"))
    _check_tables(where, folder, index)
    members = result.get("members") or []
    folds = [_check_fold(where, folder / f"fold-{f}", members[f : f + 1]) for f in range(config.folds)]
    every = dict.fromkeys(saw for weights in folds for saw in read_exposure(weights))
    own = tuple(tuple(read_exposure(weights, stages=False)) for weights in folds)
    return Stage(branch, folder, record, config, own, tuple(every))


def _check_tables(where: str, folder: Path, index: Index) -> None:
    """Raise UserError if a table of predictions is damaged, or a video of the data has none."""
    found: set[str] = set()
    for path in sorted((folder / "predictions").glob("*.parquet")):
        if not path.name.endswith(".post.parquet"):
            check_written(path)
            found |= set(parquet.read_table(path.absolute(), columns=["video"]).column("video").unique().to_pylist())
    lacking = [video.name for video in index.videos if video.name not in found]
    if lacking:
        raise UserError("stage-lacks-videos", where=where, count=len(lacking), names=_some(lacking))


def _check_fold(where: str, folder: Path, recorded: Sequence[str]) -> Path:
    """Return the weights of a fold; raise UserError if they are missing or not those of the recorded fold."""
    record, weights = record_of_run(folder), folder / "weights.safetensors"
    if record is None or not weights.is_file() or [record.result_sha256] != list(recorded):
        raise UserError("stage-fold-other", where=where, folder=folder)
    check_written(weights)
    return weights


def check_unseen(stage: Stage, index: Index) -> None:
    """Raise UserError if a fold has seen the group of a train or val video that it predicts."""
    fold = fold_of_group(index, stage.config.folds, stage.config.folds_of)
    synthetic = bool((stage.record.result.get("data") or {}).get("synthetic"))
    seen = [_groups(own, synthetic) for own in stage.folds]
    known = [video for video in index.videos if video.split in ("train", "val")]

    def makers(video: Video) -> Iterable[set[str]]:
        return [seen[fold[video.group]]] if video.split in stage.config.folds_of else seen

    memorised = [video.name for video in known if any(video.group in groups for groups in makers(video))]
    if memorised:
        where = f"{stage.branch}=features:{stage.folder}"
        raise UserError("stage-memorised", where=where, count=len(memorised), names=_some(memorised))


def check_reported(stage: Stage, index: Index, config: RunConfig) -> None:
    """Raise UserError if a run of the chain has seen the official validation videos and these are reported."""
    if config.folds or config.fit:
        return
    synthetic = bool((stage.record.result.get("data") or {}).get("synthetic"))
    seen = _groups(stage.exposures, synthetic)
    reported = [video.name for video in index.split("val") if video.group in seen]
    if reported:
        where = f"{stage.branch}=features:{stage.folder}"
        raise UserError(
            "stage-saw-reported", where=where, count=len(reported), names=_some(reported), folds=stage.config.folds
        )


def _groups(exposures: Iterable[TrainingExposure], synthetic: bool) -> set[str]:
    return {group for saw in exposures if saw.synthetic == synthetic for group in (*saw.train, *saw.select)}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
