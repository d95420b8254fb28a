"""Small Aff-Wild2 folders, written by code: annotations, crops and raw videos of a few frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.support.media import write_click_video

VA_HEADER = "valence,arousal"
SEVEN = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise"
EIGHT = f"{SEVEN},Other"
UNITS = "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"
MTL_HEADER = "image,valence,arousal,expression,aus"
FOLDERS = {"train": "Train_Set", "val": "Validation_Set"}


def write_lines(path: Path, *lines: str) -> Path:
    """Write a text file and make its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def write_va(folder: Path, videos: Mapping[str, Mapping[str, int]]) -> None:
    """Write VA annotations, split -> name -> frames, all (0.5, -0.25)."""
    for split, names in videos.items():
        for name, n in names.items():
            write_lines(folder / FOLDERS[split] / f"{name}.txt", VA_HEADER, *["0.5,-0.25"] * n)


def write_crops(folder: Path, frames: Iterable[int]) -> None:
    """Write empty files 00001.jpg and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for frame in frames:
        (folder / f"{frame:05d}.jpg").touch()


def write_video(path: Path, frames: int, *, sound: bool = True) -> None:
    """Write a real video file with ``frames`` frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_click_video(path, n_frames=frames, click_frame=None, with_audio=sound, size=(32, 32))


def small_va(root: Path) -> Path:
    """Write a whole VA folder: two training videos, one for validation, one listed for the test, all with crops."""
    write_va(
        root / "annotations" / "VA_Estimation_Challenge", {"train": {"video1": 5, "2-30-640x360": 4}, "val": {"3": 6}}
    )
    for name, n in {"video1": 5, "2-30-640x360": 4, "3": 6, "4": 3}.items():
        write_crops(root / "cropped_aligned" / name, range(1, n + 1))
    rows = [f"4/{k:05d}.jpg," for k in (1, 2, 3)]
    write_lines(root / "CVPR_10th_ABAW_VA_test_set_example.txt", "image_location,valence,arousal", *rows)
    return root
