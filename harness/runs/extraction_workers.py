"""Feature extraction with workers (harness.runtime.launchers): one item is a video, its result the cache entries."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.config.schema import RunConfig
from harness.data.index.index import Index
from harness.features.extraction import extract_videos
from harness.features.frozen_encoder import FrozenSlot, frozen_slots
from harness.features.store import FeatureStore
from harness.runs.job import SharedSetup, make_job, prepare_shared
from harness.runtime.device import pick_device
from harness.runtime.launchers import Failure, Launch
from harness.runtime.progress import Bar


@dataclass(frozen=True)
class Item:
    """One video whose features the frozen slots of a configuration need."""

    settings: str
    video: str


@dataclass(frozen=True)
class Computed:
    """Result for one video: entries computed because they were missing, damaged ones among them, and failures."""

    computed: int
    damaged: int
    failures: tuple[Failure, ...]


def extract_with_workers(
    config: RunConfig, index: Index, launch: Launch, *, progress: bool = True
) -> tuple[int, int, list[Failure]]:
    """Return the number of entries computed, of damaged ones among them, and the failed videos in the index's order."""
    # Longest first, so that all workers finish at about the same time.
    videos = sorted(index.videos, key=lambda video: -video.n_frames)
    computed = damaged = 0
    failures: list[Failure] = []
    total = sum(video.n_frames for video in videos)
    settings = config.toml()
    with Bar(total=total, unit="frame", desc="features", shown=progress) as bar:
        for place, outcome in launch(extract_one, [Item(settings, video.name) for video in videos]):
            bar.update(videos[place].n_frames)
            if isinstance(outcome, Failure):
                failures.append(replace(outcome, item=videos[place].name))
            else:
                computed, damaged = computed + outcome.computed, damaged + outcome.damaged
                failures += outcome.failures
    order = {video.name: place for place, video in enumerate(index.videos)}
    return computed, damaged, sorted(failures, key=lambda failure: order[failure.item])


def extract_one(item: Item) -> Computed:
    """Compute the cache entries missing for one video. The networks stay in memory for the next video."""
    index, slots = _slots(item.settings)
    store = FeatureStore()
    failures = extract_videos(index, slots, [item.video], store=store, progress=False)
    return Computed(store.computed, store.damaged, tuple(failures))


@functools.lru_cache(maxsize=1)
def _slots(settings: str) -> tuple[Index, Sequence[FrozenSlot]]:
    config = RunConfig.model_validate(tomllib.loads(settings))
    job = make_job(config, progress=False, shared=ground_of(config))
    return job.whole or job.index, frozen_slots(job.plan.slots, config.features, pick_device(config.device))


def ground_of(config: RunConfig) -> SharedSetup:
    """Return the indexed data of a configuration; built once per process for all configurations on the same data."""
    keys = {"track", "edition", "data_dir", "plugin", "data"}
    return _shared_setup(RunConfig.model_validate(config.model_dump(include=keys)).toml())


@functools.lru_cache(maxsize=1)
def _shared_setup(settings: str) -> SharedSetup:
    return prepare_shared(RunConfig.model_validate(tomllib.loads(settings)), progress=False)
