"""Raw input of trained slots, and features in chunks: any clip agrees with the whole video."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.batching.clips import ClipData
from harness.batching.windows import Window
from harness.config.schema import Features
from harness.data.affwild2.build import build_index
from harness.data.decoding.audio import read_sound
from harness.data.decoding.frames import pictures
from harness.data.decoding.video import probe
from harness.data.index.index import Index, Video
from harness.data.packed.writer import encode_jpeg
from harness.data.streams.raw_inputs import RawSlot, collate
from harness.data.streams.sources import frame_times, open_reader, source_of
from harness.features.cache.entry import Entry
from harness.features.chunking import Chunk, Cutter, Done, PartialBatch, Task, pad_batch
from harness.features.frozen_encoder import FrozenSlot
from harness.features.store import FeatureStore
from zoo.api import AudioInput, FrameInput
from zoo.model.model import build_encoder, encode
from zoo.modules import Encoder
from zoo.registry.plan import SlotPlan, make_plan
from zoo.registry.registry import load
from zoo.registry.tracks import find_track

RATE = 16_000


@pytest.fixture(scope="module")
def index(program) -> Iterator[Index]:
    edition, track = find_track(load([]), "va", None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ABAW_ZOO_CACHE", str(program.cache))
        yield build_index(program.demo, edition, track)


def slot(text: str, **options: object) -> SlotPlan:
    registry = load([])
    answers = find_track(registry, "va", None)[1].answers
    given = {f"encoder.{text.partition('=')[0]}.{name}": value for name, value in options.items()}
    (plan,) = make_plan(registry, encoders=text, fusion="late", head="gru", answers=answers, options=given).slots
    return plan


class Listener(Encoder):
    """Takes sound as declared, and gives nothing."""

    def __init__(self, margin: float, grid: int) -> None:
        super().__init__(1, AudioInput(RATE, margin, grid))


class Viewer(Encoder):
    """Takes pictures as declared."""

    def __init__(self, size: int = 32, context: int = 0) -> None:
        super().__init__(1, FrameInput(size, (0.0,) * 3, (1.0,) * 3, context))


def with_sound(index: Index) -> list[Video]:
    return [
        v for v in index.videos if v.video and open_reader(slot("audio").stream, source_of(index, v)).present().any()
    ]


# --- sound ------------------------------------------------------------------------------------------------------------


def test_clips_of_sound_are_pieces_of_the_whole(index: Index) -> None:
    rng = np.random.default_rng(0)
    videos = with_sound(index)
    assert len(videos) >= 4
    for margin, grid in ((0.25, 160), (0.5, 1)):
        raw = RawSlot(index, slot("audio"), Listener(margin, grid))
        for video in videos:
            assert video.video is not None
            whole = read_sound(video.video)
            assert whole is not None
            times = frame_times(index, video)
            for _ in range(8):
                start, stop = sorted(rng.choice(video.n_frames + 1, 2, replace=False))
                clip = raw.clip(video.name, start, stop)
                samples, at = clip["samples"], clip["times"]
                assert at.shape == (stop - start,)
                first = round((times[start] - whole.start - at[0]) * RATE)
                assert first % grid == 0
                assert 0 <= first <= len(whole.samples)
                np.testing.assert_allclose(at + first / RATE + whole.start, times[start:stop], atol=1e-5)
                piece = whole.samples[first : first + len(samples)]
                np.testing.assert_allclose(samples, np.clip(piece, -1, 1), atol=1.01 / 32767)
                # All sound within the margin of every frame is there, as far as the video has it.
                reach = min(len(whole.samples), int((times[stop - 1] - whole.start + margin) * RATE))
                assert first + len(samples) >= reach
                assert first <= max(0, (times[start] - whole.start - margin) * RATE)


def test_frames_before_late_sound_are_absent(index: Index) -> None:
    late = 0
    for video in with_sound(index):
        assert video.video is not None
        whole = read_sound(video.video)
        assert whole is not None
        present = RawSlot(index, slot("audio"), Listener(0.25, 160)).present(video.name)
        times = frame_times(index, video)
        step = float(np.median(np.diff(times)))
        assert not present[times < whole.start - 0.51 * step].any()
        end = whole.start + len(whole.samples) / RATE
        assert present[(times >= whole.start) & (times <= end)].all()
        late += not present[0]
    assert late >= 1  # the demo set has a video whose sound starts at 0.3 s


def test_sound_features_do_not_depend_on_the_clip(index: Index) -> None:
    torch.manual_seed(0)
    plan = slot("audio=melcnn", channels=4)
    encoder = build_encoder(plan).eval()
    raw = RawSlot(index, plan, encoder)

    def features(name: str, start: int, stop: int) -> np.ndarray:
        arrays = collate([raw.clip(name, start, stop)], stop - start)
        inputs = {key: torch.from_numpy(value) for key, value in arrays.items()}
        with torch.inference_mode():
            return encode(encoder, inputs, torch.ones(1, stop - start, dtype=torch.bool))[0].numpy()

    for video in with_sound(index):
        whole = features(video.name, 0, video.n_frames)
        assert whole.std() > 1e-3
        for start, stop in ((0, 5), (3, 11), (7, 8), (video.n_frames - 6, video.n_frames)):
            # The margin is longer than what the network sees, so this holds at the clip's edges too.
            np.testing.assert_allclose(features(video.name, start, stop), whole[start:stop], atol=1e-4)


def test_clips_of_unequal_sound_are_padded_as_invalid(index: Index) -> None:
    raw = RawSlot(index, slot("audio"), Listener(0.25, 160))
    video = with_sound(index)[0]
    clips = [raw.clip(video.name, 0, 4), raw.clip(video.name, 2, 12)]
    batch = collate(clips, 10)
    lengths = [len(clip["samples"]) for clip in clips]
    assert batch["samples"].shape == (2, max(lengths))
    assert batch["samples_valid"].sum(1).tolist() == lengths
    np.testing.assert_array_equal(batch["samples"][0, : lengths[0]], clips[0]["samples"])
    assert not batch["samples"][~batch["samples_valid"]].any()


def test_padded_frames_have_no_tokens() -> None:
    clips = [{"tokens": np.ones((n, 2), np.int32)} for n in (1, 3)]
    tokens = collate(clips, 4)["tokens"]
    assert tokens.dtype == np.int32
    assert tokens[..., 0].tolist() == [[1, -1, -1, -1], [1, 1, 1, -1]]


# --- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["context", "body", "portrait"])
def test_packed_pictures_equal_those_read_directly(index: Index, stream: str) -> None:
    plan, size = slot(stream), 64
    raw = RawSlot(index, plan, Viewer(size))
    video = next(v for v in index.videos if v.video is not None and v.video.suffix == ".mp4")
    reader = open_reader(plan.stream, source_of(index, video))
    direct = [
        image for (image,) in pictures([(reader, size)], video.video, min(video.n_frames, probe(video.video).n_frames))
    ]
    present = raw.present(video.name)
    assert present.tolist() == [image is not None for image in direct] + [False] * (video.n_frames - len(direct))
    clip = raw.clip(video.name, 3, 17)
    assert clip["present"].tolist() == present[3:17].tolist()
    for image, wanted in zip(clip["frames"], direct[3:17], strict=True):
        if wanted is None:
            assert not image.any()
            continue
        error = np.abs(image.astype(int) - wanted)
        assert error.mean() < 4
        data = np.frombuffer(encode_jpeg(wanted, 95), np.uint8)
        np.testing.assert_array_equal(image, cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    again = RawSlot(index, plan, Viewer(size)).clip(video.name, 3, 17)  # from the file that is there now
    np.testing.assert_array_equal(again["frames"], clip["frames"])


def test_context_frames_are_the_neighbours(index: Index) -> None:
    video = next(v for v in index.videos if v.crops is not None and not v.crop_frames.all())
    plain = RawSlot(index, slot("face"), Viewer(32)).clip(video.name, 0, video.n_frames)
    wide = RawSlot(index, slot("face"), Viewer(32, context=2))
    for start, stop in ((0, 4), (5, 6), (video.n_frames - 3, video.n_frames)):
        clip = wide.clip(video.name, start, stop)
        assert clip["frames"].shape == (stop - start + 4, 32, 32, 3)
        for k, i in enumerate(range(start - 2, stop + 2)):
            inside = 0 <= i < video.n_frames
            assert clip["present"][k] == (inside and plain["present"][i])
            np.testing.assert_array_equal(clip["frames"][k], plain["frames"][i] if inside else np.zeros((32, 32, 3)))


def test_batches_keep_the_context_of_every_clip(index: Index) -> None:
    raw = RawSlot(index, slot("face"), Viewer(32, context=2))
    data = ClipData(index, index.videos, ["face"], FeatureStore(), {"face": raw})
    windows = [Window(0, 2, 7), Window(1, 0, 8)]
    batch = data.batch(windows, 8)
    assert batch.inputs["face"]["frames"].shape == (2, 12, 32, 32, 3)
    clip = raw.clip(data.videos[0].name, 2, 7)
    np.testing.assert_array_equal(batch.inputs["face"]["frames"][0, :9], clip["frames"])
    np.testing.assert_array_equal(batch.inputs["face"]["present"][0, :9], clip["present"])
    assert not batch.inputs["face"]["present"][0, 9:].any()


# --- features of encoders that look at neighbours ---------------------------------------------------------------------


class Around(Encoder):
    """The mean of the frames two before and two after; 0 for one that is absent."""

    def __init__(self) -> None:
        super().__init__(1, FrameInput(4, (0.0,) * 3, (1.0,) * 3, context=2))

    def forward(self, frames: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        values = 255 * frames.mean((-1, -2, -3)) * present
        return ((values[:, :-4] + values[:, 4:]) / 2).unsqueeze(-1)


class Plain(Encoder):
    """The frame's own mean."""

    def __init__(self) -> None:
        super().__init__(1, FrameInput(4, (0.0,) * 3, (1.0,) * 3))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return 255 * frames.mean((-1, -2, -3)).unsqueeze(-1)


def chunked(encoder: Encoder, values: list[int], present: list[bool], chunk: int) -> tuple[np.ndarray, np.ndarray]:
    frozen = FrozenSlot(
        slot("face"), Features(chunk=chunk, precision="float32"), torch.device("cpu"), None, _encoder=encoder
    )
    video = Video("v", "v", "train", len(values), None, None, *[np.ones(len(values), bool)] * 3)
    cutter = Cutter(Task(video, frozen, Entry(Path("nowhere"))))
    pictures = [np.full((4, 4, 3), v, np.uint8) if seen else None for v, seen in zip(values, present, strict=True)]
    rows = [np.zeros((0, 1), np.float32)]
    for event in chain.from_iterable([*map(cutter.add, pictures), cutter.finish()]):
        if isinstance(event, PartialBatch):
            inputs, keep = pad_batch(event.images, chunk)
            rows.append(frozen(inputs, np.ones(chunk, bool))[keep])
        elif isinstance(event, Chunk):
            rows.append(frozen(event.inputs, event.mask)[event.keep])
    assert isinstance(event, Done)
    return np.concatenate(rows), event.task.present


@settings(deadline=None, max_examples=60)
@given(
    frames=st.lists(st.tuples(st.integers(0, 255), st.booleans()), min_size=1, max_size=40),
    chunk=st.sampled_from([1, 2, 3, 7, 16, 64]),
)
def test_chunks_give_every_frame_its_own_neighbours(frames: list[tuple[int, bool]], chunk: int) -> None:
    values, present = [v for v, _ in frames], [p for _, p in frames]
    masked = [0, 0, *(v * p for v, p in frames), 0, 0]
    wanted = [(masked[t] + masked[t + 4]) / 2 for t in range(len(frames)) if present[t]]
    features, mask = chunked(Around(), values, present, chunk)
    assert mask.tolist() == present
    np.testing.assert_allclose(features.reshape(-1), wanted, atol=1e-3)
    features, mask = chunked(Plain(), values, present, chunk)
    assert mask.tolist() == present
    np.testing.assert_allclose(features.reshape(-1), [v for v, p in frames if p], atol=1e-3)
