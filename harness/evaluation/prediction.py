"""Predict whole videos with a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NotRequired, TypedDict

import numpy as np
import torch

from harness.batching.clips import ClipData
from harness.batching.windows import Window, evaluation_windows, triangular_window
from harness.evaluation.encode_once import EncodedVideo
from harness.evaluation.looks import Pass, weights_of
from harness.evaluation.merging import mean
from harness.evaluation.video_answers import between, delayed
from harness.runtime import memory
from harness.runtime.precision import autocast
from zoo.api import TrackSpec, VideoAnswers
from zoo.errors import UserError
from zoo.model.model import Model
from zoo.registry.own_classes import OwnClasses


class PredictionOptions(TypedDict):
    """The options of ``answers`` that follow from the settings of a run; what they mean is said there."""

    length: int
    batch: int
    full: NotRequired[bool]
    delay: NotRequired[float]
    per_slot: NotRequired[bool]
    own: NotRequired[Sequence[OwnClasses]]
    precision: NotRequired[str]
    passes: NotRequired[Sequence[Pass]]


@torch.inference_mode()
def answers(
    model: Model,
    data: ClipData,
    track: TrackSpec,
    *,
    length: int,
    batch: int,
    device: torch.device,
    full: bool = False,
    delay: float = 0.0,
    per_slot: bool = False,
    own: Sequence[OwnClasses] = (),
    only: Sequence[int] | None = None,
    precision: str = "32",
    follow: Callable[[VideoAnswers], object] | None = None,
    passes: Sequence[Pass] = (Pass(),),
) -> Iterator[VideoAnswers]:
    """Yield the predictions for every frame of every video, one video after the other.

    The windows have the training length and overlap by half; the last one ends with the video. Their predictions are
    averaged after decoding, with triangular weights. If memory runs out, ``batch`` is halved from there on, and this is
    recorded (harness.runtime.memory). Trained encoders see every frame once, although the windows overlap. With a
    stride, windows are cut from the sampled frames, and their predictions are interpolated to the others.

    Args:
        model: the network; it is put in eval mode.
        data: the videos.
        track: the answers to predict.
        length: frames of a window.
        batch: windows computed at once.
        device: the device of the model.
        full: predict each whole video at once, without windows.
        delay: seconds by which the training targets were moved earlier. Predictions and the masks of their input are
            moved later by as much, so that each is at the frame whose label it is compared with. ``extra["crop"]`` says
            which frames are scored, so it is not moved.
        per_slot: also predict from each slot alone, as ``extra["slot.SLOT.ANSWER"]``.
        own: also give the class probabilities that these encoders predict by themselves, as
            ``extra["own.SLOT.ANSWER"]``.
        only: indices of the videos to predict; all if None.
        precision: ``32`` or ``bf16-mixed``.
        follow: called while a video is predicted, with the predictions of all leading frames that lie in no further
            window. With frozen encoders, these are also computed before a batch is complete (``_early``). With several
            passes it is not called.
        passes: predictions to average, by weight, as an ensemble's (harness.evaluation.merging).
    """
    model.eval()
    slots = model.slots if per_slot else ()
    follow = follow if len(passes) == 1 else None
    rest = (track, length, batch, device, full, delay, slots, own, precision, follow)
    predictors = [_Predictor(model, one.clips(data), *rest, one) for one in passes]
    for v in range(len(data.videos)) if only is None else only:
        weights = weights_of(passes, data.videos[v].n_frames)
        found = [predictor.video(v) for predictor, weight in zip(predictors, weights, strict=True) if weight]
        yield found[0] if len(passes) == 1 else mean(found, track, [weight for weight in weights if weight])


@dataclass
class _Predictor:
    """Predicts videos one by one, with the arguments of `answers`; ``batch`` falls if memory runs out.

    ``data``: the clips of the pass ``one``.
    """

    model: Model
    data: ClipData
    track: TrackSpec
    length: int
    batch: int
    device: torch.device
    full: bool
    delay: float
    slots: Sequence[str]
    own: Sequence[OwnClasses]
    precision: str
    follow: Callable[[VideoAnswers], object] | None
    one: Pass

    def video(self, v: int) -> VideoAnswers:
        """Return the predictions of video ``v``."""
        data, step = self.data, self.data.strides[v]
        sampled = np.arange(self.one.phase, data.videos[v].n_frames, step)
        total, weight = self._sums(v, len(sampled))
        total /= weight
        if step > 1:
            present = data.present[v]
            slots = [*self.slots, *(own.slot for own in self.own)]
            seen = [np.logical_or.reduce(list(present.values())), *(present[slot] for slot in slots)]
            total = between(total, sampled, data.times(v), seen)
        return self._answer(v, total)

    def _sums(self, v: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the weighted sums (rows, n, columns) of the windows' predictions, and their weights (n, 1).

        The rows are the model's predictions, those of its slots, and those of encoders by themselves.

        A frame counts most in the window in whose middle it lies, where a recurrent network has context on both sides.
        """
        spans = [(0, n)] if self.full else evaluation_windows(n, self.length)
        length = n if self.full else self.length
        encoded = EncodedVideo(self.model, self.data, v, length, self.device, self.precision, self.one)
        total = np.zeros((1 + len(self.slots) + len(self.own), n, sum(answer.width for answer in self.track.answers)))
        weight = np.zeros((n, 1))
        decode = partial(_decoded, self.model, encoded, slots=self.slots, own=self.own)
        # With a stride, a frame is final only after the next sampled one.
        follow = self.follow if self.data.strides[v] == 1 else None
        first = 0
        while first < len(spans):
            part = spans[first : first + self.batch]
            if follow is not None and not self.data.raw:
                for closed in _early(decode, part, total, weight):
                    follow(self._answer(v, total[:, :closed] / weight[:closed]))
            decoded = decode(part)
            if decoded is None:
                self.batch = _halved(len(part), part[0], self.data.videos[v].name, self.full)
                continue
            _add(part, decoded, total, weight)
            first += len(part)
            if follow is not None and first < len(spans):
                closed = spans[first][0]  # windows begin in order, so no further one reaches an earlier frame
                follow(self._answer(v, total[:, :closed] / weight[:closed]))
        return total, weight

    def _answer(self, v: int, decoded: np.ndarray) -> VideoAnswers:
        return delayed(self.data, v, self.track, decoded, self.slots, self.own, self.delay)


def _early(
    decode: Callable[[Sequence[tuple[int, int]]], np.ndarray | None],
    part: Sequence[tuple[int, int]],
    total: np.ndarray,
    weight: np.ndarray,
) -> Iterator[int]:
    """Compute the first 1, 2, 4 ... windows of a batch, and yield the number of frames that they close.

    A batch of windows may take many seconds of video. The last known window is repeated in place of the missing ones,
    because the bits of a product of matrices depend on the size of the batch. ``total`` and ``weight`` hold these
    windows only while the consumer reads them.
    """
    known = 1
    while known < len(part):
        windows = list(part[:known])
        decoded = decode(windows + windows[-1:] * (len(part) - known))
        if decoded is None:
            return
        frames = slice(windows[0][0], windows[-1][1])
        before = total[:, frames].copy(), weight[frames].copy()
        _add(windows, decoded, total, weight)
        yield part[known][0]
        total[:, frames], weight[frames] = before
        known *= 2


def _add(windows: Sequence[tuple[int, int]], decoded: np.ndarray, total: np.ndarray, weight: np.ndarray) -> None:
    """Add the predictions of windows to the weighted sums ``total`` (rows, n, columns) and ``weight`` (n, 1)."""
    for i, (start, stop) in enumerate(windows):
        ramp = triangular_window(stop - start)[:, None]
        total[:, start:stop] += ramp * decoded[:, i, : stop - start]
        weight[start:stop] += ramp


def _decoded(
    model: Model,
    encoded: EncodedVideo,
    part: Sequence[tuple[int, int]],
    slots: Sequence[str],
    own: Sequence[OwnClasses],
) -> np.ndarray | None:
    """Return (rows, windows, frames, columns) float64 of some windows of a video; None if memory ran out."""
    width, step, first = max(stop - start for start, stop in part), encoded.step, encoded.phase
    windows = [Window(encoded.v, first + a * step, min(first + b * step, encoded.n_frames)) for a, b in part]
    try:
        encoded.upto(windows[-1].stop, len(part))
        clips = encoded.batch(windows, width)
        with autocast(encoded.device, encoded.precision):
            out = model(clips)
        every = torch.stack([out.raw, *(out.per_slot[slot] for slot in slots)])
        flat = model.decode(every.flatten(0, 1)).double().cpu().numpy()
        owned = [one.probabilities(clips.features[one.slot].cpu().numpy()) for one in own]
    except (RuntimeError, MemoryError) as error:
        if not memory.out_of_memory(error):
            raise
        return None
    decoded: np.ndarray = flat.reshape(1 + len(slots), len(part), width, -1)
    # A row of its own for each encoder, filled up with zeros: its probabilities go through windows like any others.
    rows = [np.pad(p, [(0, 0), (0, 0), (0, decoded.shape[-1] - p.shape[-1])])[None] for p in owned]
    return np.concatenate([decoded, *rows]) if rows else decoded


def _halved(tried: int, window: tuple[int, int], video: str, full: bool) -> int:
    """Return half as many windows, and record it; raise UserError if a single window is too many."""
    memory.release()
    if tried == 1:
        option = "train.evaluation=windows" if full else "a shorter train.clip"
        raise UserError("evaluation-no-memory", value=window[1] - window[0], video=video, option=option)
    memory.note("evaluation", tried // 2)
    return tried // 2
