"""The files that the baseline (harness.bench.seed) reads, made of a data folder as its authors laid them out: face
crops as they are, raw frames as JPEGs, key points as a JSON a frame, a mel spectrogram a video."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from harness.bench.seed import MEL_RATE, MELS, Sequence16
from harness.data.affwild2 import Index, Video
from harness.data.audio import read_sound
from harness.data.frames import read_frames
from harness.data.sources import frame_times, source_of


def face_videos(videos: Sequence[Video]) -> list[Sequence16]:
    """The labelled frames of videos with face crops; nothing is written."""
    out = []
    for video in videos:
        labelled = np.flatnonzero(np.isfinite(video.labels).all(1))
        if video.crops is not None and len(labelled):
            faces = tuple(video.crops / f"{i + 1:05d}.jpg" for i in labelled)
            out.append(Sequence16(faces, video.labels[labelled].astype(np.float32)))
    return out


def write_all_streams(index: Index, videos: Sequence[Video], folder: Path) -> list[Sequence16]:
    """Raw frames, key points and spectrograms of some videos, written into ``folder``; their labelled frames."""
    out = []
    for video in videos:
        if video.crops is None or video.video is None:
            continue
        labelled = np.flatnonzero(np.isfinite(video.labels).all(1))
        own = folder / video.name
        own.mkdir(parents=True)
        find_boxes = source_of(index, video).boxes
        assert find_boxes is not None
        boxes = find_boxes()
        for i, (frame, box) in enumerate(zip(read_frames(video.video), boxes, strict=False)):
            cv2.imwrite(str(own / f"{i + 1:05d}.jpg"), frame[..., ::-1])
            (own / f"{i + 1:05d}.json").write_text(json.dumps({"people": _people(box)}))
        np.save(own / "mel.npy", _mel(video.video))
        times = frame_times(index, video)
        out.append(
            Sequence16(
                tuple(video.crops / f"{i + 1:05d}.jpg" for i in labelled),
                video.labels[labelled].astype(np.float32),
                tuple(own / f"{i + 1:05d}.jpg" for i in labelled),
                tuple(own / f"{i + 1:05d}.json" for i in labelled),
                own / "mel.npy",
                tuple(float(times[i]) for i in labelled),
            )
        )
    return out


def _people(box: np.ndarray) -> list[dict[str, list[float]]]:
    """25 key points spread over a person's box, as OpenPose writes them."""
    if not np.isfinite(box).all():
        return []
    x = np.linspace(box[0], box[2], 25)
    y = np.linspace(box[1], box[3], 25)
    return [{"pose_keypoints_2d": np.stack([x, y, np.ones(25)], 1).round(3).ravel().tolist()}]


def _mel(path: Path) -> np.ndarray:
    """(128, columns) float32, decibels; silence where the video has no sound."""
    import torch
    import torchaudio

    rate = 44_100
    sound = read_sound(path, rate)
    samples = torch.zeros(rate) if sound is None else torch.from_numpy(np.asarray(sound.samples, np.float32))
    mel = torchaudio.transforms.MelSpectrogram(rate, n_fft=2048, hop_length=round(rate / MEL_RATE), n_mels=MELS)(
        samples
    )
    decibels: np.ndarray = torchaudio.transforms.AmplitudeToDB(top_db=80)(mel).numpy()
    return decibels
