"""A model's answers to whole videos, and what they score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from harness.batching.clips import ClipData
from harness.batching.windows import Window, evaluation_windows, nearest, triangular_window
from harness.evaluation.choice_optimism import FoldSums, fold_sums
from harness.evaluation.scoring import statistics_of
from harness.runtime import memory
from harness.runtime.distributed import World
from harness.runtime.precision import autocast
from zoo.api import Answer, TrackSpec, VideoAnswers
from zoo.errors import UserError
from zoo.metrics import scores as metrics
from zoo.model.model import Model


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
    only: Sequence[int] | None = None,
    precision: str = "32",
) -> Iterator[VideoAnswers]:
    """Every frame of every video, or of those at the places ``only``, answered, one video after the other.

    Windows of the training length, half overlapping, the last flush with the end, averaged after decode with
    triangular weights; or the whole video at once (``full``). ``delay``: seconds by which the training targets were
    moved earlier; answers and the masks of what they were made from are moved as much later, so that each stands on the
    frame whose label it is to meet (``extra["crop"]`` says which frames are scored, so it stays).
    ``per_slot``: the slots' own answers too, as ``extra["slot.SLOT.ANSWER"]``. Where memory runs out, ``batch`` is
    halved from there on, and that is noted (harness.runtime.memory).
    """
    model.eval()
    slots = model.slots if per_slot else ()
    for v in range(len(data.videos)) if only is None else only:
        video = data.videos[v]
        spans = [(0, video.n_frames)] if full else evaluation_windows(video.n_frames, length)
        total = np.zeros((1 + len(slots), video.n_frames, sum(answer.width for answer in track.answers)))
        weight = np.zeros((video.n_frames, 1))
        first = 0
        while first < len(spans):
            part = spans[first : first + batch]
            decoded = _decoded(model, data, v, part, slots, device, precision)
            if decoded is None:
                batch = _halved(len(part), part[0], video.name, full)
                continue
            for i, (start, stop) in enumerate(part):
                ramp = triangular_window(stop - start)[:, None]
                total[:, start:stop] += ramp * decoded[:, i, : stop - start]
                weight[start:stop] += ramp
            first += len(part)
        total /= weight
        present = data.present[v]
        if delay:
            # What an answer was made from goes where the answer goes: interpolation replaces the answers of unseen
            # frames, wherever these now stand.
            times = data.times(v)
            source = nearest(times, times - delay)[0]
            total, present = total[:, source], {slot: mask[source] for slot, mask in present.items()}
        yield video_answers(data, v, track.answers, total[0], dict(zip(slots, total[1:], strict=True)), present)


def _decoded(
    model: Model,
    data: ClipData,
    v: int,
    part: Sequence[tuple[int, int]],
    slots: Sequence[str],
    device: torch.device,
    precision: str,
) -> np.ndarray | None:
    """(1 + slots, windows, frames, columns) float64 of some windows of video v; None where memory ran out."""
    width = max(stop - start for start, stop in part)
    try:
        clips = data.batch([Window(v, start, stop) for start, stop in part], width).to(device)
        with autocast(device, precision):
            out = model(clips)
        every = torch.stack([out.raw, *(out.per_slot[slot] for slot in slots)])
        flat = model.decode(every.flatten(0, 1)).double().cpu().numpy()
    except (RuntimeError, MemoryError) as error:
        if not memory.out_of_memory(error):
            raise
        return None
    decoded: np.ndarray = flat.reshape(1 + len(slots), len(part), width, -1)
    return decoded


def _halved(tried: int, window: tuple[int, int], video: str, full: bool) -> int:
    """Half as many windows at once, noted for the record; UserError where one is too many."""
    memory.release()
    if tried == 1:
        option = "train.evaluation=windows" if full else "a shorter train.clip"
        raise UserError("evaluation-no-memory", value=window[1] - window[0], video=video, option=option)
    memory.note("evaluation", tried // 2)
    return tried // 2


def columns_of(answers: tuple[Answer, ...], decoded: np.ndarray) -> dict[str, np.ndarray]:
    """Decoded columns (n, sum of widths) by answer: (n, classes) for a class, else (n,); in float32, which has all the
    digits of a network: the answers to a large set are in memory at once."""
    ends = np.cumsum([answer.width for answer in answers])[:-1]
    parts = zip(answers, np.split(decoded.astype(np.float32), ends, axis=1), strict=True)
    return {answer.name: np.ascontiguousarray(part if answer.kind == "class" else part[:, 0]) for answer, part in parts}


def video_answers(
    data: ClipData,
    v: int,
    answers: tuple[Answer, ...],
    decoded: np.ndarray,
    slots: dict[str, np.ndarray],
    present: dict[str, np.ndarray],
) -> VideoAnswers:
    """Decoded columns (n, sum of widths) of video ``v`` with its labels, masks and times; ``slots``: the same of the
    slots' own."""
    video = data.videos[v]
    values = columns_of(answers, decoded)
    labels = video.labels.view()
    labels.flags.writeable = False  # no copies: they are the index's own
    targets = {answer.name: labels[:, a] for a, answer in enumerate(answers)}
    # A video without any face has no crop folder; where nobody has one, nothing is known of faces.
    extra = {"crop": video.crop_frames} if any(v.crops is not None for v in data.index.videos) else {}
    for slot, own in slots.items():
        extra |= {f"slot.{slot}.{name}": part for name, part in columns_of(answers, own).items()}
    return VideoAnswers(video.name, video.group, values, targets, present, data.times(v), extra=extra)


def shared_score(
    world: World, model: Model, data: ClipData, track: TrackSpec, *, by_fold: FoldSums | None = None, **how: Any
) -> metrics.Score:
    """The score of all videos, which the processes share out; the same in every process. ``by_fold``: is given the
    sums of each fold of groups."""
    part = world.shard([video.n_frames for video in data.videos])
    own = answers(model, data, track, device=world.device, only=part, **how)
    sums = {v: statistics_of(track, video) for v, video in zip(part, own, strict=True)}
    every = {v: stats for some in world.all_gather(sums) for v, stats in some.items()}
    if by_fold is not None:
        by_fold |= fold_sums([data.videos[v].group for v in sorted(every)], [every[v] for v in sorted(every)])
    stats = metrics.merge([every[v] for v in sorted(every)])
    return metrics.score(track.metric, track.answers, stats)


def shared_answers(world: World, model: Model, data: ClipData, track: TrackSpec, **how: Any) -> list[VideoAnswers]:
    """The answers to all videos, which the processes share out, in the first process; [] in the others."""
    part = world.shard([video.n_frames for video in data.videos])
    own = dict(zip(part, answers(model, data, track, device=world.device, only=part, **how), strict=True))
    every = {v: video for some in world.gather(own) for v, video in some.items()}
    return [every[v] for v in sorted(every)]
