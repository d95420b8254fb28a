"""Types of a record's blocks, for mypy.

Every key may be missing: records of older versions lack some, and each kind of run (one, several seeds, folds, an
ensemble) has its own.
"""

from __future__ import annotations

from typing import Any, TypedDict

__all__ = [
    "Choices",
    "Circumstances",
    "Combination",
    "DataBlock",
    "DistillationBlock",
    "EnsembleBlock",
    "EpochChoice",
    "FoldBlock",
    "FoldsBlock",
    "Halved",
    "Interval",
    "MemberBlock",
    "Origin",
    "PostBlock",
    "ReferenceBlock",
    "Result",
    "ScoreBlock",
    "SearchBlock",
    "StageBlock",
    "SubmissionBlock",
    "Together",
    "TtaBlock",
    "WeightsBlock",
]


class Interval(TypedDict):
    """A score and its 95 % interval, which is None for a single group of videos."""

    main: float | None
    low: float | None
    high: float | None


class ScoreBlock(TypedDict, total=False):
    """One kind of score (raw, post, ...) of a split, in the track's metric.

    ``leave_one_out``: without each of ``groups``. ``spread`` and ``seeds``: of several seeds. ``folds``, ``fold_mean``,
    ``fold_spread``: of several folds.
    """

    main: float
    low: float | None
    high: float | None
    parts: dict[str, float]
    frames: int
    videos: int
    groups: list[str]
    leave_one_out: list[float]
    per_video: dict[str, float]
    reachable: float
    absent: list[str]
    over_present: float
    confusion: dict[str, list[list[int]]]
    spread: float
    seeds: list[float]
    folds: list[float | None]
    fold_mean: float | None
    fold_spread: float | None


class PostBlock(TypedDict, total=False):
    """Values fitted by post-processors: on each fold's complement, and on ``all`` videos. States are the plugins'.

    ``gains``: the cross-fitted gain of those that are left out without one; None: too few groups to tell.
    """

    folds: list[dict[str, Any]]
    all: dict[str, Any]
    gains: dict[str, float | None]
    fitted_on: str
    fitted_on_itself: float
    optimism: float


class Combination(TypedDict, total=False):
    """The blocks of a combination."""

    encoders: str
    fusion: str
    head: str


class DataBlock(TypedDict, total=False):
    """The data of a run; counts by split.

    ``packed``: stream -> stored size and quality. ``boxes``: the detectors of person boxes by pose, if there are any.
    """

    name: str
    synthetic: bool
    fingerprint: str
    videos: dict[str, int]
    frames: dict[str, int]
    groups: dict[str, int]
    packed: dict[str, dict[str, int]]
    boxes: list[str]


class Origin(TypedDict, total=False):
    """The run that chose the number of epochs."""

    run: str
    sha256: str
    epochs: int


class StageBlock(TypedDict):
    """A run whose predictions a branch reads, and the runs before it; ``sha256``: of its result."""

    branch: str
    run: str
    sha256: str
    split: str
    stages: list[StageBlock]


class SearchBlock(TypedDict, total=False):
    """The search that chose settings among trials."""

    trials: int
    on: str
    reported: bool
    keys: list[str]


class WeightsBlock(TypedDict, total=False):
    """The weights that a slot began with, or a fixed encoder's own keys with ``slot`` and ``precision``."""

    slot: str
    precision: str
    name: str
    file: str
    sha256: str
    trusted_on_first_use: bool
    license: str | None
    source: str | None
    url: str | None
    saw: list[str]
    other_tracks: list[str]
    seen_affwild2: bool | None
    size: int
    classes: list[str]
    input: str | None
    citation: str | None
    rights_known: bool
    notes: list[str]


class SubmissionBlock(TypedDict):
    """The file that a run wrote.

    ``list``: name of the organisers' list; ``held``: rows filled with the first or last prediction of their video.
    """

    file: str
    rows: int
    official: bool
    sha256: str
    list: str | None
    held: int


class MemberBlock(TypedDict):
    """A member of an ensemble; ``weights``: kind of answer -> its weight."""

    name: str
    result_sha256: str
    raw: float | None
    weights: dict[str, float] | None


class TreesBlock(TypedDict):
    """Boosted trees on frozen features; see harness.evaluation.tree_models. ``of_frames``: those drawn from."""

    frames: int
    of_frames: int
    dimensions: int
    trees: int


class StackBlock(TypedDict):
    """A second level on the predictions of an ensemble's members; see harness.analysis.stacking."""

    strength: float
    chosen_among: dict[str, float | None]
    chosen_on: str
    frames: int
    inputs: int
    averaged: list[str]


class EnsembleBlock(TypedDict, total=False):
    """The merging of predictions; all keys but ``method`` describe fitted weights or a fitted second level.

    ``mean``: the score of the members' plain mean on the same videos.
    """

    method: str
    fitted_on: str
    weights_by_fold: list[dict[str, list[float]]]
    weights: dict[str, list[float]]
    stack_by_fold: list[StackBlock]
    stack: StackBlock
    mean: float
    fitted_on_itself: float
    optimism: float


class Choices(TypedDict, total=False):
    """The data on which a run's choices were made; see harness.runs.provenance.selection_facts."""

    selection_split: str | None
    n_selections: int
    selected: list[str]
    selected_on_reported: bool
    seen: list[str]
    search: SearchBlock


class EpochChoice(TypedDict):
    """The score with the epoch chosen on other groups, and how much lower it is."""

    nested: float
    optimism: float


class ReferenceBlock(TypedDict):
    """A linear model of the run's frozen features; see harness.evaluation.plain_reference."""

    main: float
    parts: dict[str, float]
    strength: float
    chosen_among: dict[str, float | None]
    chosen_on: str
    slots: list[str]
    training_frames: int
    dimensions: int


class Together(Choices, total=False):
    """Choices and trainings of the members of a run of several seeds or folds."""

    epoch_choice: EpochChoice | None
    reference: ReferenceBlock | None
    epoch: int
    best_epochs: list[int]
    epochs: int
    steps: int
    members: list[Any]  # digests; for an ensemble MemberBlocks


class FoldBlock(TypedDict):
    """The choices of one fold."""

    epoch: int
    epochs: int
    n_selections: int


class FoldsBlock(Together, total=False):
    """The folds' part of a run's result."""

    folds: list[FoldBlock]
    passports: list[WeightsBlock]
    parameters: dict[str, int | None]
    multiply_adds: dict[str, int | None] | None


class ZeroShotBlock(TypedDict):
    """Facts of a run without training.

    ``lacking``: classes of the track that the model lacks; ``unused``: classes of the model that the track lacks.
    """

    encoder: str
    lacking: list[str]
    unused: list[str]


class DistillationBlock(TypedDict, total=False):
    """The run that taught.

    ``in_sample``: how many of the taught ``videos`` it was trained on; 0 if its predictions are ``out_of_fold``.
    """

    run: str
    sha256: str
    out_of_fold: bool
    in_sample: int
    videos: int


class TtaBlock(TypedDict, total=False):
    """Test-time augmentation: predictions that are the mean over ``passes``.

    ``cost``: forward passes, as a multiple of those of a plain evaluation. ``flip``: branches whose pictures are also
    mirrored; ``views``: branch -> the augmentations of its views; ``strides``: those of the sampled frames.
    ``run`` and ``sha256``: the run that was trained, if it was evaluated anew.
    """

    passes: int
    cost: float
    flip: list[str]
    views: dict[str, list[str]]
    strides: list[int]
    run: str
    sha256: str


class Result(FoldsBlock, total=False):
    """Everything that the same command gives again. ``config``: harness.config.schema.RunConfig as JSON."""

    combination: Combination
    config: dict[str, Any]
    edition: str
    track: str
    track_version: int
    metric: str
    score_range: list[float]
    split: str
    fit: list[str]
    epochs_from: Origin
    stages: list[StageBlock]
    seeds: list[int]
    data: DataBlock
    plugins: list[str]
    versions: dict[str, str]
    fits: dict[str, str | None]
    late_fall: float | None
    zero_shot: ZeroShotBlock
    trees: TreesBlock
    scores: dict[str, ScoreBlock]
    post: PostBlock
    submission: SubmissionBlock | None
    ensemble: EnsembleBlock
    tta: TtaBlock
    distillation: DistillationBlock


class Circumstances(TypedDict, total=False):
    """Everything that may differ when the same command is run again. Memory is in MB, disk in GB, time in seconds.

    ``data``: the place of the data, absolute and relative to the run's folder; ``groups``: sha256 of the groups of the
    videos; ``files``: sha256 of written files, by their names there.
    """

    data: dict[str, str]
    groups: str
    files: dict[str, str]
    started: str
    host: str
    platform: str
    python: str
    threads: int
    pid: int
    commit: str | None
    free_disk_gb: float
    seconds: float
    peak_memory_mb: int
    out_of_memory: list[Halved]
    device: str
    processes: int
    frames_per_second: dict[str, float | None]
    parameter_groups: list[ParameterGroup]


class ParameterGroup(TypedDict):
    """A group of trained parameters: its highest learning rate, its weight decay, and how many numbers it has."""

    name: str
    lr: float
    weight_decay: float
    parameters: int


class Halved(TypedDict):
    """A batch that continued with a smaller size after memory ran out."""

    where: str
    batch: int
