"""Features depend on the frame and the encoder, on nothing else; what is in the cache is what was written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.config.schema import Features
from harness.data.affwild2.build import build_index
from harness.data.index.index import Index, Video
from harness.data.streams.readers import FaceReader
from harness.data.streams.sources import source_of
from harness.features.cache.entry import Entry
from harness.features.cache.leases import try_lock, unlock
from harness.features.encoder_probe import is_batch_invariant, pictures
from harness.features.extraction import extract, extract_videos
from harness.features.frozen_encoder import FrozenSlot, pieces
from harness.runtime import memory
from tests.support.frozen import CPU, WITH_BF16, Odd, features, odd, plans, slots
from tests.support.refusals import refused
from zoo.api import AudioInput, FrameInput
from zoo.model.model import build_encoder
from zoo.registry.registry import load
from zoo.registry.tracks import find_track
from zoo.weights.cards import cache_dir


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(program, cache: Path) -> Index:
    edition, track = find_track(load([]), "va", None)
    return build_index(program.demo, edition, track)


# --- a frame's features depend on nothing else -----------------------------------------------------------------------


NETWORKS = (
    "face",
    *[pytest.param(f"face=timm:{name}", marks=pytest.mark.slow) for name in ("resnet18", "vit_tiny_patch16_224")],
)


@pytest.mark.parametrize("precision", ["float32", pytest.param("bf16", marks=[WITH_BF16, pytest.mark.slow])])
@pytest.mark.parametrize("text", NETWORKS)
def test_features_do_not_depend_on_what_else_is_extracted(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, precision: str
) -> None:
    """Bit for bit: all videos in one call, each in a call of its own, and some in another order."""
    plan = plans(text)[0]
    torch.manual_seed(0)
    encoder = build_encoder(plan).eval().to(memory_format=torch.channels_last)

    def extracted(place: str, videos: Sequence[Video]) -> dict[str, bytes]:
        monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / place))
        settings = Features(precision=precision, store="float32", tolerance=1.0, chunk=16)  # type: ignore[arg-type]
        slot = FrozenSlot(plan, settings, CPU, None, _encoder=encoder)
        part = replace(index, videos=tuple(videos))
        store, failures = extract(part, [slot], progress=False)
        assert not failures
        assert store.computed == len(videos)
        assert slot.probe.batch_invariant
        return features(store, part)

    some = index.videos[:2]
    together = extracted("all", index.videos[:4])
    alone = {name: rows for video in some for name, rows in extracted(video.name, [video]).items()}
    turned = extracted("turned", some[::-1])
    assert len(some) == len(alone) == len(turned)
    assert all(together[name] == alone[name] == turned[name] for name in alone)


def test_an_encoder_whose_frames_feel_their_mates_never_shares_a_batch(index: Index) -> None:
    shy = odd(mate=0.1)
    assert not is_batch_invariant(shy, list(pictures(index, shy)))
    together, _ = extract(index, [shy], progress=False)
    assert not shy.probe.batch_invariant
    rows = features(together, index)
    for video in index.videos[:3]:
        together.lease.release()
        for file in cache_dir().glob("features/??"):
            shutil.rmtree(file)
        part = replace(index, videos=(video,))
        store, _ = extract(part, [odd(mate=0.1)], progress=False)
        assert store.computed == 1
        assert features(store, part)[video.name] == rows[video.name]


def test_every_batch_of_frames_has_one_size(index: Index) -> None:
    slot = odd()
    extract(index, [slot], progress=False)
    assert set(slot.encoder.sizes) == {16}  # type: ignore[arg-type]
    assert len(slot.encoder.sizes) >= sum(v.n_frames for v in index.videos) // 16  # type: ignore[arg-type]


# --- storage ----------------------------------------------------------------------------------------------------------


def test_features_are_stored_as_wanted(index: Index) -> None:
    wide = odd()
    wide.settings = wide.settings.model_copy(update={"store": "float32"})
    half, _ = extract(index, [odd()], progress=False)
    full, _ = extract(index, [wide], progress=False)
    assert full.computed == len(index.videos)
    for video in index.videos:
        a, b = half.rows("face", video.name), full.rows("face", video.name)
        assert (a.dtype, b.dtype) == (np.float16, np.float32)
        np.testing.assert_array_equal(a, b.astype(np.float16))
        assert full.clip("face", video.name, 0, 3).dtype == np.float32


def test_an_entry_says_what_it_is(index: Index) -> None:
    store, _ = extract(index, slots(precision="float32"), progress=False)
    video = index.videos[0]
    meta = Entry(store.folders["face", video.name]).meta()
    assert meta["video"] == video.name
    assert (meta["stream"], meta["encoder"], meta["precision"], meta["store"]) == (
        "face",
        "lite0",
        "float32",
        "float16",
    )
    assert meta["frames"] == video.n_frames
    assert meta["present"] == int(store.present("face", video.name).sum()) == len(store.rows("face", video.name))
    assert len(meta["weights"]) == 64


def damage(folder: Path, how: str) -> None:
    file = folder / ("features.npy" if how != "no meta" else "meta.json")
    data = bytearray(file.read_bytes())
    if how == "cut":
        file.write_bytes(data[:-7])
    elif how == "bit":
        data[-5] ^= 4
        file.write_bytes(data)
    elif how == "header":
        data[10] ^= 1
        file.write_bytes(data)
    elif how == "mask":
        mask = np.load(folder / "present.npy")
        np.save(folder / "present.npy", ~mask)
    elif how == "gone":
        file.unlink()
    else:
        file.write_text("{}")


@pytest.mark.parametrize("how", ["cut", "bit", "header", "mask", "gone", "no meta"])
def test_a_damaged_entry_is_never_used(index: Index, how: str) -> None:
    store, _ = extract(index, [odd()], progress=False)
    wanted = features(store, index)
    folder = store.folders["face", index.videos[2].name]
    damage(folder, how)
    again, failures = extract(index, [odd()], progress=False)
    assert not failures
    assert (again.computed, again.damaged) == (1, 1)
    assert features(again, index) == wanted
    assert Entry(folder).check() is None


# --- several processes on one cache ----------------------------------------------------------------------------------

WORKER = """
import sys
from zoo.registry.tracks import find_track, load_plugins
from harness.data.affwild2.build import build_index
from harness.config.schema import Features
from harness.features.extraction import extract
from harness.features.frozen_encoder import frozen_slots
from zoo.registry.plan import make_plan
import torch
registry = load_plugins([])
edition, track = find_track(registry, "va", None)
index = build_index(sys.argv[1], edition, track)
plan = make_plan(registry, encoders="face", fusion="late", head="gru", answers=track.answers)
store, failures = extract(index, frozen_slots(plan.slots, Features(chunk=16), torch.device("cpu")), progress=False)
assert not failures
print(store.computed)
"""


@pytest.mark.slow
def test_processes_share_the_work(program, index: Index) -> None:
    command = [sys.executable, "-c", WORKER, str(program.demo)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    computed = [int(worker.communicate(timeout=240)[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sum(computed) == len(index.videos)
    store, _ = extract(index, slots(), progress=False)
    assert store.computed == 0
    assert not list(cache_dir().glob("features/??/*.lock"))


def test_a_video_that_another_process_is_at_is_waited_for(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.features.extraction.POLL", 0.05)
    theirs = index.videos[0]
    probe = replace(index, videos=(theirs,))
    store, _ = extract(probe, [odd()], progress=False)
    entry = Entry(store.folders["face", theirs.name])
    kept = entry.folder.rename(entry.folder.with_name("kept"))
    lock = try_lock(entry.lock)
    assert lock is not None

    def finish() -> None:
        kept.rename(entry.folder)
        unlock(lock)

    timer = threading.Timer(2.0, finish)
    timer.start()
    store, failures = extract(index, [odd()], progress=False)
    timer.join()
    assert not failures
    assert store.computed == len(index.videos) - 1
    assert len(store.rows("face", theirs.name)) > 0


def test_some_videos_can_be_extracted_by_themselves_and_again(index: Index) -> None:
    names = [video.name for video in index.videos[3:5]]
    for _ in range(2):
        assert extract_videos(index, [odd()], names, progress=False) == []
    store, _ = extract(index, [odd()], progress=False)
    assert store.computed == len(index.videos) - 2


def test_two_slots_of_one_encoder_share_their_entries(index: Index) -> None:
    two = [replace(odd(), plan=plan) for plan in plans("face,face.b")]
    store, failures = extract(index, two, progress=False)
    assert not failures
    assert store.computed == len(index.videos)
    assert features(store, index, "face") == features(store, index, "face.b")


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_video_that_cannot_be_read_stops_no_other(program, cache: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(program.demo, tmp_path / "data", copy_function=os.link))  # others read the crumb
    index = build_index(data, *find_track(load([]), "va", None))
    first, second = [video for video in index.videos if video.crops is not None][:2]
    folder = first.crops
    assert folder is not None
    crop = sorted(folder.glob("*.jpg"))[-1]
    content = crop.read_bytes()
    crop.unlink()
    crop.write_bytes(content[:50])
    store, failures = extract(index, [odd()], progress=False)
    assert [failure.item for failure in failures] == [first.name]
    assert "cut short" in failures[0].reason
    assert store.computed == len(index.videos) - 1
    assert len(store.rows("face", second.name)) > 0
    assert not list(cache_dir().glob("features/??/*.part"))
    assert not list(cache_dir().glob("features/??/*.lock"))


def test_features_that_are_not_finite_name_their_frame(index: Index) -> None:
    class Holes(Odd):
        def forward(self, frames: torch.Tensor, present: torch.Tensor | None = None) -> torch.Tensor:
            out = super().forward(frames)
            return torch.where(frames.mean((-1, -2, -3))[..., None] == target, float("nan"), out)

    slot = odd()
    video = next(v for v in index.videos if v.crops is not None)
    assert video.crops is not None
    image = FaceReader(source_of(index, video)).image(5, None, 8)
    target = (torch.from_numpy(image).movedim(-1, -3).float() / 255).mean()
    slot._encoder = Holes()
    _, failures = extract(index, [slot], progress=False)
    assert video.name in {failure.item for failure in failures}
    (reason,) = [failure.reason for failure in failures if failure.item == video.name]
    assert "frame 6" in reason
    assert "not finite" in reason


# --- memory runs out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [15, pytest.param(4, marks=pytest.mark.slow), 1])
def test_out_of_memory_halves_the_batch_and_is_noted(index: Index, most: int) -> None:
    store, _ = extract(index, [odd()], progress=False)
    wanted = {v.name: np.asarray(store.rows("face", v.name)) for v in index.videos}
    tight = odd(most=most)
    tight.settings = Features(precision="float32", chunk=16, store="float32")
    with memory.track_batch_reductions() as noted:
        store, failures = extract(index, [tight], progress=False)
    assert not failures
    size = max(n for n in (16, 8, 4, 2, 1) if n <= most)
    assert {"where": "features of face=lite0", "batch": size} in noted
    for video in index.videos:
        np.testing.assert_allclose(store.rows("face", video.name), wanted[video.name], atol=1e-3)
    with memory.track_batch_reductions() as noted:  # found in the cache, they still say so
        extract(index, [replace(tight, limit=None)], progress=False)
    assert noted == [{"where": "features of face=lite0", "batch": size}]


def test_no_memory_for_one_frame_is_said(index: Index) -> None:
    with refused("features-no-memory", device="cpu", said="CUDA out of memory. Tried to allocate 2.00 GiB"):
        extract(index, [odd(most=0)], progress=False)
    assert not list(cache_dir().glob("features/??/*"))


def test_other_errors_of_a_network_are_not_taken_for_a_lack_of_memory(index: Index) -> None:
    class Broken(Odd):
        def forward(self, frames: torch.Tensor, present: torch.Tensor | None = None) -> torch.Tensor:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    slot = odd()
    slot._encoder = Broken()
    with pytest.raises(RuntimeError, match="shapes"):
        extract(index, [slot], progress=False)


def test_pieces_of_a_chunk_hold_what_their_frames_need() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (14, 4, 4, 3), dtype=np.uint8)  # 10 and 2 on each side
    mask = np.ones(10, bool)
    parts = pieces({"frames": frames, "present": np.ones(14, bool)}, mask, FrameInput(4, (0,) * 3, (1,) * 3, 2), 4)
    assert [len(seen) for _, seen in parts] == [4, 4, 2]
    np.testing.assert_array_equal(parts[1][0]["frames"], frames[4:12])

    spec = AudioInput(rate=100, margin=0.1, grid=8)
    samples, times = np.arange(400, dtype=np.float32), np.linspace(0.5, 3.5, 10).astype(np.float32)
    whole = {"samples": samples, "samples_valid": samples < 390, "times": times}
    for (part, _), begin in zip(pieces(whole, mask, spec, 4), (0, 4, 8), strict=True):
        for t, at in enumerate(part["times"]):
            first = round((times[begin + t] - at) * 100)
            assert first % 8 == 0
            assert part["samples"][0] == first
            place = round(float(at) * 100)
            near = part["samples"][max(0, place - 10) : place + 10]
            np.testing.assert_array_equal(
                near, samples[first + place - len(near) + 10 : first + place + 10][: len(near)]
            )
