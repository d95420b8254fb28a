"""Test-time augmentation: the passes over a video whose predictions are averaged (``tta`` in the settings).

A pass is one prediction of all frames: from the plain pictures, the mirrored ones or an augmented view (its *look*),
at a stride and from a first frame on. All randomness follows from the names of the view and the video, as in
``features.views``, so the same command gives the same predictions.

Frozen encoders read the look from the cache (harness.features.views). The input of trained encoders is changed here, by
the same draws.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.batching.clips import ClipData
from harness.config.tta import Tta
from harness.data.index.index import Video
from harness.data.streams.augmented import MIRROR, SEED, view_draw
from harness.features.views import FixedView
from leaderboards.blocks import TtaBlock
from zoo.api import FrameInput
from zoo.errors import UserError
from zoo.model.augmenter import Augmenter, Chain, build_chains
from zoo.model.model import Batch, build_encoder
from zoo.model.probing import meta_or_real
from zoo.modules import Encoder
from zoo.registry.plan import Plan

if TYPE_CHECKING:
    from harness.config.schema import RunConfig


@dataclass(frozen=True)
class Look:
    """A look of the pictures of a pass.

    ``name``: empty for the plain ones, ``mirror``, or the number of an augmented view. ``cached``: branches whose
    features of this look are in the cache. ``chains``: the augmentations of a view, by branch with a trained encoder.
    """

    name: str = ""
    cached: frozenset[str] = frozenset()
    chains: Mapping[str, Chain] = field(default_factory=dict)

    def change(self, batch: Batch, data: ClipData, video: Video) -> Batch:
        """Return a batch of windows of one video with the input of trained encoders changed."""
        if self.name == MIRROR:
            pictures = [slot for slot in batch.inputs if isinstance(data.raw[slot].spec, FrameInput)]
            mirrored = {s: {**batch.inputs[s], "frames": batch.inputs[s]["frames"].flip(-2)} for s in pictures}
            return replace(batch, inputs={**batch.inputs, **mirrored})
        if not self.chains:
            return batch
        augmenter = Augmenter(self.chains, {slot: raw.spec for slot, raw in data.raw.items()}, SEED)
        return augmenter.whole_video(batch, view_draw(int(self.name), video.name))


@dataclass(frozen=True)
class Pass:
    """One prediction of all frames of a video.

    ``stride``: None for that of the training. ``phase``: the first frame that is sampled.
    """

    look: Look = field(default_factory=Look)
    stride: int | None = None
    phase: int = 0

    def clips(self, data: ClipData) -> ClipData:
        """Return the clips of the pass."""
        if not self.look.name and self.stride is None:
            return data
        own = copy.copy(data)
        if self.look.name:
            own.views = FixedView(self.look.cached, self.look.name)
        if self.stride is not None:
            own.strides = [self.stride] * len(data.videos)
        return own


def passes_of(config: RunConfig, plan: Plan) -> tuple[Pass, ...]:
    """Return the passes that a run's predictions are averaged over; a single plain one without ``tta``."""
    looks = [Look(), *_changed(config.tta, plan)]
    if not config.tta.strides:
        return tuple(Pass(look) for look in looks)
    every = [(stride, phase) for stride in config.tta.strides for phase in range(stride)]
    return tuple(Pass(look, stride, phase) for look in looks for stride, phase in every)


def weights_of(passes: Sequence[Pass], n_frames: int) -> list[float]:
    """Return the weight of each pass over a video; 0 for one that begins after its end.

    A stride counts once, as the mean of its passes.
    """
    return [1 / min(one.stride or 1, n_frames) if one.phase < n_frames else 0.0 for one in passes]


def _changed(tta: Tta, plan: Plan) -> list[Look]:
    frozen = [slot for slot in plan.slots if slot.frozen and slot.stream.kind == "frames"]
    looks = [Look(MIRROR, frozenset(slot.name for slot in frozen))] if tta.flip else []
    if tta.views:
        chains = {slot: chain for slot, chain in build_chains(plan).items() if slot not in {s.name for s in frozen}}
        cached = frozenset(slot.name for slot in frozen if slot.name in plan.augment)
        looks += [Look(str(view), cached, chains) for view in range(1, tta.views + 1)]
    return looks


def cost_factor(config: RunConfig) -> float:
    """Return how many times the forward passes of a plain evaluation a run's predictions take.

    It counts frames through the network. An encoder whose input no pass changes is cached, if it is frozen.
    """
    tta = config.tta
    looks = 1 + tta.flip + tta.views
    return float(looks * (len(tta.strides) * config.train.stride if tta.strides else 1))


def check_passes(config: RunConfig, plan: Plan) -> None:
    """Raise UserError if test-time augmentation does not fit the combination."""
    tta = config.tta
    if tta.flip and not any(slot.stream.kind == "frames" for slot in plan.slots):
        raise UserError("tta-no-pictures", encoders=config.encoders)
    if tta.views and not plan.augment:
        raise UserError("tta-views-nothing", views=tta.views, encoders=config.encoders)
    if len(set(tta.strides)) < len(tta.strides):
        raise UserError("tta-strides-twice", strides="+".join(map(str, tta.strides)))
    if tta.strides and config.train.fps:
        raise UserError("tta-strides-fps", fps=config.train.fps)
    if tta.strides and max(tta.strides) > config.train.clip:
        raise UserError("stride-over-clip", key="tta.strides", stride=max(tta.strides), clip=config.train.clip)
    for slot in plan.slots if max(tta.strides, default=1) > 1 else ():
        if not slot.frozen and reads_neighbours(meta_or_real(lambda slot=slot: build_encoder(slot))):
            raise UserError("stride-with-context", slot=slot.name)


def reads_neighbours(encoder: Encoder) -> bool:
    """Return True if an encoder reads neighbouring frames, which a stride would leave out."""
    return isinstance(encoder.input, FrameInput) and encoder.input.context > 0


def described(config: RunConfig, plan: Plan) -> TtaBlock:
    """Return the facts of test-time augmentation for the record: its passes, their cost, and what they change."""
    tta = config.tta
    views = {slot: [one.spec.name for one in chain] for slot, chain in plan.augment.items()} if tta.views else {}
    return {
        "passes": len(passes_of(config, plan)),
        "cost": cost_factor(config),
        "flip": [slot.name for slot in plan.slots if slot.stream.kind == "frames"] if tta.flip else [],
        "views": views,
        "strides": list(tta.strides),
    }


def said(config: RunConfig) -> str:
    """Describe test-time augmentation and its cost in a line."""
    tta = config.tta
    looks = ["plain", *(["mirrored"] if tta.flip else []), *([f"{tta.views} augmented views"] if tta.views else [])]
    strides = f", at strides {', '.join(map(str, tta.strides))} from every first frame" if tta.strides else ""
    return (
        f"test-time augmentation: the mean of predictions from pictures that are {', '.join(looks)}{strides}; "
        f"{cost_factor(config):g} times the forward passes of a plain evaluation"
    )
