"""Render one video of the demo set: the raw file with its sound, face crops, boxes and key points."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from harness.data.synthetic.appearance import Figure, Look, crop_box, draw_look, face_box, person_box
from harness.data.synthetic.encoding import write_video
from harness.data.synthetic.keypoints import people_json
from harness.data.synthetic.latents import Floats, LatentTrajectory, Person
from harness.data.synthetic.rendering import draw_face, draw_frame
from harness.data.synthetic.standard import DEMO_VERSION
from harness.data.synthetic.video_plans import HEIGHT, WIDTH
from harness.data.synthetic.voice import draw_voice
from harness.io.sealed_tables import write_sealed

CROP_SIZE, JPEG_QUALITY = 112, 95
BOX_COLUMNS = ("face_x0", "face_y0", "face_x1", "face_y1", "x0", "y0", "x1", "y1", "score")


def write_files(out: Path, story: LatentTrajectory, seed: int) -> None:
    """Write all files of `story`'s video, except its annotations, into the folders of `out`."""
    look, plan = draw_look(story, seed), story.plan
    for name in plan.names:
        (out / "cropped_aligned" / name).mkdir()
    write_video(
        out / "videos" / f"{plan.video}.{plan.container}",
        _pictures(out / "cropped_aligned", story, look),
        story.times,
        rate=plan.rate,
        size=(WIDTH, HEIGHT),
        variable=plan.variable,
        sound=draw_voice(story, seed),
        sound_rate=plan.sound_rate,
        sound_start=plan.sound_start,
    )
    for person, figure in zip(story.people, look.figures, strict=True):
        _write_boxes(out / "boxes" / f"{person.name}.parquet", person, look, figure)
    if plan.openpose:
        _write_openpose(out / "openpose", story, look, seed)


def _pictures(crops: Path, story: LatentTrajectory, look: Look) -> Iterator[np.ndarray]:
    """Yield the pictures in order, and write the face crops on the way."""
    for frame in range(story.plan.frames):
        image = draw_frame(story, look, frame)
        for person, figure in zip(story.people, look.figures, strict=True):
            if person.face_seen[frame]:
                crop = _cut(draw_face(image, person, look, figure, frame), crop_box(look, figure, frame))
                path = crops / person.name / f"{frame + 1:05d}.jpg"
                path.write_bytes(cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())
        yield image


def _cut(image: np.ndarray, box: Floats) -> np.ndarray:
    """Return the square `box` (x0, y0, x1, y1) of `image`, resized to CROP_SIZE."""
    x0, y0, x1, _ = box
    zoom = CROP_SIZE / (x1 - x0)
    cut = np.array([[zoom, 0, -zoom * x0], [0, zoom, -zoom * y0]])
    return np.asarray(cv2.warpAffine(image, cut, (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_LINEAR))


def _write_boxes(path: Path, person: Person, look: Look, figure: Figure) -> None:
    """Write one row per frame: face and person box as a detector would find them, NaN where there is none."""
    frames = len(person.x)
    rows = np.full((frames, len(BOX_COLUMNS)), np.nan)
    for frame in range(frames):
        if person.face_seen[frame]:
            rows[frame, :4] = face_box(look, figure, frame)
        if not person.out[frame]:
            rows[frame, 4:8] = person_box(look, figure, frame)
            rows[frame, 8] = figure.score[frame]
    columns = {"frame": pa.array(np.arange(1, frames + 1), pa.int32())}
    columns |= {name: pa.array(rows[:, i], pa.float32()) for i, name in enumerate(BOX_COLUMNS)}
    table = pa.table(columns).replace_schema_metadata({b"detector": b"demo", b"version": DEMO_VERSION.encode()})
    write_sealed(table, path)


def _write_openpose(out: Path, story: LatentTrajectory, look: Look, seed: int) -> None:
    """Write one BODY_25 file per frame. People are in random order, because real detectors have no fixed order."""
    plan = story.plan
    folder = out / f"{plan.video}_openpose_body25" / "json"
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, plan.index, 0, 3])
    for frame in range(plan.frames):
        content = people_json(story, look, frame, rng)
        path = folder / f"{plan.video}_{frame:012d}_keypoints.json"
        path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
