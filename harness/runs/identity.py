"""Identity of a run: the part of its record that is known before it starts, and the values that checkpoints compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from harness.config.recorded import CIRCUMSTANCES, recorded
from harness.config.schema import flat
from harness.data.index.index import Index
from harness.data.packed.locate import stored_as
from harness.data.streams.sources import open_reader, source_of
from harness.data.tracking.person_boxes import FOLDER, how_made
from harness.evaluation.looks import described
from harness.features.store import FeatureStore
from harness.io.hashing import digest
from harness.runs.job import Job
from leaderboards.blocks import DataBlock, Result

VERSIONED = ("abaw-zoo", "torch", "torchvision", "torchaudio", "timm", "numpy")


def identity(job: Job) -> Result:
    """Return the part of the record that is known before the run starts."""
    config, index, track = job.config, job.whole or job.index, job.track
    fusion, head = ("", "") if config.zero_shot else (config.fusion, config.head)
    if config.trees:
        fusion, head = "", "trees"
    settings = recorded(config)
    if not config.zero_shot:
        del settings["zero_shot"]  # keeps the records of trained runs as they were before zero-shot runs existed
    result: Result = {
        "combination": {"encoders": config.encoders, "fusion": fusion, "head": head},
        "config": settings,
        "edition": job.edition.name,
        "track": track.name,
        "track_version": track.version,
        "metric": track.metric,
        "score_range": list(track.score_range),
        "split": job.split,
    }
    if origin := job.origin:
        result["fit"] = list(config.fit)
        result["epochs_from"] = {"run": origin.run, "sha256": origin.sha256, "epochs": origin.epochs}
    if job.stages:
        result["stages"] = [stage.block() for stage in job.stages]
    if teacher := job.teacher:
        result["distillation"] = {
            "run": teacher.run,
            "sha256": teacher.sha256,
            "out_of_fold": bool(teacher.tables),
            "in_sample": len(teacher.in_sample),
            "videos": len(job.index.split("train")),
        }
    if config.tta.used:
        result["tta"] = described(config, job.plan)
    result |= {
        "seeds": [config.seed],
        "data": _data(job, index),
        "plugins": job.foreign_plugins,
        "versions": {name: version(name) for name in VERSIONED},
    }
    return result


def _data(job: Job, index: Index) -> DataBlock:
    split = {s: index.split(s) for s in ("train", "val", "test")}
    data: DataBlock = {
        "name": job.data_name,
        "synthetic": job.synthetic,
        "fingerprint": index.fingerprint(),
        "videos": {s: len(v) for s, v in split.items()},
        "frames": {s: sum(x.n_frames for x in v) for s, v in split.items()},
        "groups": {s: len({x.group for x in v}) for s, v in split.items()},
    }
    if packed := stored_as(index.pack, {slot.stream.name for slot in job.plan.slots}):
        data["packed"] = packed
    if any("boxes" in slot.stream.needs for slot in job.plan.slots):
        made = [how_made(index.root / FOLDER / f"{video.name}.parquet") for video in index.videos]
        if by_pose := sorted({detector for detector, posed in made if posed is not None}):
            data["boxes"] = by_pose
    return data


FREE = CIRCUMSTANCES | {"recipe", "data.list", "data.pack"}
"""Settings that may differ if a training is continued: their contents are compared instead."""


def made_of(job: Job, store: FeatureStore, weights: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the inputs of a training, by readable names, for its checkpoints.

    They are the values of its settings, and digests of plugin files, of the ``weights`` that it begins with, of labels,
    and of each slot's input.
    """
    made = {key: str(value) for key, value in flat(recorded(job.config)).items() if key not in FREE}
    made |= {f"the plugin {name.partition(' sha256 ')[0]}": name for name in job.foreign_plugins}
    made |= {f"the weights of {known['slot']}": str(known.get("sha256")) for known in weights}
    if job.teacher is not None:
        made["the teacher"] = job.teacher.sha256
    for video in job.index.videos:
        made[f"the labels of {video.name}"] = digest(
            video.split, video.group, video.n_frames, video.labels.tobytes().hex(), video.rows.tobytes().hex()
        )
    for slot in job.plan.slots:
        for video in job.index.videos:
            source = store.sources.get((slot.name, video.name))
            if source is None:  # a trained slot
                source = open_reader(slot.stream, source_of(job.index, video)).fingerprint()
            made[f"the {slot.stream.name} of {video.name}"] = source
    return made
