"""The way of the field's released systems, written afresh from what is known of one of them, to measure against.

NTUA-CVSP at ABAW 2021 (Antoniadis et al., arXiv:2107.03465): every frame's files are opened one by one when a sequence
is asked for: the face crop through PIL and torchvision's transforms, the raw frame twice (the scene with the person
blacked out, and the body), a JSON of key points for the person's box, a 10-second window of a stored mel spectrogram.
A ResNet-18 a picture stream on 112 x 112, features side by side, a bidirectional LSTM of 512, sequences of 16 labelled
frames, batches of 16, SGD, float32, trained end to end in a plain loop; answered in sequences too.

Only facts are used: none of that system's code is here. Where the facts leave a choice, the faster one is taken.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import models, transforms

SIZE, LENGTH, BATCH, HIDDEN = 112, 16, 16, 512
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SURE = 0.05  # key points of lower confidence are noise
WIDER = (0.01, 0.25)  # of the person's width and height on each side
MELS, MEL_RATE = 128, 44_100 / 512  # columns a second
WINDOW = round(10 * MEL_RATE)
STREAMS = ("face", "context", "body", "audio")
Batch = tuple[dict[str, Tensor], Tensor]


@dataclass(frozen=True)
class Sequence16:
    """Labelled frames that follow each other in one video, with the files of each: ``faces`` and ``scenes`` JPEGs,
    ``points`` JSONs, ``mel`` one .npy; ``times`` seconds; ``labels`` (frames, A)."""

    faces: tuple[Path, ...]
    labels: np.ndarray
    scenes: tuple[Path, ...] = ()
    points: tuple[Path, ...] = ()
    mel: Path | None = None
    times: tuple[float, ...] = ()


class FrameByFrame(Dataset[Batch]):
    """Sequences, every file of every frame opened when its sequence is asked for."""

    def __init__(self, sequences: Sequence[Sequence16], streams: Sequence[str] = ("face",)) -> None:
        self.sequences = list(sequences)
        self.streams = tuple(streams)
        self.transform = transforms.Compose(
            [transforms.Resize((SIZE, SIZE)), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
        )

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, i: int) -> Batch:
        """Stream -> (T, 3, 112, 112), sound (T, 128, columns); labels (T, A)."""
        seq = self.sequences[i]
        read: dict[str, Callable[[int], Tensor]] = {
            "face": lambda k: self.picture(seq.faces[k]),
            "context": lambda k: self.scene(seq.scenes[k], seq.points[k]),
            "body": lambda k: self.picture(seq.scenes[k]),
            "audio": lambda k: mel_window(seq.mel, seq.times[k]),
        }
        frames = range(len(seq.labels))
        inputs = {stream: torch.stack([read[stream](k) for k in frames]) for stream in self.streams}
        return inputs, torch.from_numpy(seq.labels)

    def picture(self, path: Path) -> Tensor:
        """(3, 112, 112); a black picture where there is no file."""
        image = Image.open(path).convert("RGB") if path.is_file() else Image.new("RGB", (SIZE, SIZE))
        return self.transform(image)

    def scene(self, path: Path, points: Path) -> Tensor:
        """The raw frame with the first person's box blacked out, (3, 112, 112)."""
        image = Image.open(path).convert("RGB")
        box = person_box(points)
        if box is not None:
            image.paste((0, 0, 0), box)
        return self.transform(image)


def person_box(path: Path) -> tuple[int, int, int, int] | None:
    """x0, y0, x1, y1 of the first person's key points in an OpenPose file, widened; None where nobody is seen."""
    people = json.loads(path.read_text())["people"]
    if not people:
        return None
    points = np.array(people[0]["pose_keypoints_2d"]).reshape(-1, 3)
    points = points[points[:, 2] > SURE, :2]
    if not len(points):
        return None
    low, high = points.min(0), points.max(0)
    more = (high - low) * WIDER
    x0, y0 = np.maximum(low - more, 0)
    x1, y1 = high + more
    return int(x0), int(y0), int(x1), int(y1)


def mel_window(path: Path | None, time: float) -> Tensor:
    """(128, columns of 10 s) of a stored spectrogram, the frame's time in the middle, zeros beyond its ends."""
    assert path is not None
    mel = np.load(path)
    first = round(time * MEL_RATE) - WINDOW // 2
    out = np.zeros((MELS, WINDOW), np.float32)
    a, b = max(0, first), min(mel.shape[1], first + WINDOW)
    if b > a:
        out[:, a - first : b - first] = mel[:, a:b]
    return torch.from_numpy(out)


class Network(nn.Module):
    """A ResNet-18 a picture stream, features side by side, a bidirectional LSTM, a linear layer."""

    def __init__(self, answers: int = 2, streams: Sequence[str] = ("face",)) -> None:
        super().__init__()
        self.streams = tuple(streams)
        self.backbones = nn.ModuleDict({stream: self._backbone() for stream in self.streams})
        self.lstm = nn.LSTM(512 * len(self.streams), HIDDEN, batch_first=True, bidirectional=True)
        self.output = nn.Linear(2 * HIDDEN, answers)

    @staticmethod
    def _backbone() -> nn.Module:
        network = models.resnet18(weights=None)
        network.fc = nn.Identity()
        return network

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Stream -> (B, T, 3, H, W); answers (B, T, A)."""
        features = [self.backbones[s](inputs[s].flatten(0, 1)).unflatten(0, inputs[s].shape[:2]) for s in self.streams]
        return self.output(self.lstm(torch.cat(features, -1))[0])


def loss(answers: Tensor, labels: Tensor) -> Tensor:
    """1 - mean CCC over a batch (B, T, A)."""
    x, y = answers.flatten(0, 1), labels.flatten(0, 1)
    covariance = ((x - x.mean(0)) * (y - y.mean(0))).mean(0)
    apart = (x.mean(0) - y.mean(0)) ** 2
    ccc = 2 * covariance / (x.var(0, correction=0) + y.var(0, correction=0) + apart + 1e-8)
    return 1 - ccc.mean()


class Loop:
    """The plain loop. ``fast``: bfloat16 and channels last, for the limit that others are held against; not the
    field's way."""

    def __init__(self, network: Network, *, fast: bool = False, device: str = "cpu") -> None:
        self.device, self.fast = torch.device(device), fast
        self.network = network.to(self.device)
        if fast:
            self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)

    def steps(self, batches: Iterable[Batch]) -> tuple[float, float]:
        """Train on batches as they come; frames and seconds, reading included."""
        began, frames = time.perf_counter(), 0
        for inputs, labels in batches:
            self.step(inputs, labels)
            frames += labels.shape[0] * labels.shape[1]
        return float(frames), time.perf_counter() - began

    def answers(self, batches: Iterable[Batch]) -> tuple[float, float]:
        """Answer batches as they come; frames and seconds, reading included."""
        began, frames = time.perf_counter(), 0
        for inputs, labels in batches:
            self.answer(inputs)
            frames += labels.shape[0] * labels.shape[1]
        return float(frames), time.perf_counter() - began

    def step(self, inputs: dict[str, Tensor], labels: Tensor) -> float:
        """One training step; the loss."""
        self.network.train()
        value = loss(self._forward(inputs), labels.to(self.device))
        self.optimizer.zero_grad()
        value.backward()
        self.optimizer.step()
        return value.item()

    @torch.no_grad()
    def answer(self, inputs: dict[str, Tensor]) -> Tensor:
        """Answers (B, T, A) of a network in eval mode."""
        self.network.eval()
        return self._forward(inputs).cpu()

    def _forward(self, inputs: dict[str, Tensor]) -> Tensor:
        moved = {name: tensor.to(self.device) for name, tensor in inputs.items()}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.fast):
            return self.network(moved).float()


def loader(data: FrameByFrame, *, shuffle: bool = True) -> DataLoader[Any]:
    """Batches of 16 sequences, read in this process."""
    return DataLoader(data, BATCH, shuffle=shuffle, drop_last=True)


def sequences(videos: Sequence[Sequence16]) -> list[Sequence16]:
    """Whole videos' labelled frames in sequences of 16, without overlap; what is left over is dropped."""
    out = []
    for video in videos:
        for start in range(0, len(video.labels) - LENGTH + 1, LENGTH):
            part = slice(start, start + LENGTH)
            out.append(Sequence16(video.faces[part], video.labels[part], video.scenes[part], video.points[part],
                                  video.mel, video.times[part]))  # fmt: skip
    return out
