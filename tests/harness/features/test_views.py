"""Features of augmented views: equal to those computed on the fly, kept apart in the cache, chosen by clip and epoch."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.batching.windows import Window
from harness.data.affwild2.build import build_index
from harness.data.index.index import Index
from harness.data.streams.augmented import AugmentedReader
from harness.data.streams.readers import FaceReader
from harness.data.streams.sources import open_reader, source_of
from harness.features.extraction import extract, extract_videos
from harness.features.views import ViewChoice, view_name, view_slots
from harness.predicting import live_looks
from tests.harness.batching.test_clips import data
from tests.support.frozen import Odd, odd
from zoo.augmenting import ClipName, build_augmentation, drawing
from zoo.registry.augmentations import Augmentable, AugmentationPlan, plan_augmentations
from zoo.registry.registry import load
from zoo.registry.tracks import find_track

ALL = "face=crop,affine,colour,erase,flip,blur,jpeg,grey,randaugment,noise"


@pytest.fixture
def index(program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    edition, track = find_track(load([]), "va", None)
    return build_index(program.demo, edition, track)


def chain(text: str = ALL) -> tuple[AugmentationPlan, ...]:
    return plan_augmentations(load([]), [Augmentable("face", "frames", True)], [text], lambda _: {})["face"]


def test_cached_views_equal_those_computed_on_the_fly(index: Index) -> None:
    """Pictures of a whole video changed in one call, and encoded: what the reader does frame by frame in threads."""
    slot = odd()
    store, failures = extract(index, [slot], progress=False)
    train = [video.name for video in index.split("train")]
    views = view_slots([slot], {"face": chain()}, 2)
    assert not failures
    assert not extract_videos(index, views, train, store=store, progress=False)
    blocks = [build_augmentation(plan) for plan in chain()]
    differ = 0
    for video in index.split("train"):
        reader = FaceReader(source_of(index, video))
        seen = np.flatnonzero(reader.present())
        plain = torch.from_numpy(np.stack([reader.image(i, None, 8) for i in seen])).movedim(-1, -3)
        assert np.array_equal(store.present("face@1", video.name), reader.present())
        for view in (1, 2):
            pictures, name = plain, ClipName(0, view, video.name, 0, 0)
            with drawing(torch.device("cpu")):
                for block in blocks:
                    pictures = block.pictures(pictures, seen.tolist(), name)
            mean = (pictures.float() / 255).mean((-1, -2, -3))
            stored = store.rows(view_name("face", view), video.name).astype(np.float32)
            assert np.allclose(stored[:, 0], mean.numpy(), atol=6e-4)  # float16
            differ += not np.allclose(stored, store.rows("face", video.name).astype(np.float32), atol=6e-4)
    assert differ > len(train)


def test_views_are_computed_once_and_kept_apart_by_everything_they_depend_on(index: Index) -> None:
    video = index.videos[0]
    source, spec = source_of(index, video), odd().plan.stream

    def key(view: int = 1, text: str = ALL, **changed) -> str:
        plans = tuple(replace(plan, **changed) for plan in chain(text))
        return AugmentedReader(source, reader=spec.reader, chain=plans, view=view).fingerprint()

    keys = [
        key(),
        key(view=2),
        key(text="face=crop"),
        key(p=0.9),
        key(per_frame=True),
        key(text="face=flip,crop"),
        key(text="face=crop,flip"),
        open_reader(spec, source).fingerprint(),
    ]
    assert len(set(keys)) == len(keys)
    assert key() == keys[0]
    slot = odd()
    counts = []
    for _ in range(2):
        store, _ = extract(index, [slot], progress=False)
        names = [v.name for v in index.split("train")]
        extract_videos(index, view_slots([slot], {"face": chain()}, 2), names, store=store, progress=False)
        counts.append(store.computed)
    assert counts == [len(index.videos) + 2 * len(index.split("train")), 0]


def test_a_view_is_the_same_if_annotation_and_video_differ_in_length(index: Index) -> None:
    """A data folder counts the frames of the annotation, prediction those of the video."""
    source, spec = source_of(index, index.videos[0]), odd().plan.stream
    blocks = tuple(map(build_augmentation, chain()))
    for view in (1, 2, 3):
        readers = [
            AugmentedReader(replace(source, n_frames=n), reader=spec.reader, chain=chain(), view=view)
            for n in (source.n_frames, source.n_frames + 1)
        ]
        frame = int(np.flatnonzero(readers[0].present())[0])
        pictures = [reader.image(frame, None, 8) for reader in readers]
        plain = open_reader(spec, source).image(frame, None, 8)
        pictures.append(live_looks._view(blocks, view)(plain, frame, source.name))
        assert all(np.array_equal(pictures[0], picture) for picture in pictures[1:])


def test_every_frame_of_a_view_has_its_own_noise(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one view of a video all frames have noise, or none."""
    monkeypatch.setattr(FaceReader, "image", lambda self, i, frame, size: np.full((size, size, 3), 128, np.uint8))
    source, spec = source_of(index, index.videos[0]), odd().plan.stream
    noise = tuple(replace(plan, options={"low": 0.05, "high": 0.05}, p=0.5) for plan in chain("face=noise"))
    kinds = []
    for view in range(1, 13):
        reader = AugmentedReader(source, reader=spec.reader, chain=noise, view=view)
        pictures = [reader.image(i, None, 8) for i in range(4)]
        kinds.append(len({picture.tobytes() for picture in pictures}))
        assert np.array_equal(pictures[0], reader.image(0, None, 8))
    assert set(kinds) == {1, 4}


def test_views_use_the_network_of_their_slot(index: Index) -> None:
    slot = odd()
    one, two = view_slots([slot], {"face": chain()}, 2)
    assert one.encoder is two.encoder is slot.encoder
    assert isinstance(one.encoder, Odd)
    assert [view.plan.name for view in (one, two)] == ["face@1", "face@2"]
    assert view_slots([slot], {"audio": chain()}, 2) == []
    assert one.identity() == slot.identity()


def test_each_clip_gets_one_of_all_views_by_seed_epoch_and_clip() -> None:
    choice = ViewChoice(frozenset({"face"}), 3, seed=0)
    assert choice("audio", "v", 0, 8) == "audio"
    names = [choice("face", "v", start, 8) for start in range(800)]
    counts = Counter(names)
    assert set(counts) == {"face", "face@1", "face@2", "face@3"}
    assert all(abs(count - 200) < 4 * (800 * 0.25 * 0.75) ** 0.5 for count in counts.values())
    assert names == [choice("face", "v", start, 8) for start in range(800)]
    copies = Counter(choice("face", "v", 0, 8, repetition) for repetition in range(80))
    assert len(copies) == 4
    assert max(copies.values()) < 40
    choice.epoch = 1
    assert names != [choice("face", "v", start, 8) for start in range(800)]
    assert names != [ViewChoice(frozenset({"face"}), 3, seed=1)("face", "v", start, 8) for start in range(800)]


def test_clips_take_the_features_of_their_view(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = data()
    asked = []
    clip = clips.store.clip

    def noted(slot: str, *given):
        asked.append(slot)
        return clip("face", *given)

    monkeypatch.setattr(clips.store, "clip", noted)
    windows = [Window(0, 0, 8), Window(0, 8, 16), Window(2, 4, 12), Window(2, 4, 12, 1), Window(2, 4, 12, 2)]
    clips.batch(windows, 8)
    assert asked == ["face"] * 5
    clips.views = ViewChoice(frozenset({"face"}), 3, seed=0)
    clips.begin_epoch(5)
    asked.clear()
    clips.batch(windows, 8)
    want = ViewChoice(frozenset({"face"}), 3, seed=0, epoch=5)
    assert asked == [want("face", f"v{w.video}", w.start, 8, w.repetition) for w in windows]
    asked.clear()
    clips.batch(windows[::-1], 8, slice(1, 3))  # another order, and another process's share
    assert asked == [want("face", f"v{w.video}", w.start, 8, w.repetition) for w in windows[::-1][1:3]]
