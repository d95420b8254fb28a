"""The baseline does what it is said to do: the same pixels as by hand, the network's shape, the loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from harness.benchmarks import baseline
from zoo.metrics.scores import ccc


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
    data = baseline.FrameByFrame([baseline.Sequence16(faces, np.zeros((4, 2), np.float32))])
    found, labels = data[0]
    assert found.shape == (4, 3, 112, 112)
    assert labels.shape == (4, 2)
    for row, path in zip(found, pictures, strict=False):
        np.testing.assert_allclose(row.numpy(), by_hand(Image.open(path).convert("RGB")), atol=1e-5)
    np.testing.assert_allclose(found[3].numpy(), by_hand(Image.new("RGB", (112, 112))), atol=1e-5)


def test_the_network_is_a_resnet18_and_a_bidirectional_lstm() -> None:
    network = baseline.Network().eval()
    assert sum(p.numel() for p in network.backbone.parameters()) == 11_176_512  # a ResNet-18 without its last layer
    assert sum(p.numel() for p in network.lstm.parameters()) == 2 * 4 * 512 * (512 + 512 + 2)
    out = network(torch.zeros(2, 16, 3, 112, 112))
    assert out.shape == (2, 16, 2)


def test_the_loss_is_one_minus_the_mean_ccc() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 4, 16, 2))
    got = baseline.loss(torch.from_numpy(x), torch.from_numpy(y))
    wanted = 1 - np.mean([ccc(x[..., a].ravel(), y[..., a].ravel()) for a in (0, 1)])
    assert float(got) == pytest.approx(wanted, abs=1e-6)


def test_a_step_learns_and_an_answer_changes_nothing() -> None:
    torch.manual_seed(0)
    loop = baseline.Loop(baseline.Network())
    faces, labels = torch.randn(2, 4, 3, 32, 32), torch.randn(2, 4, 2)
    before = {name: p.clone() for name, p in loop.network.state_dict().items()}
    assert loop.answer(faces).shape == (2, 4, 2)
    assert all(torch.equal(before[name], p) for name, p in loop.network.state_dict().items())
    assert np.isfinite(loop.step(faces, labels))
    assert not torch.equal(before["output.weight"], loop.network.output.weight)


def test_sequences_follow_each_other_without_overlap(tmp_path: Path) -> None:
    faces = tuple(tmp_path / f"{i}.jpg" for i in range(40))
    video = baseline.Sequence16(faces, np.arange(80, dtype=np.float32).reshape(40, 2))
    parts = baseline.sequences([video])
    assert [len(part.labels) for part in parts] == [16, 16]
    assert parts[1].faces == faces[16:32]
    np.testing.assert_array_equal(parts[1].labels, video.labels[16:32])
