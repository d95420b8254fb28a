"""The baseline does what it is said to do: the same pixels as by hand, the network's shape, the loss."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from harness.bench import seed
from zoo.metrics import ccc


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = []
    for i in range(3):
        paths.append(tmp_path / f"{i + 1:05d}.jpg")
        Image.fromarray(rng.integers(0, 256, (150, 100, 3), np.uint8)).save(paths[-1])
    return paths


def by_hand(image: Image.Image) -> np.ndarray:
    """Resized, in [0, 1], channels first, normalised with ImageNet's mean and deviation."""
    x = np.asarray(image.resize((112, 112), Image.Resampling.BILINEAR), np.float32) / 255
    return np.asarray(((x - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)).transpose(2, 0, 1), np.float32)


def test_faces_are_read_as_by_hand_and_a_missing_one_is_black(pictures: list[Path], tmp_path: Path) -> None:
    faces = (*pictures, tmp_path / "none.jpg")
    data = seed.FrameByFrame([seed.Sequence16(faces, np.zeros((4, 2), np.float32))])
    inputs, labels = data[0]
    assert inputs["face"].shape == (4, 3, 112, 112)
    assert labels.shape == (4, 2)
    for row, path in zip(inputs["face"], pictures, strict=False):
        np.testing.assert_allclose(row.numpy(), by_hand(Image.open(path).convert("RGB")), atol=1e-5)
    np.testing.assert_allclose(inputs["face"][3].numpy(), by_hand(Image.new("RGB", (112, 112))), atol=1e-5)


def test_the_person_is_blacked_out_of_the_scene(pictures: list[Path], tmp_path: Path) -> None:
    points = tmp_path / "points.json"
    seen = [[20, 40, 0.9], [40, 80, 0.9], [90, 140, 0.0]]  # the last is not sure, and does not count
    points.write_text(json.dumps({"people": [{"pose_keypoints_2d": [x for p in seen for x in p]}]}))
    assert seed.person_box(points) == (19, 30, 40, 90)
    scene = seed.Sequence16(tuple(pictures), np.zeros((3, 2), np.float32), tuple(pictures), (points,) * 3)
    inputs, _ = seed.FrameByFrame([scene], ("context", "body"))[0]
    wanted = Image.open(pictures[1]).convert("RGB")
    np.testing.assert_allclose(inputs["body"][1].numpy(), by_hand(wanted), atol=1e-5)
    pixels = np.array(wanted)
    pixels[30:90, 19:40] = 0
    np.testing.assert_allclose(inputs["context"][1].numpy(), by_hand(Image.fromarray(pixels)), atol=1e-5)
    points.write_text('{"people": []}')
    assert seed.person_box(points) is None


def test_a_window_of_sound_has_its_frame_in_the_middle(tmp_path: Path) -> None:
    mel = np.tile(np.arange(3000, dtype=np.float32) + 1, (128, 1))
    np.save(tmp_path / "mel.npy", mel)
    window = seed.mel_window(tmp_path / "mel.npy", 10.0)
    assert window.shape == (128, 861)
    assert window[5, 430] == mel[5, round(10 * 44_100 / 512)]
    early = seed.mel_window(tmp_path / "mel.npy", 0.0)
    assert (early[:, :430] == 0).all()
    assert early[0, 430] == 1


def test_the_network_is_a_resnet18_and_a_bidirectional_lstm() -> None:
    network = seed.Network().eval()
    assert sum(p.numel() for p in network.backbones.parameters()) == 11_176_512  # a ResNet-18 without its last layer
    assert sum(p.numel() for p in network.lstm.parameters()) == 2 * 4 * 512 * (512 + 512 + 2)
    out = network({"face": torch.zeros(2, 16, 3, 112, 112)})
    assert out.shape == (2, 16, 2)
    both = seed.Network(streams=("face", "context"))
    assert both.lstm.input_size == 1024


def test_the_loss_is_one_minus_the_mean_ccc() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 4, 16, 2))
    got = seed.loss(torch.from_numpy(x), torch.from_numpy(y))
    wanted = 1 - np.mean([ccc(x[..., a].ravel(), y[..., a].ravel()) for a in (0, 1)])
    assert float(got) == pytest.approx(wanted, abs=1e-6)


def test_a_step_learns_and_an_answer_changes_nothing() -> None:
    torch.manual_seed(0)
    loop = seed.Loop(seed.Network())
    inputs, labels = {"face": torch.randn(2, 4, 3, 32, 32)}, torch.randn(2, 4, 2)
    before = {name: p.clone() for name, p in loop.network.state_dict().items()}
    assert loop.answer(inputs).shape == (2, 4, 2)
    assert all(torch.equal(before[name], p) for name, p in loop.network.state_dict().items())
    assert np.isfinite(loop.step(inputs, labels))
    assert not torch.equal(before["output.weight"], loop.network.output.weight)


def test_sequences_follow_each_other_without_overlap(tmp_path: Path) -> None:
    faces = tuple(tmp_path / f"{i}.jpg" for i in range(40))
    video = seed.Sequence16(faces, np.arange(80, dtype=np.float32).reshape(40, 2), times=tuple(range(40)))
    parts = seed.sequences([video])
    assert [len(part.labels) for part in parts] == [16, 16]
    assert parts[1].faces == faces[16:32]
    assert parts[1].times == tuple(range(16, 32))
