"""Prediction by a run that reads the predictions of other runs: these predict the video first, all folds of each.

Each fold decodes the video anew, because a run's faces and windows are its own. The folds' predictions are merged as
they were for the videos outside the folds in training (harness.runs.stages).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.evaluation.merging import merge
from harness.evaluation.postprocessing import Chain
from harness.predicting.media import Media
from harness.runs.finished import check_stage, record_of_run
from harness.runs.folder import saved_config
from harness.runs.recorded_plugins import own_plugins
from harness.runs.stages import stage_folder
from leaderboards.record import Record
from zoo.api import TrackSpec, VideoAnswers
from zoo.errors import UserError
from zoo.registry.plan import SlotPlan

if TYPE_CHECKING:
    from harness.predicting.models import Model, RunModel

Predict = Callable[[Media, "RunModel"], VideoAnswers]


@dataclass(frozen=True)
class LiveStage:
    """A run whose predictions a branch reads: its folds, and how they are merged."""

    branch: str
    folds: Sequence[RunModel]
    method: str

    def rows(self, media: Media, predict: Predict) -> np.ndarray:
        """Return the merged predictions (n, width) float32 for an input; NaN at frames that no branch saw."""
        track: TrackSpec = self.folds[0].track
        (found,) = merge([[predict(media, fold)] for fold in self.folds], track, method=self.method)
        rows = np.column_stack([found.values[answer.name] for answer in track.answers]).astype(np.float32)
        seen = np.logical_or.reduce(list(found.present.values()))
        return np.where(seen[:, None], rows, np.float32(np.nan))


@dataclass(frozen=True)
class KnownRows:
    """A reader of vectors (zoo.readers.VectorReader) of one video that are known already: (n, width), NaN if absent."""

    known: np.ndarray

    def present(self) -> np.ndarray:
        """Return the mask (n,) bool of frames that have a vector."""
        found: np.ndarray = ~np.isnan(self.known).any(1)
        return found

    def vectors(self) -> np.ndarray:
        """Return the vectors (n, width), with zeros at absent frames."""
        return np.nan_to_num(self.known)

    def fingerprint(self) -> str:
        """Return nothing that identifies them: nothing is cached when a new video is predicted."""
        return ""


def live_stages(
    slots: Sequence[SlotPlan],
    folder: Path,
    record: Record | None,
    load: Callable[[Path, tuple[Path, ...], tuple[Path, ...]], RunModel],
    plugins: Sequence[Path],
    chain: tuple[Path, ...],
) -> list[LiveStage]:
    """Load the runs whose predictions a run's branches read.

    Args:
        slots: The branches.
        folder: The run.
        record: Its record, with the digests of those runs.
        load: Loads one fold, from its folder, its plugin files, and the runs that read it.
        plugins: The plugin files that the user names.
        chain: The runs that read this one.

    Raises:
        UserError: A run is not the recorded one, or reads itself.
    """
    chain = (*chain, folder.resolve())
    stages = []
    named = {block["branch"] for block in (record.result.get("stages") if record else None) or ()}
    for slot in slots:
        if slot.name not in named:
            continue
        stage = stage_folder(slot)
        if stage is None:
            raise UserError("stage-missing", folder=folder, branch=slot.name, stage=slot.slot.argument)
        if stage.resolve() in chain:
            raise UserError("stage-cycle", folder=folder, chain=" > ".join(path.name for path in chain))
        found = record_of_run(stage)
        assert found is not None  # stage_folder has seen it
        check_stage(slot.name, stage, found, record, folder)
        config = saved_config(stage)
        folds = [
            load(stage / f"fold-{f}", own_plugins(plugins, found), (*chain, stage.resolve()))
            for f in range(config.folds)
        ]
        for fold in folds:
            fold.chain = Chain((), fold.track)  # the second run was trained on raw predictions
        stages.append(LiveStage(slot.name, folds, config.merge))
    return stages


def with_rows(model: Model, rows: Mapping[str, np.ndarray]) -> Model:
    """Return a model whose branches read known rows (n, width) of one video instead of a run's tables."""
    staged = copy.copy(model)
    staged.branches = copy.copy(model.branches)
    staged.branches.plans = [_reading(plan, rows.get(plan.name)) for plan in model.branches.plans]
    staged.stages = []
    return staged


def _reading(plan: SlotPlan, rows: np.ndarray | None) -> SlotPlan:
    if rows is None:
        return plan

    def reader(source: Any) -> KnownRows:
        return KnownRows(rows)

    return replace(plan, stream=replace(plan.stream, reader=reader))
