"""Splits: the original ones, a fold, or train and val together.

Of K folds over the train and validation videos, fold f is reported, fold f + 1 (mod K) chooses the epoch, and the rest
trains; a group of videos is never divided. ``folds_of=train`` makes them of the training videos alone: every fold
predicts the validation videos, and none sees them, so that a second stage can report them. ``fit``: train and val both
train, for as many epochs as another run chose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.config.recorded import with_left_out
from harness.config.schema import RunConfig, flat
from harness.data.index.index import Index, Split
from leaderboards.blocks import Result
from leaderboards.record import RecordError, read
from zoo.errors import UserError
from zoo.registry.plan import named_encoders
from zoo.registry.registry import Registry

BOTH = {"train", "val"}
FREE = {
    "recipe",
    "data_dir",
    "plugin",
    "seed",
    "folds",
    "fold",
    "folds_of",
    "fit",
    "epochs_from",
    "merge",
    "device",
    "logger",
    "data.list",
    "chosen.trials",
    "chosen.on",
    "chosen.reported",
    "chosen.keys",
    "distill.run",
    "distill.weight",
    "distill.temperature",
    "distill.unlabelled",
}
"""Settings in which a run may differ from the run whose number of epochs it takes."""


@dataclass(frozen=True)
class EpochSource:
    """The run that chose a number of epochs. ``answers``: its predictions for videos it was not trained on, if kept."""

    folder: Path
    run: str
    sha256: str
    epochs: int
    answers: Path | None


def check_kind(config: RunConfig, seeds: int = 1) -> None:
    """Raise UserError if settings of folds, fit and seeds contradict each other."""
    if config.fit and (config.folds or config.fold >= 0):
        raise UserError("folds-with-fit")
    if config.folds and seeds > 1:
        raise UserError("folds-with-seeds")
    if config.fit and set(config.fit) != BOTH:
        raise UserError("fit-invalid", names=",".join(config.fit))
    if config.fit and config.epochs_from is None:
        raise UserError("fit-without-epochs")
    if config.epochs_from is not None and not config.fit:
        raise UserError("epochs-without-fit")
    if config.fit and config.train.schedule == "plateau":
        raise UserError("fit-with-plateau")
    if set(config.folds_of) not in (BOTH, {"train"}):
        raise UserError("folds-of-invalid", names=",".join(config.folds_of))
    if set(config.folds_of) != BOTH and not config.folds:
        raise UserError("folds-of-without-folds")
    if config.folds in (1, 2):
        raise UserError("folds-too-few", folds=config.folds)
    if config.fold >= max(0, config.folds):
        there = f"there are folds 0 to {config.folds - 1}" if config.folds else "there are no folds"
        raise UserError("fold-invalid", fold=config.fold, there=there)


def split_name(config: RunConfig) -> str:
    """Return the name of the reported split: val; cv6, or cv6-0 for one fold; test if nothing is left to score.

    Folds of the training videos alone are called cv6train.
    """
    if config.fit:
        return "test"
    if not config.folds:
        return "val"
    of = "" if set(config.folds_of) == BOTH else "train"
    return f"cv{config.folds}{of}" + (f"-{config.fold}" if config.fold >= 0 else "")


def assign_splits(index: Index, config: RunConfig) -> Index:
    """Return the index with splits as the run uses them: ``val`` is reported, ``select`` chooses a fold's epoch.

    Raise UserError if there are more folds than groups.
    """
    if config.fit:
        return _split_as(index, {video.group: "train" for video in index.split("val")})
    if not config.folds:
        return index
    fold = fold_of_group(index, config.folds, config.folds_of)
    if config.fold < 0:
        return index
    roles: dict[int, Split] = {config.fold: "val", (config.fold + 1) % config.folds: "select"}
    splits: dict[str, Split] = {video.group: "rest" for video in index.videos if video.split in BOTH}
    return _split_as(index, splits | {group: roles.get(f, "train") for group, f in fold.items()})


def fold_of_group(index: Index, folds: int, of: Sequence[str] = ("train", "val")) -> dict[str, int]:
    """Return group of the videos of some splits -> fold."""
    from harness.evaluation.folds import folds_of

    groups = sorted({video.group for video in index.videos if video.split in of})
    if len(groups) < folds:
        raise UserError("folds-too-many", folds=folds, count=len(groups))
    return folds_of(groups, folds)


def _split_as(index: Index, splits: Mapping[str, Split]) -> Index:
    """Return the index with other splits for the train and validation videos of some groups."""
    videos = [replace(v, split=splits.get(v.group, v.split)) if v.split in BOTH else v for v in index.videos]
    return replace(index, videos=tuple(videos))


def find_origin(
    config: RunConfig, index: Index, registry: Registry, *, averaged_later: bool = False
) -> EpochSource | None:
    """Return the run that ``epochs_from`` names; raise UserError if it could not choose epochs for ``config``.

    Test-time augmentation that was chosen after the training, ``averaged_later``, may be what neither had.
    """
    if config.epochs_from is None:
        return None
    folder = Path(config.epochs_from)
    where = f"--epochs-from {folder}"
    try:
        record = read(folder / "record.json")
    except RecordError as error:
        raise UserError("origin-not-finished", where=where, error=error) from None
    result = record.result
    if record.status != "done" or not result.get("epoch"):
        why = f"it is {record.status}" if record.status != "done" else "it chose no epoch"
        raise UserError("origin-unfit", where=where, why=why)
    if result.get("fit"):
        raise UserError("origin-of-origin", where=where, first=result["epochs_from"]["run"])
    if other := "; ".join(_differences(result, config, index, registry, averaged_later)):
        raise UserError("origin-other-training", where=where, other=other)
    return EpochSource(folder, record.name, record.result_sha256, int(result["epoch"]), _answers(folder, result))


def _differences(
    result: Result, config: RunConfig, index: Index, registry: Registry, averaged_later: bool
) -> Iterator[str]:
    """Yield the differences between that run and this one, the main ones first."""
    there = flat(with_left_out(result.get("config") or {}))
    here = flat(with_left_out(config.model_dump(mode="json")))
    there |= {key: result[key] for key in ("track", "edition") if key in result}
    for settings in (there, here):  # a bare branch of an older run is one with its stream's default encoder
        if "encoders" in settings:
            settings["encoders"] = named_encoders(registry, str(settings["encoders"]))
    first = ["track", "edition", "encoders", "fusion", "head"]
    for key in (*first, *sorted((there.keys() | here.keys()) - set(first))):
        a, b = there.get(key, "unset"), here.get(key, "unset")
        known = key in there or key.startswith("options.")  # a setting newer than that run is not compared
        later = averaged_later and (key.startswith("tta.") or (key == "augment" and a is None))  # harness.runs.passes
        if key not in FREE and known and not later and a != b:
            yield f"{key.removeprefix('options.')} is {a} there and {b} here"
    frames = (result.get("data") or {}).get("frames") or {}
    for split in ("train", "val"):
        n = sum(video.n_frames for video in index.split(split))
        if split in frames and frames[split] != n:
            yield f"{split} has {frames[split]} frames there and {n} here"


def fitted_on(config: RunConfig, folder: Path) -> Path | None:
    """Return the raw predictions on which post-processors for further videos are fitted; None if none were labelled.

    Raise UserError if they belong to another run, and that run no longer exists.
    """
    if not config.fit:
        path = folder / "predictions" / f"{split_name(config)}.parquet"
        return path if path.is_file() else None
    origin = Path(str(config.epochs_from))
    try:
        return _answers(origin, read(origin / "record.json").result)
    except RecordError as error:
        raise UserError("origin-predictions", folder=folder, origin=origin, error=error) from None


def _answers(folder: Path, result: Result) -> Path | None:
    """Return the run's raw predictions for its reported videos; for several seeds, those of the first."""
    own = folder if not (folder / "seeds").is_file() else folder / f"seed-{result['seeds'][0]}"
    path = own / "predictions" / f"{result.get('split', 'val')}.parquet"
    return path if path.is_file() else None
