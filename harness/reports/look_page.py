"""`harness data look`: a page with pictures of a data folder as augmentation draws them for training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness.batching.clips import ClipData
from harness.batching.windows import Window
from harness.config.schema import RunConfig
from harness.data.index.index import Index
from harness.data.streams.raw_inputs import RawSlot
from harness.data.streams.sources import check_needs
from harness.features.store import FeatureStore
from harness.io.atomic import atomic
from harness.reports.pictures import picture_uri
from harness.reports.rendering import render
from harness.runs.job import plan_of, prepare_shared
from zoo.augmenting import build_augmentation
from zoo.errors import UserError
from zoo.model.augmenter import Augmenter
from zoo.model.model import build_encoder
from zoo.model.shape_check import meta_or_real
from zoo.registry.augmentations import DEFAULT, Augmentable, augmentation_texts, plan_augmentations
from zoo.registry.plan import SlotPlan

QUALITY = 85
OF_A_CLIP = 3
"""Frames shown of every clip: the first, the middle and the last one that have a picture."""


def look(config: RunConfig, out: Path, *, clips: int, draws: int) -> Path:
    """Write the page and return the file.

    The clips are those at the beginning of training videos, and the draws those of the first epochs. Frozen branches
    are shown as they would be drawn if they were trained. Sound is not shown, whatever its augmentations are.

    Args:
        config: The branches, their augmentations, the data folder and the seed.
        out: The page.
        clips: The number of clips, each of another video.
        draws: The number of draws of each clip, in addition to the pictures as they are.

    Raises:
        UserError: No branch has pictures, there are no training videos, an augmentation or an option does not fit, or
            the page cannot be written.
    """
    own = {name: value for name, value in config.options.items() if name.startswith("augment.")}
    rest = {name: value for name, value in config.options.items() if name not in own}
    shared = prepare_shared(config)
    plain = config.model_copy(update={"augment": None, "options": rest})
    every = plan_of(plain, shared.registry, shared.track).slots
    slots = [slot for slot in every if slot.stream.kind == "frames"]
    if not slots:
        raise UserError("look-no-pictures", encoders=config.encoders)
    check_needs(shared.index, [slot.stream for slot in slots])
    plans = plan_augmentations(
        shared.registry,
        [Augmentable(slot.name, slot.stream.kind, allowed=True) for slot in every],
        config.augment or (DEFAULT,),
        partial(_take, own),
    )
    if own:
        raise UserError("look-option-unused", key=next(iter(own)), names="; ".join(augmentation_texts(plans)) or "none")
    plans = {slot.name: plans[slot.name] for slot in slots if slot.name in plans}
    chains = {slot: tuple(map(build_augmentation, chain)) for slot, chain in plans.items()}
    videos = shared.index.split("train")[:clips]
    if not videos:
        raise UserError("training-split-empty", root=shared.index.root, variant="train", name=shared.track.name)
    page = render(
        "look.html",
        None,
        title=f"{shared.data_name}: what augmentation draws",
        synthetic=shared.synthetic,
        chains=augmentation_texts(plans),
        seed=config.seed,
        branches=[
            {"name": slot.name, "clips": list(_clips(slot, shared.index, clips, draws, chains, config))}
            for slot in slots
        ],
    )
    atomic(out, lambda part: part.write_text(page, encoding="utf-8"))
    return out


def _take(rest: dict[str, Any], prefix: str) -> dict[str, Any]:
    keys = [key for key in rest if key.rpartition(".")[0] == prefix]
    return {key.rpartition(".")[2]: rest.pop(key) for key in keys}


def _clips(
    slot: SlotPlan, index: Index, clips: int, draws: int, chains: Mapping[str, Any], config: RunConfig
) -> Iterator[Mapping[str, Any]]:
    """Yield the pictures of each clip: a row as they are, and one for each draw."""
    raw = RawSlot(index, slot, meta_or_real(partial(build_encoder, slot)))
    augmenter = Augmenter(
        {name: chain for name, chain in chains.items() if name == slot.name}, {slot.name: raw.spec}, config.seed
    )
    for video in index.split("train")[:clips]:
        data = ClipData(index, [video], [slot.name], FeatureStore(), {slot.name: raw})
        batch = data.batch([Window(0, 0, min(video.n_frames, config.train.clip))], config.train.clip)
        seen = np.flatnonzero(batch.inputs[slot.name]["present"][0].numpy())
        if not len(seen):
            continue
        shown = seen[np.unique(np.linspace(0, len(seen) - 1, OF_A_CLIP).round().astype(int))]
        batches = [("as it is", batch), *((f"epoch {epoch + 1}", augmenter(batch, epoch)) for epoch in range(draws))]
        yield {
            "video": video.name,
            "draws": [
                {"name": name, "pictures": _pictures(one.inputs[slot.name]["frames"][0].numpy(), shown)}
                for name, one in batches
            ],
        }


def _pictures(frames: np.ndarray, shown: Sequence[int]) -> list[str]:
    return [picture_uri(np.ascontiguousarray(frames[frame]), QUALITY) for frame in shown]
