"""Baseline for speed: the approach of the field's released systems, reimplemented from published facts of one of them.

NTUA-CVSP at ABAW 2021 (Antoniadis et al., arXiv:2107.03465), its face stream: every frame's crop is opened when a
sequence is requested, through PIL and torchvision's transforms. A ResNet-18 on 112 x 112, a bidirectional LSTM of 512,
sequences of 16 labelled frames, batches of 16, SGD, float32, trained end to end in a plain loop; it also predicts in
such sequences.

Only facts are used: none of that system's code is here. If the facts leave a choice, the faster one is taken.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import models, transforms

from harness.data.index.index import Video
from harness.data.index.picture_folders import picture_folder

SIZE, LENGTH, BATCH, HIDDEN = 112, 16, 16, 512
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Sequence16:
    """Consecutive labelled frames of one video: their ``faces``, JPEGs, and ``labels`` (frames, A)."""

    faces: tuple[Path, ...]
    labels: np.ndarray


class FrameByFrame(Dataset[Batch]):
    """Data set of sequences; every file of every frame is opened when its sequence is requested."""

    def __init__(self, sequences: Sequence[Sequence16]) -> None:
        self.sequences = list(sequences)
        self.transform = transforms.Compose(
            [transforms.Resize((SIZE, SIZE)), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
        )

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, i: int) -> Batch:
        """Return faces (T, 3, 112, 112) and labels (T, A)."""
        one = self.sequences[i]
        return torch.stack([self.picture(path) for path in one.faces]), torch.from_numpy(one.labels)

    def picture(self, path: Path) -> Tensor:
        """Return an image (3, 112, 112); a black one if there is no file."""
        image = Image.open(path).convert("RGB") if path.is_file() else Image.new("RGB", (SIZE, SIZE))
        out: Tensor = self.transform(image)
        return out


class Network(nn.Module):
    """A ResNet-18, a bidirectional LSTM, a linear layer."""

    def __init__(self, answers: int = 2) -> None:
        super().__init__()
        self.backbone = models.resnet18(weights=None)
        self.backbone.fc = nn.Identity()
        self.lstm = nn.LSTM(512, HIDDEN, batch_first=True, bidirectional=True)
        self.output = nn.Linear(2 * HIDDEN, answers)

    def forward(self, faces: Tensor) -> Tensor:
        """Map faces (B, T, 3, H, W) to predictions (B, T, A)."""
        features = self.backbone(faces.flatten(0, 1)).unflatten(0, faces.shape[:2])
        out: Tensor = self.output(self.lstm(features)[0])
        return out


def loss(answers: Tensor, labels: Tensor) -> Tensor:
    """Return 1 - mean CCC over a batch (B, T, A)."""
    x, y = answers.flatten(0, 1), labels.flatten(0, 1)
    covariance = ((x - x.mean(0)) * (y - y.mean(0))).mean(0)
    apart = (x.mean(0) - y.mean(0)) ** 2
    ccc = 2 * covariance / (x.var(0, correction=0) + y.var(0, correction=0) + apart + 1e-8)
    return 1 - ccc.mean()


class Loop:
    """The plain loop.

    ``fast``: bfloat16 and channels last, as the limit that others are compared with; the field's systems do not use it.
    """

    def __init__(self, network: Network, *, fast: bool = False, device: str = "cpu") -> None:
        self.device, self.fast = torch.device(device), fast
        self.network = network.to(self.device)
        if fast:
            self.network = self.network.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)

    def steps(self, batches: Iterable[Batch]) -> tuple[float, float]:
        """Train on batches as they come; return frames and seconds, reading included."""
        began, frames = time.perf_counter(), 0
        for faces, labels in batches:
            self.step(faces, labels)
            frames += labels.shape[0] * labels.shape[1]
        return float(frames), time.perf_counter() - began

    def answers(self, batches: Iterable[Batch]) -> tuple[float, float]:
        """Predict batches as they come; return frames and seconds, reading included."""
        began, frames = time.perf_counter(), 0
        for faces, labels in batches:
            self.answer(faces)
            frames += labels.shape[0] * labels.shape[1]
        return float(frames), time.perf_counter() - began

    def step(self, faces: Tensor, labels: Tensor) -> float:
        """Run one training step and return the loss."""
        self.network.train()
        value = loss(self._forward(faces), labels.to(self.device))
        self.optimizer.zero_grad()
        value.backward()
        self.optimizer.step()
        return value.item()

    @torch.no_grad()
    def answer(self, faces: Tensor) -> Tensor:
        """Return predictions (B, T, A) with the network in eval mode."""
        self.network.eval()
        return self._forward(faces).cpu()

    def _forward(self, faces: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.fast):
            out: Tensor = self.network(faces.to(self.device)).float()
            return out


def loader(data: FrameByFrame, *, shuffle: bool = True) -> DataLoader[Any]:
    """Return batches of 16 sequences, read in this process."""
    return DataLoader(data, BATCH, shuffle=shuffle, drop_last=True)


def sequences(videos: Sequence[Sequence16]) -> list[Sequence16]:
    """Cut the labelled frames of whole videos into sequences of 16, without overlap; the remainder is dropped."""
    out = []
    for video in videos:
        for start in range(0, len(video.labels) - LENGTH + 1, LENGTH):
            part = slice(start, start + LENGTH)
            out.append(Sequence16(video.faces[part], video.labels[part]))
    return out


def face_videos(videos: Sequence[Video]) -> list[Sequence16]:
    """Return the labelled frames of videos with face crops."""
    out = []
    for video in videos:
        labelled = np.flatnonzero(np.isfinite(video.labels).all(1))
        if video.crops is not None and len(labelled):
            there = picture_folder(video.crops)
            faces = tuple(Path(there.path(i + 1)) for i in labelled.tolist())
            out.append(Sequence16(faces, video.labels[labelled].astype(np.float32)))
    return out
