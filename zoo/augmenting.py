"""Random changes of the pictures or the sound of one clip, drawn from the names of seed, epoch and clip alone.

The draws follow from a digest of these names and the augmentation's own name. They do not depend on the batch, the
order, the number of processes, or the steps taken before, and an augmentation draws the same whichever others are used.
The name of the input branch is not among them: if the face is mirrored, so is the scene around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from threading import RLock
from typing import Any

import torch
from torch import Tensor

from zoo.api import AugmentationSpec
from zoo.errors import UserError
from zoo.registry.augmentations import AugmentationPlan
from zoo.registry.registry import resolve

_TURN = RLock()
"""Torch's generators belong to the whole process: threads that draw take turns."""


@dataclass(frozen=True)
class ClipName:
    """The names that the draws of a clip follow from.

    ``start``: its first frame; ``length``: its frames; ``repetition``: how often the same clip was drawn before in the
    epoch (``train.balance``).
    """

    seed: int
    epoch: int
    video: str
    start: int
    length: int
    repetition: int = 0

    def words(self) -> list[str]:
        """Return the names in order; a repetition of 0 has none."""
        words = [str(word) for word in (self.seed, self.epoch, self.video, self.start, self.length)]
        return words + ([f"repetition {self.repetition}"] if self.repetition else [])


@dataclass(frozen=True)
class Augmentation:
    """A built augmentation: the callable of its spec, with the probability and the unit of its draws."""

    spec: AugmentationSpec
    change: Callable[..., Any]
    p: float
    per_frame: bool = False

    def pictures(self, frames: Tensor, at: Sequence[int], clip: ClipName, points: Tensor | None = None) -> Any:
        """Change the pictures of a clip.

        Args:
            frames: uint8 (T, 3, H, W).
            at: A number for each frame: that of the clip's first frame plus the place in the clip. With a stride or
                closed gaps it is not the frame's number in the video. Only draws of single frames depend on it: those
                of ``per_frame``, and of augmentations that are not coherent.
            clip: The names that the draws follow from.
            points: x and y in pixels (T, P, 2) that move with the content, if the augmentation moves points.

        Returns:
            The pictures, and with ``points`` the pair of pictures and points. What is not changed is returned itself.
        """
        if not self.per_frame:
            if not self._begins(clip):
                return frames if points is None else (frames, points)
            if self.spec.coherent:
                return self._changed(frames, points)
        parts = [
            self._frame(frames[t : t + 1], None if points is None else points[t : t + 1], clip, number)
            for t, number in enumerate(at)
        ]
        if points is None:
            return torch.cat(parts)
        return torch.cat([pictures for pictures, _ in parts]), torch.cat([moved for _, moved in parts])

    def sound(self, samples: Tensor, rate: int, clip: ClipName) -> Tensor:
        """Change the samples (S,) of a clip at a rate in Hz; what is not changed is returned itself."""
        changed: Tensor = self.change(samples, rate) if self._begins(clip) else samples
        return changed

    def _frame(self, frame: Tensor, points: Tensor | None, clip: ClipName, number: int) -> Any:
        """Change one frame (1, 3, H, W) by its own draw, which decides if it is changed only with ``per_frame``."""
        if not self._begins(clip, number) and self.per_frame:
            return frame if points is None else (frame, points)
        return self._changed(frame, points)

    def _changed(self, frames: Tensor, points: Tensor | None) -> Any:
        from torchvision import tv_tensors

        # Not tv_tensors.Video: torchvision's Grayscale has no kernel for it and would return it as it is.
        # Contiguous: with the channels last, as they arrive, changes of colour take three times as long.
        images = tv_tensors.Image(frames.contiguous())
        if points is None:
            return self.change(images).as_subclass(Tensor)
        size = (int(frames.shape[-2]), int(frames.shape[-1]))
        pictures, moved = self.change(images, tv_tensors.KeyPoints(points, canvas_size=size))
        return pictures.as_subclass(Tensor), moved.as_subclass(Tensor)

    def _begins(self, clip: ClipName, *frame: int) -> bool:
        """Seed torch's generators for the draw of a clip, or of a frame, and return True if it is to be changed."""
        words = (*clip.words(), self.spec.name, *frame)
        digest = sha256("\n".join(map(str, words)).encode()).digest()
        torch.manual_seed(int.from_bytes(digest[:8], "little", signed=True))
        return float(torch.rand(())) < self.p


def from_corner(transform: Callable[..., Any], images: Any, *points: Any) -> Any:
    """Call a transform that counts x and y from the corner of the first pixel with points counted from its middle.

    torchvision's affine maps and crops count from the corner, its flips from the middle. Here, as in OpenCV, the middle
    of a pixel is at whole numbers. ``points``: none or one tv_tensors.KeyPoints.
    """
    from torchvision import tv_tensors

    if not points:
        return transform(images)
    images, moved = transform(images, tv_tensors.wrap(points[0].as_subclass(Tensor) + 0.5, like=points[0]))
    return images, tv_tensors.wrap(moved.as_subclass(Tensor) - 0.5, like=moved)


def build_augmentation(plan: AugmentationPlan) -> Augmentation:
    """Build an augmentation; raise UserError if an option is out of range.

    Raise UserError too if it later answers with something of another shape or type than it is given.
    """
    change = _Checked(plan.spec, resolve(plan.spec.build)(**plan.options))
    return Augmentation(plan.spec, change, plan.p, plan.per_frame)


@dataclass(frozen=True)
class _Checked:
    """The callable of an augmentation, whose wrong answers would otherwise be broadcast into the batch."""

    spec: AugmentationSpec
    change: Callable[..., Any]

    def __call__(self, *given: Any) -> Any:
        """Return the answer if it is of the shape and type of what is given; the rate of sound is not changed."""
        answer = self.change(*given)
        wanted = given[:1] if self.spec.kind == "sound" else given
        got = answer if len(wanted) > 1 and isinstance(answer, tuple | list) else (answer,)
        if list(map(_looks, got)) != list(map(_looks, wanted)):
            words, found = (" and ".join(map(_looks, each)) for each in (wanted, got))
            raise UserError("augmentation-answer", name=self.spec.name, wanted=words, got=found)
        return answer


def _looks(value: Any) -> str:
    """Return the type of a tensor's numbers, and its shape; of anything else the name of its type."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"


@contextmanager
def drawing(device: torch.device) -> Iterator[None]:
    """Restore torch's generators afterwards, so that augmentation changes no other random number of the training."""
    devices = [device.index or 0] if device.type == "cuda" else []
    with _TURN, torch.random.fork_rng(devices=devices):
        yield
