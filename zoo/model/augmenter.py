"""Augment the raw input of a batch, on the device, clip by clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoo.api import AudioInput, FrameInput
from zoo.augmenting import Augmentation, ClipName, build_augmentation, drawing
from zoo.model.model import Batch
from zoo.registry.plan import Plan

Chain = tuple[Augmentation, ...]


def build_chains(plan: Plan) -> dict[str, Chain]:
    """Build the augmentations of every input branch that has some; raise UserError if an option is out of range."""
    return {slot: tuple(map(build_augmentation, chain)) for slot, chain in plan.augment.items()}


@dataclass(frozen=True)
class Augmenter:
    """The augmentations of a training: ``augmenter(batch, epoch, rows)`` returns the batch with changed input.

    ``chains``: input branch -> its augmentations, in order; ``inputs``: branch -> the input that its encoder declares;
    ``seed``: that of the run.
    """

    chains: Mapping[str, Chain]
    inputs: Mapping[str, object]
    seed: int

    def __call__(self, batch: Batch, epoch: int, rows: slice = slice(None)) -> Batch:
        """Return the batch with augmented input; ``rows``: the clips of the batch that its input belongs to."""
        if not self.chains:
            return batch
        lengths = batch.valid.sum(1).tolist()
        clips = [
            ClipName(self.seed, epoch, video, start, length, repetition)
            for (video, start, repetition), length in zip(batch.where[rows], lengths[rows], strict=True)
        ]
        return self._changed(batch, clips, [clip.start for clip in clips])

    def whole_video(self, batch: Batch, video: ClipName) -> Batch:
        """Return a batch of windows of one video, all of them changed by the draw of the whole video."""
        return self._changed(batch, [video] * len(batch.where), [start for _, start, _ in batch.where])

    def _changed(self, batch: Batch, clips: list[ClipName], starts: list[int]) -> Batch:
        """Return the batch with changed input. ``starts``: the first frame of each clip of the input."""
        inputs = dict(batch.inputs)
        with drawing(batch.valid.device), torch.no_grad():
            for slot, chain in self.chains.items():
                if slot not in inputs:
                    continue
                spec = self.inputs[slot]
                if isinstance(spec, FrameInput):
                    inputs[slot] = _pictures(chain, inputs[slot], clips, [start - spec.context for start in starts])
                elif isinstance(spec, AudioInput):
                    inputs[slot] = _sound(chain, inputs[slot], clips, spec.rate)
        return replace(batch, inputs=inputs)


def _pictures(chain: Chain, given: Mapping[str, Tensor], clips: list[ClipName], firsts: list[int]) -> dict[str, Tensor]:
    """Return frames (B, T, H, W, 3) with the pictures of every clip changed; frames without one stay black."""
    frames = given["frames"].clone()
    for row, (clip, first) in enumerate(zip(clips, firsts, strict=True)):
        (seen,) = given["present"][row].nonzero(as_tuple=True)
        if not len(seen):
            continue
        at = (seen + first).tolist()
        pictures = frames[row, seen].movedim(-1, -3)  # (T, 3, H, W)
        for augmentation in chain:
            pictures = augmentation.pictures(pictures, at, clip)
        frames[row, seen] = pictures.movedim(-3, -1)
    return {**given, "frames": frames}


def _sound(chain: Chain, given: Mapping[str, Tensor], clips: list[ClipName], rate: int) -> dict[str, Tensor]:
    """Return samples (B, S) with the sound of every clip changed; the padding stays silent."""
    samples = given["samples"].clone()
    for row, (clip, count) in enumerate(zip(clips, given["samples_valid"].sum(1).tolist(), strict=True)):
        sound = samples[row, :count]
        for augmentation in chain if count else ():
            sound = augmentation.sound(sound, rate, clip)
        samples[row, :count] = sound
    return {**given, "samples": samples}
