"""How windows become answers: averages, delays, the slots' own answers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from harness.batching.clips import ClipData, stride_of
from harness.evaluation.prediction import answers
from harness.features.store import FeatureStore
from plugins.postprocess.interpolate import Interpolate
from tests.harness.batching.test_clips import Store, video
from zoo.api import Answer, FrameInput, TrackSpec, VideoAnswers
from zoo.model.model import Batch
from zoo.modules import FrameEncoder, FusionOut
from zoo.registry.own_classes import OwnClasses

TIMES = np.cumsum(np.where(np.arange(40) < 20, 1 / 20, 1 / 10))
ANSWERS = (Answer("valence", "value", -5), Answer("mood", "class", -1, classes=("a", "b")))
TRACK = TrackSpec("t", ANSWERS, "mtl_sum", (-1, 1), ("x",), ("x",), "keyed", "image_location")


class Clips(ClipData):
    """Without a video file to take times from."""

    def times(self, i: int) -> np.ndarray:
        return TIMES - TIMES[0]


class Echo(nn.Module):
    """Answers the frame's number, and for the slot alone the number plus 100."""

    slots = ("face",)

    def forward(self, batch: Batch) -> FusionOut:
        number = batch.features["face"][..., 1:].float().expand(-1, -1, 3)
        return FusionOut(number, {"face": number + 100})

    def decode(self, raw: torch.Tensor) -> torch.Tensor:
        return raw


def clips(seen: np.ndarray | None = None, **sampling: float) -> Clips:
    class Index:
        videos = ()

    mask = np.ones(40, bool) if seen is None else seen
    return Clips(Index(), [video("v", np.zeros((40, 2)))], ["face"], Store({"v": mask}), {}, **sampling)  # type: ignore[arg-type]


def answered(seen: np.ndarray | None = None, **more: object):
    return next(answers(Echo(), clips(seen), TRACK, length=8, batch=3, device=torch.device("cpu"), **more))


def test_every_frame_has_its_own_answer():
    got = answered()
    np.testing.assert_allclose(got.values["valence"], np.arange(40))
    assert got.values["mood"].shape == (40, 2)
    assert got.extra == {}
    np.testing.assert_allclose(answered(full=True).values["valence"], np.arange(40))


class Rim(Echo):
    """Answers where in its window a frame stands: windows differ, so their weights show."""

    def forward(self, batch: Batch) -> FusionOut:
        place = torch.arange(batch.valid.shape[1], dtype=torch.float32) ** 2
        return FusionOut(place.expand(len(batch.valid), -1).unsqueeze(-1).expand(-1, -1, 3), {})


def test_frames_in_the_middle_of_a_window_count_more():
    """Against the sums by hand: windows of 8 at 0, 4, ..., 32, weights 1, 2, 3, 4, 4, 3, 2, 1."""
    ramp = [1, 2, 3, 4, 4, 3, 2, 1]
    total, weight = np.zeros(40), np.zeros(40)
    for start in range(0, 33, 4):
        for place in range(8):
            total[start + place] += ramp[place] * place**2
            weight[start + place] += ramp[place]
    got = next(answers(Rim(), clips(), TRACK, length=8, batch=3, device=torch.device("cpu")))
    np.testing.assert_allclose(got.values["valence"], total / weight, rtol=1e-6)


def test_the_slots_own_answers_come_along_when_wanted():
    got = answered(per_slot=True)
    np.testing.assert_allclose(got.extra["slot.face.valence"], np.arange(40) + 100)
    assert got.extra["slot.face.mood"].shape == (40, 2)


@pytest.mark.parametrize("sampling", [{}, {"stride": 4}])
def test_the_encoders_own_classes_come_along_when_wanted(sampling: dict[str, int]) -> None:
    """The features of a frame are (0, its number): logits of the track's classes b and a."""
    own = OwnClasses("face", "mood", 2, 2, (1, 0))
    seen = np.arange(40) % 8 != 5
    got = next(
        answers(Echo(), clips(seen, **sampling), TRACK, length=8, batch=3, device=torch.device("cpu"), own=[own])
    )
    want = 1 / (1 + np.exp(-np.arange(40.0)))
    frames = np.arange(0, 40, sampling.get("stride", 1))
    frames = frames[seen[frames]]
    p = got.extra["own.face.mood"]
    np.testing.assert_allclose(p[frames], np.stack([want, 1 - want], 1)[frames], rtol=1e-6, atol=1e-7)
    usual = next(answers(Echo(), clips(seen, **sampling), TRACK, length=8, batch=3, device=torch.device("cpu")))
    np.testing.assert_array_equal(got.values["mood"], usual.values["mood"])
    assert usual.extra == {}
    moved = answered(delay=0.5, own=[own])
    at = np.round(moved.values["valence"]).astype(int)
    np.testing.assert_allclose(moved.extra["own.face.mood"][:, 0], want[at], rtol=1e-6)


def test_with_a_delay_a_frame_has_the_answer_given_that_much_earlier():
    got = answered(delay=0.5).values["valence"]
    times = TIMES - TIMES[0]
    for t in range(40):
        assert abs(times[round(got[t])] - max(0.0, times[t] - 0.5)) <= 0.051


def test_training_targets_and_answers_are_delayed_by_the_same():
    """What is learned from the label at t + delay is given back at t + delay."""
    from harness.batching.windows import shift_back

    times = TIMES - TIMES[0]
    labels = np.sin(times)[:, None]
    learned = shift_back(labels, times, 0.5)  # a perfect learner answers this at each frame
    index = np.round(answered(delay=0.5).values["valence"]).astype(int)
    back = learned[index, 0]
    inside = times >= 0.5
    assert np.abs(back - labels[:, 0])[inside].max() < 0.06  # half a frame's step


@given(
    seen=st.lists(st.booleans(), min_size=40, max_size=40).map(np.array),
    delay=st.sampled_from([0.0, 0.05, 1 / 3, 0.5, 3.0]),
)
def test_masks_move_with_the_answers_that_were_made_from_them(seen: np.ndarray, delay: float) -> None:
    """Where all is seen the answer is the number of the frame that it was made from: the mask must be that frame's."""
    made_from = np.round(answered(delay=delay).values["valence"]).astype(int)
    np.testing.assert_array_equal(answered(seen, delay=delay).present["face"], seen[made_from])


@pytest.mark.parametrize("delay", [0.0, 1 / 3])
def test_interpolation_replaces_the_answers_of_hidden_frames_under_a_delay(delay: float) -> None:
    """Frames 12 to 23 are hidden: what was answered there is 0, and is replaced wherever the delay has put it."""

    class Blind(Echo):
        def forward(self, batch: Batch) -> FusionOut:
            out = super().forward(batch)
            return FusionOut(out.raw * batch.present["face"].unsqueeze(-1))

    seen = ~np.isin(np.arange(40), range(12, 24))
    found = next(answers(Blind(), clips(seen), TRACK, length=8, batch=3, device=torch.device("cpu"), delay=delay))
    filled = Interpolate(ANSWERS).apply(found).values["valence"]
    times = TIMES - TIMES[0]
    shown = np.abs(times[:, None] - (times - delay)[:, None].T).argmin(0)
    assert (
        np.abs(filled - shown)[2:].max() < 3
    )  # rates change at frame 20: linear in time is not quite linear in number


def by_hand(values: dict[int, float], times: np.ndarray) -> list[float]:
    """Interpolate values at some frames linearly in time to all frames, by their two neighbours; hold the ends."""
    known = sorted(values)
    found = []
    for frame, time in enumerate(times):
        left = max((k for k in known if k <= frame), default=known[0])
        right = min((k for k in known if k >= frame), default=known[-1])
        share = 0.0 if left == right else (time - times[left]) / (times[right] - times[left])
        found.append((1 - share) * values[left] + share * values[right])
    return found


@pytest.mark.parametrize("stride", [2, 3, 7, 39, 50])
@pytest.mark.parametrize("hidden", [(), (0, 3, 6, 14, 21), range(40)])
def test_answers_at_a_stride_are_interpolated_in_time(stride: int, hidden: range | tuple[int, ...]) -> None:
    """Of sampled frames without a face no answer is used, unless none has one."""

    class Squares(Echo):
        def forward(self, batch: Batch) -> FusionOut:
            out = super().forward(batch)
            return FusionOut(out.raw**2)

    seen = ~np.isin(np.arange(40), hidden)
    found = next(answers(Squares(), clips(seen, stride=stride), TRACK, length=4, batch=2, device=torch.device("cpu")))
    sampled = [frame for frame in range(0, 40, stride) if seen[frame]]
    if not sampled:
        assert found.values["valence"].shape == (40,)
        return
    expected = by_hand({frame: float(frame**2) for frame in sampled}, TIMES)
    np.testing.assert_allclose(found.values["valence"], expected, rtol=1e-6)
    assert found.values["mood"].shape == (40, 2)


def test_a_target_rate_is_a_stride_by_the_rate_of_the_video() -> None:
    """The video has 20 frames per second, then 10, in equal numbers: the median time between frames is 1/20 or 1/10."""
    assert clips(fps=5.0).strides[0] in (2, 4)
    assert clips(fps=100.0).strides == [1]
    assert stride_of(np.arange(100) / 30, 10.0) == 3
    assert stride_of(np.zeros(1), 10.0) == 1


class Counting(FrameEncoder):
    """The mean brightness of a picture; counts the pictures that it saw."""

    def __init__(self) -> None:
        super().__init__(1, FrameInput(2, (0.0,) * 3, (1.0,) * 3))
        self.seen: Counter[float] = Counter()

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        values = (images.mean((1, 2, 3)) * 255).round()
        self.seen.update(values.tolist())
        return values.unsqueeze(1)


class Pictures:
    """A raw slot of pictures whose every pixel is the frame's number, absent at some frames."""

    def __init__(self, spec: FrameInput, mask: np.ndarray) -> None:
        self.spec, self.mask = spec, mask

    def present(self, name: str) -> np.ndarray:
        return self.mask

    def fill(self, images: np.ndarray, name: str, start: int, spec: FrameInput) -> np.ndarray:
        seen = self.mask[start : start + len(images)]
        images[:] = np.arange(start, start + len(images))[:, None, None, None]
        return seen


class Trained(Echo):
    """Answers the brightness that its trained encoder has found."""

    pretrained = ("face",)

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({"face": Counting()})

    def forward(self, batch: Batch) -> FusionOut:
        assert "face" not in batch.inputs
        return FusionOut(batch.features["face"].expand(-1, -1, 3))

    def pictures(self, stride: int) -> Clips:
        class Index:
            videos = ()

        raw = {"face": Pictures(self.encoders["face"].input, FACES)}
        return Clips(Index(), [video("v", np.zeros((40, 2)))], ["face"], FeatureStore(), raw, stride=stride)  # type: ignore[arg-type]

    def check(self, found: VideoAnswers, stride: int) -> None:
        """Every sampled picture was encoded once, and is answered by its number, or between two by theirs."""
        sampled = [frame for frame in range(0, 40, stride) if FACES[frame]]
        assert self.encoders["face"].seen == Counter(map(float, sampled))
        expected = np.where(FACES, np.arange(40), 0)
        if stride > 1:
            expected = by_hand({frame: float(frame) for frame in sampled}, TIMES)
        np.testing.assert_allclose(found.values["valence"], expected, rtol=1e-6)


FACES = ~np.isin(np.arange(40), (0, 5, 6, 39))


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("full", [False, True])
def test_a_trained_encoder_sees_every_frame_once(stride: int, full: bool) -> None:
    net = Trained()
    cut = {"length": 8, "batch": 3, "full": full}
    net.check(next(answers(net, net.pictures(stride), TRACK, device=torch.device("cpu"), **cut)), stride)


@pytest.mark.parametrize("stride", [1, 3])
def test_halved_memory_encodes_no_frame_twice(stride: int) -> None:
    """The first attempt of three windows has no memory; those that follow go on from the frames that are encoded."""
    failed = []

    class Small(Trained):
        def forward(self, batch: Batch) -> FusionOut:
            if len(batch.valid) > 1:
                failed.append(len(batch.valid))
                raise MemoryError
            return super().forward(batch)

    net = Small()
    net.check(next(answers(net, net.pictures(stride), TRACK, length=8, batch=3, device=torch.device("cpu"))), stride)
    assert failed == [3]
