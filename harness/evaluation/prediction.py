"""Predict whole videos with a model, and score the predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from harness.batching.clips import ClipData
from harness.batching.windows import Window, evaluation_windows, nearest, triangular_window
from harness.evaluation.choice_optimism import FoldSums, fold_sums
from harness.evaluation.encode_once import EncodedVideo
from harness.evaluation.looks import Pass, weights_of
from harness.evaluation.merging import mean
from harness.evaluation.scoring import statistics_of
from harness.runtime import memory
from harness.runtime.distributed import World
from harness.runtime.precision import autocast
from zoo.api import Answer, TrackSpec, VideoAnswers
from zoo.errors import UserError
from zoo.metrics import scores as metrics
from zoo.model.model import Model
from zoo.registry.own_classes import OwnClasses


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


def delayed(
    data: ClipData,
    v: int,
    track: TrackSpec,
    decoded: np.ndarray,
    slots: Sequence[str],
    own: Sequence[OwnClasses],
    delay: float,
) -> VideoAnswers:
    """Return the first n predictions (rows, n, columns) of video ``v``, moved later by ``delay`` seconds."""
    present = data.present[v]
    if delay:
        # The masks move with the predictions: interpolation replaces the predictions made from frames that no slot
        # has seen, and must find them where they are now.
        times = data.times(v)
        source = nearest(times, times - delay)[0]
        source = source[: np.searchsorted(source, decoded.shape[1])]  # the rest is moved from frames not decoded yet
        decoded, present = decoded[:, source], {slot: mask[source] for slot, mask in present.items()}
    more = second_answers(track.answers, decoded[1:], slots, own)
    return video_answers(data, v, track.answers, decoded[0], more, present)


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


def between(decoded: np.ndarray, sampled: np.ndarray, times: np.ndarray, seen: Sequence[np.ndarray]) -> np.ndarray:
    """Interpolate the predictions of sampled frames linearly in time to all frames; at the ends they are held.

    A sampled frame without data is left out, so that it does not spoil its neighbours, unless all are without.

    Args:
        decoded: (S, m, columns), S predictions of the sampled frames.
        sampled: (m,) their increasing frame numbers.
        times: (n,) of all frames, in seconds.
        seen: For each of the S, (n,) bool: the frames with data.

    Returns:
        (S, n, columns).
    """
    out = np.empty((len(decoded), len(times), decoded.shape[-1]))
    for row, values, mask in zip(out, decoded, seen, strict=True):
        known = mask[sampled] if mask[sampled].any() else np.ones(len(sampled), bool)
        for column in range(decoded.shape[-1]):
            row[:, column] = np.interp(times, times[sampled[known]], values[known, column])
    return out


def _halved(tried: int, window: tuple[int, int], video: str, full: bool) -> int:
    """Return half as many windows, and record it; raise UserError if a single window is too many."""
    memory.release()
    if tried == 1:
        option = "train.evaluation=windows" if full else "a shorter train.clip"
        raise UserError("evaluation-no-memory", value=window[1] - window[0], video=video, option=option)
    memory.note("evaluation", tried // 2)
    return tried // 2


def columns_of(answers: tuple[Answer, ...], decoded: np.ndarray) -> dict[str, np.ndarray]:
    """Split decoded columns (n, sum of widths) by answer: (n, classes) for a class, else (n,).

    The columns are float32, which has all the digits of a network's output, because the predictions for a large set are
    in memory at once.
    """
    ends = np.cumsum([answer.width for answer in answers])[:-1]
    parts = zip(answers, np.split(decoded.astype(np.float32), ends, axis=1), strict=True)
    return {answer.name: np.ascontiguousarray(part if answer.kind == "class" else part[:, 0]) for answer, part in parts}


def second_answers(
    answers: tuple[Answer, ...], decoded: np.ndarray, slots: Sequence[str], own: Sequence[OwnClasses]
) -> dict[str, np.ndarray]:
    """Return the extra predictions of a video by name, from the rows (slots + own, n, columns) after the first."""
    found: dict[str, np.ndarray] = {}
    for slot, row in zip(slots, decoded[: len(slots)], strict=True):
        found |= {f"slot.{slot}.{name}": part for name, part in columns_of(answers, row).items()}
    for one, row in zip(own, decoded[len(slots) :], strict=True):
        found[one.key] = row[:, : len(one.columns)].astype(np.float32)
    return found


def video_answers(
    data: ClipData,
    v: int,
    answers: tuple[Answer, ...],
    decoded: np.ndarray,
    more: Mapping[str, np.ndarray],
    present: dict[str, np.ndarray],
) -> VideoAnswers:
    """Return the predictions of video ``v``, or of its first n frames, with their labels, masks and times.

    ``decoded``: columns (n, sum of widths); ``more``: extra predictions by name.
    """
    video, n = data.videos[v], len(decoded)
    values = columns_of(answers, decoded)
    labels = video.labels[:n].view()
    labels.flags.writeable = False  # not copied: they belong to the index
    targets = {answer.name: labels[:, a] for a, answer in enumerate(answers)}
    # A video without any face has no crop folder. If no video has one, nothing is known about faces.
    extra = {"crop": video.crop_frames[:n]} if any(v.crops is not None for v in data.index.videos) else {}
    present = {slot: mask[:n] for slot, mask in present.items()}
    return VideoAnswers(video.name, video.group, values, targets, present, data.times(v)[:n], {**extra, **more})


def shared_score(
    world: World, model: Model, data: ClipData, track: TrackSpec, *, by_fold: FoldSums | None = None, **how: Any
) -> metrics.Score:
    """Return the score of all videos, which the processes share out; it is the same in every process.

    ``by_fold`` is filled with the sums of each fold of groups.
    """
    # CCC and F1 are not means over videos, so the scores of several processes cannot be averaged. Each process computes
    # the additive sums of its videos; these are gathered, merged in the order of the videos (so that the result does
    # not depend on the number of processes) and scored once.
    part = world.shard([video.n_frames for video in data.videos])
    own = answers(model, data, track, device=world.device, only=part, **how)
    sums = {v: statistics_of(track, video) for v, video in zip(part, own, strict=True)}
    every = {v: stats for some in world.all_gather(sums) for v, stats in some.items()}
    if by_fold is not None:
        by_fold |= fold_sums([data.videos[v].group for v in sorted(every)], [every[v] for v in sorted(every)])
    stats = metrics.merge([every[v] for v in sorted(every)])
    return metrics.score(track.metric, track.answers, stats)


def shared_answers(world: World, model: Model, data: ClipData, track: TrackSpec, **how: Any) -> list[VideoAnswers]:
    """Return the predictions for all videos, which the processes share out, in the first process; [] in the others."""
    part = world.shard([video.n_frames for video in data.videos])
    own = dict(zip(part, answers(model, data, track, device=world.device, only=part, **how), strict=True))
    every = {v: video for some in world.gather(own) for v, video in some.items()}
    return [every[v] for v in sorted(every)]
