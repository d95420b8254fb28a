"""Rows with a start and an end: their values at frames against a loop, and every mistake with file and row."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from plugins.encoders._segments import Segments
from plugins.encoders.ready_features import FeatureReader, ReadyFeatures
from tests.plugins.encoders.test_features import manifest, source, write
from tests.support.refusals import refused

TIMES = np.arange(50) / 5  # 10 s at 5 frames a second
ROWS = np.array([[1.0, 10], [2, 20], [4, 40], [8, 80]], np.float32)
START, END = np.array([0.0, 2, 4, 8]), np.array([4.0, 6, 7, 10])


def folder_of(folder: Path, ending: str = "npz", start=START, end=END, rows=ROWS, **keys: object) -> Path:
    manifest(folder, width=2, rate="segment", **keys)
    arrays = {"features": rows, "start": np.asarray(start), "end": np.asarray(end)}
    path = folder / f"clip_left.{ending}"
    if ending == "npz":
        np.savez(path, **arrays)
    elif ending == "safetensors":
        save_file(arrays, path)
    elif ending == "parquet":
        pd.DataFrame({"a": rows[:, 0], "end": end, "b": rows[:, 1], "start": start}).to_parquet(path)
    else:
        np.save(path, np.column_stack([start, end, rows]))
    return folder


def opened(folder: Path, times=TIMES) -> FeatureReader:
    return FeatureReader(source(times=times), str(folder))


def by_loop(times, rows, start, end, overlap: str) -> np.ndarray:
    """An independent reference: frame by frame, segment by segment."""
    out = np.full((len(times), rows.shape[1]), np.nan)
    for f, time in enumerate(times):
        covering = [s for s in range(len(rows)) if start[s] <= time < end[s] and not np.isnan(rows[s]).any()]
        if covering and overlap == "mean":
            out[f] = np.mean([rows[s].astype(float) for s in covering], axis=0)
        elif covering:
            out[f] = rows[min(covering, key=lambda s: (abs(time - (start[s] + end[s]) / 2), s))]
    return out


@pytest.mark.parametrize("ending", ["npz", "safetensors", "parquet", "npy"])
@pytest.mark.parametrize("overlap", ["mean", "nearest"])
def test_every_kind_of_file_gives_what_a_loop_gives(tmp_path: Path, ending: str, overlap: str) -> None:
    reader = opened(folder_of(tmp_path, ending, overlap=overlap))
    expected = by_loop(TIMES, ROWS, START, END, overlap)
    np.testing.assert_allclose(reader.rows, expected, rtol=1e-6)
    hole = (TIMES >= 7) & (TIMES < 8)
    assert hole.sum() == 5
    np.testing.assert_array_equal(reader.present(), ~hole)
    assert not reader.vectors()[hole].any()


@pytest.mark.parametrize("overlap", ["mean", "nearest"])
def test_random_segments_are_as_by_a_loop(overlap: str) -> None:
    random = np.random.default_rng(3)
    times = np.sort(random.uniform(0, 60, 400))
    start = np.sort(random.uniform(0, 55, 40))
    end = np.minimum(start + random.uniform(0.1, 6, 40), 60)
    rows = random.standard_normal((40, 3)).astype(np.float32)
    rows[7, 1] = np.nan  # covers no frame
    found = Segments(Path("x"), rows, start, end).at(times, overlap)
    np.testing.assert_allclose(found, by_loop(times, rows, start, end, overlap), rtol=1e-5, atol=1e-6)
    constant = Segments(Path("x"), np.ones_like(rows), start, end).at(times, overlap)
    assert set(np.unique(constant[~np.isnan(constant)])) == {1.0}  # the weights of a frame add to 1


@pytest.mark.parametrize(
    ("times", "row", "words"),
    [
        ({"start": [0, 2, 4, 6.5], "end": [4, 6, 7, 10.6]}, 4, ["clip_left ends at 10 s", "cut the last segment"]),
        ({"start": [0, 2, 4, 10.1], "end": [4, 6, 7, 10.2]}, 4, ["ends at 10 s"]),
        ({"start": [0, 2, 6, 8], "end": [4, 6, 6, 10]}, 3, ["start = 6, end = 6", "start must be before end"]),
        ({"start": [0, 2, np.nan, 8]}, 3, ["must be numbers"]),
        ({"end": [4, np.inf, 7, 10]}, 2, ["must be numbers"]),
        ({"start": [0, 4, 2, 8], "end": [4, 7, 6, 10]}, 3, ["sorted by start"]),
        ({"start": [-2, 2, 4, 8]}, 1, ["before the video"]),
        ({"start": START * 1000, "end": END * 1000}, 1, ["these look like milliseconds: write seconds"]),
        ({"start": START * 5, "end": END * 5}, 1, ["these look like frame numbers: write seconds"]),
    ],
)
def test_a_wrong_segment_is_named_with_file_and_row(tmp_path: Path, times: dict, row: int, words: list[str]) -> None:
    reader = opened(folder_of(tmp_path, **times))
    with refused("plugin-error") as caught:
        reader.present()
    said = str(caught.value)
    assert all(word in said for word in [f"clip_left.npz, row {row}: start = ", *words]), said
    assert "\n" not in said


def test_the_end_may_be_half_a_second_late(tmp_path: Path) -> None:
    assert opened(folder_of(tmp_path, end=[4, 6, 7, 10.5])).present()[-1]


def test_times_that_are_missing_or_of_another_form_are_named(tmp_path: Path) -> None:
    write(manifest(tmp_path, width=3, rate="segment"), "npz")
    with refused("plugin-error", match=r"clip_left\.npz: .*needs the arrays start and end, in seconds; it holds x"):
        opened(tmp_path).present()
    (tmp_path / "clip_left.npz").unlink()
    write(tmp_path, "npy")
    with refused("plugin-error", match=r"clip_left\.npy has the shape \(6, 3\); .* 2 \+ 3 columns"):
        opened(tmp_path).present()
    (tmp_path / "clip_left.npy").unlink()
    write(tmp_path, "parquet")
    with refused("plugin-error", match=r"needs the columns start and end"):
        opened(tmp_path).present()
    (tmp_path / "clip_left.parquet").unlink()
    folder_of(tmp_path, end=END[:3])
    with refused("plugin-error", match=r"end holds float64 of shape \(3,\); .* each of the 4 rows"):
        opened(tmp_path).present()
    folder_of(tmp_path, start=["a", "b", "c", "d"])
    with refused("plugin-error", match=r"start holds <U1"):
        opened(tmp_path).present()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": "segments"}, 'or "segment"'),
        ({"rate": "segment", "start": 1.0}, "every row has its start in the file"),
        ({"rate": "segment", "overlap": "max"}, 'overlap = \'max\' must be "mean" or "nearest"'),
        ({"rate": "frame", "overlap": "mean"}, 'overlap goes with rate = "segment"'),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path: Path, values: dict, message: str) -> None:
    with refused("plugin-error", match=message):
        ReadyFeatures("face", str(manifest(tmp_path, **values)))


def test_the_fingerprint_follows_times_and_overlap(tmp_path: Path) -> None:
    seen = {opened(folder_of(tmp_path)).fingerprint()}
    seen.add(opened(tmp_path, times=TIMES * 1.001).fingerprint())
    seen.add(opened(folder_of(tmp_path, overlap="nearest")).fingerprint())
    seen.add(opened(folder_of(tmp_path, end=END - 0.1)).fingerprint())
    assert len(seen) == 4


def test_a_run_says_how_many_frames_lie_in_no_segment(program, tmp_path: Path, monkeypatch) -> None:
    """One segment covers the first half second of every video; the others' frames are absent, said and counted."""
    monkeypatch.chdir(tmp_path)
    folder = manifest(tmp_path / "vlm", width=4, rate="segment")
    for path in (program.demo / "cropped_aligned").iterdir():
        np.savez(folder / f"{path.name}.npz", features=np.ones((1, 4)), start=np.zeros(1), end=np.full(1, 0.5))
    run = program.run(tmp_path, "x", "--encoders", "face=features:vlm", "--epochs", 1)
    tables = [pd.read_parquet(run / "predictions" / f"{split}.parquet") for split in ("val", "test")]
    seen = pd.concat(tables)
    np.testing.assert_array_equal(seen["present_face"], seen["time"] < 0.5 - 1e-6)
    again = program("run", "--data", program.demo, "--out", "again", "--encoders", "face=features:vlm", "--epochs", 1)
    said = re.search(r"branch face: (\d+) of (\d+) frames, in (\d+) of 10 videos, have no features: absent", again.out)
    assert said is not None
    assert int((~seen["present_face"]).sum()) < int(said[1]) < int(said[2])
    assert json.loads((run / "record.json").read_text())["result"]["passports"][0]["rate"] == "segment"
