"""Compute the features that a run needs and the cache lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.batching.clips import ClipData
from harness.data.index.index import Index, Split
from harness.data.streams.raw_inputs import RawSlot
from harness.features.extraction import extract, extract_videos
from harness.features.frozen_encoder import FrozenSlot
from harness.features.store import FeatureStore
from harness.features.views import ViewChoice, mirror_slots, view_slots
from harness.runs.job import Job
from harness.runtime.distributed import World
from harness.runtime.launchers import Failure
from zoo.errors import UserError

PREDICTED: tuple[Split, ...] = ("val", "rest", "test")


def extract_features(
    index: Index, frozen: Sequence[FrozenSlot], raw: Mapping[str, RawSlot], world: World, *, progress: bool
) -> FeatureStore:
    """Compute features missing from the cache, divided among the processes; UserError if a video is unreadable."""
    if world.size > 1:
        pack_inputs(index, raw, world)
    store, failures = extract(index, frozen, progress=progress and world.first)
    refuse_failures(failures, index)
    return store


def pack_inputs(index: Index, raw: Mapping[str, RawSlot], world: World) -> None:
    """Pack frames cut from video once per video, divided among the processes; each then finds the others' files.

    harness.features.extraction divides the features itself.
    """
    for slot in raw.values():
        for i in world.shard([video.n_frames for video in index.videos]):
            slot.prepare(index.videos[i].name)
    world.all_gather(None)


def add_views(job: Job, frozen: Sequence[FrozenSlot], data: ClipData, store: FeatureStore, *, progress: bool) -> None:
    """Compute the augmented views of the training videos (``features.views``), and let their clips use them."""
    views = job.config.features.views
    slots = view_slots(frozen, job.plan.augment, views)
    if not slots:
        return
    names = [video.name for video in data.videos]
    refuse_failures(extract_videos(job.index, slots, names, store=store, progress=progress), job.index)
    data.views = ViewChoice(frozenset(slot.base.plan.name for slot in slots), views, job.config.seed)


def add_looks(job: Job, frozen: Sequence[FrozenSlot], store: FeatureStore, *, progress: bool) -> None:
    """Compute the features of the looks over which predictions are averaged (``tta``), for the predicted videos."""
    tta = job.config.tta
    slots = (mirror_slots(frozen) if tta.flip else []) + view_slots(frozen, job.plan.augment, tta.views)
    if slots:
        names = [video.name for split in PREDICTED for video in job.index.split(split)]
        refuse_failures(extract_videos(job.index, slots, names, store=store, progress=progress), job.index)


def refuse_failures(failures: Sequence[Failure], index: Index) -> None:
    """Raise UserError if features of some videos could not be computed."""
    if not failures:
        return
    reasons = {failure.reason for failure in failures}
    if len(reasons) == 1 and len(failures) > 1:  # not one video's fault, but for example weights that do not fit
        raise UserError("features-failed", message=reasons.pop())
    some = "; ".join(f"{failure.item}: {failure}" for failure in failures[:5])
    raise UserError("videos-unreadable", count=len(failures), count2=len(index.videos), some=some)
