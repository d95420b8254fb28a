"""Features that somebody else extracted: four kinds of files, two kinds of rates, and what can be wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from safetensors.numpy import save_file

from plugins.encoders._feature_manifest import read_manifest
from plugins.encoders._run_predictions import RunPredictions
from plugins.encoders.ready_features import FeatureReader, ReadyFeatures, between
from tests.support.refusals import refused
from zoo.readers import Source

N, WIDTH = 6, 3
ROWS = np.arange(N * WIDTH, dtype=np.float32).reshape(N, WIDTH)


def source(video: str = "clip_left", n: int = N, times=None) -> Source:
    seconds = np.arange(n) / 25 if times is None else np.asarray(times)
    return Source(video, Path(), len(seconds), lambda: seconds)


def manifest(folder: Path, **values: object) -> Path:
    """A manifest with these keys over the least that is wanted; None leaves one out."""
    folder.mkdir(exist_ok=True)
    keys = {"name": "numbers", "width": WIDTH, "rate": "frame", **values}
    texts = {key: json.dumps(value) for key, value in keys.items() if value is not None}
    lines = [f"{key} = {text.replace('Infinity', 'inf').replace('NaN', 'nan')}" for key, text in texts.items()]
    (folder / "features.toml").write_text("\n".join(lines))
    return folder


def write(folder: Path, ending: str, array: np.ndarray = ROWS, video: str = "clip_left", key: str = "x") -> Path:
    path = folder / f"{video}.{ending}"
    if ending == "npy":
        np.save(path, array)
    elif ending == "npz":
        np.savez(path, **{key: array})
    elif ending == "safetensors":
        save_file({key: array}, path)
    else:
        pd.DataFrame(array, columns=[f"f{i}" for i in range(array.shape[1])]).to_parquet(path)
    return path


def open_on(folder: Path, *args, **options) -> FeatureReader:
    return FeatureReader(source(*args, **options), str(folder))


# --- files --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["npy", "npz", "parquet", "safetensors"])
@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "int16"])
def test_every_kind_of_file_is_read(tmp_path, ending, kind):
    write(manifest(tmp_path), ending, ROWS.astype(kind))
    reader = open_on(tmp_path)
    assert reader.vectors().dtype == np.float32
    np.testing.assert_array_equal(reader.vectors(), ROWS)
    assert reader.present().all()


def test_a_pattern_and_a_key_choose(tmp_path):
    (manifest(tmp_path, file="deep/f_{video}.npz", key="b") / "deep").mkdir()
    np.savez(tmp_path / "deep" / "f_clip_left.npz", a=ROWS, b=ROWS + 1)
    np.testing.assert_array_equal(open_on(tmp_path).vectors(), ROWS + 1)


def test_rows_with_nan_are_absent_frames(tmp_path):
    array = ROWS.copy()
    array[2, 1] = np.nan
    write(manifest(tmp_path), "npy", array)
    reader = open_on(tmp_path)
    assert reader.present().tolist() == [True, True, False, True, True, True]
    assert reader.vectors()[2].tolist() == [0, 0, 0]


@pytest.mark.parametrize(("frames", "expected"), [(5, ROWS[:5]), (7, np.concatenate([ROWS, ROWS[-1:]]))])
def test_one_row_more_or_fewer_is_admitted(tmp_path, frames, expected):
    write(manifest(tmp_path), "npy")
    np.testing.assert_array_equal(open_on(tmp_path, n=frames).vectors(), expected)


def test_the_fingerprint_follows_content_manifest_and_times(tmp_path):
    write(manifest(tmp_path), "npy")
    seen = [open_on(tmp_path).fingerprint()]
    assert open_on(tmp_path, times=np.arange(N) / 10).fingerprint() == seen[0]  # a row a frame: times do not matter
    write(tmp_path, "npy", ROWS + 1)
    seen.append(open_on(tmp_path).fingerprint())
    manifest(tmp_path, name="other numbers")
    seen.append(open_on(tmp_path).fingerprint())
    manifest(tmp_path, rate=25)
    seen += [open_on(tmp_path, times=np.arange(N) / rate).fingerprint() for rate in (25, 10)]
    assert len(set(seen)) == 5


# --- rows by the second -------------------------------------------------------------------------------------------------


def test_rows_by_the_second_are_read_at_frames_times(tmp_path):
    """10 Hz from 0.1 s: the frames of a variable rate lie between rows; half a row outside the nearer one counts."""
    write(manifest(tmp_path, rate=10.0, start=0.1), "npy")
    times = [0.0, 0.04, 0.06, 0.1, 0.13, 0.375, 0.6, 0.64, 0.66, 2.0]
    reader = open_on(tmp_path, times=times)
    assert reader.present().tolist() == [False, False, True, True, True, True, True, True, False, False]
    seen = np.array(times)[2:8]
    expected = np.stack([np.interp(seen, 0.1 + np.arange(N) / 10, ROWS[:, i]) for i in range(WIDTH)], 1)
    np.testing.assert_allclose(reader.vectors()[2:8], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("rate", "start", "rows"),
    [(5, 0.0, 3000), (25, 0.0, 20), (5, 0.0, 3), (5, 0.0, 0), (25, -5.0, 100), (25, 4.5, 100)],
)
def test_rows_that_cannot_be_the_videos_are_refused(tmp_path, rate, start, rows):
    """The video lasts 4 s."""
    write(manifest(tmp_path, rate=rate, start=start), "npy", np.zeros((rows, WIDTH)))
    with refused(
        "plugin-error", match=rf"clip_left\.npy has {rows} rows, .* the video lasts 4 s: correct rate or start"
    ):
        open_on(tmp_path, n=100).present()


@pytest.mark.parametrize(("rate", "start", "rows"), [(0.5, 2.0, 1), (25, 0.0, 125), (25, 1.0, 50), (1, 0.0, 5)])
def test_rows_may_begin_later_and_end_elsewhere_than_the_video(tmp_path, rate, start, rows):
    write(manifest(tmp_path, rate=rate, start=start), "npy", np.zeros((rows, WIDTH)))
    assert open_on(tmp_path, n=100).present().any()


def test_next_to_an_absent_row_the_nearer_counts():
    rows = np.array([[1.0], [np.nan], [3.0]], np.float32)
    got = between(rows, np.array([0.0, 0.4, 0.6, 1.0, 1.6, 2.0]))[:, 0]
    np.testing.assert_array_equal(got, [1, 1, np.nan, np.nan, 3, 3])
    assert np.isnan(between(rows[:0], np.array([0.0, 1.0]))).all()


# --- what is wrong ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (ROWS[:4], ["clip_left.npy has 4 rows", "has 6 frames"]),
        (np.concatenate([ROWS, ROWS]), ["12 rows", "6 frames"]),
        (ROWS[:0], ["0 rows"]),
        (np.zeros((N, 4)), ["clip_left.npy has 4 numbers a row", "width = 3"]),
        (np.zeros(N), ["float64 of shape (6,)", "rows of 3 numbers"]),
        (np.full((N, WIDTH), "a"), ["clip_left.npy holds <U1"]),
        (np.full((N, WIDTH), None), ["clip_left.npy cannot be read", "allow_pickle=False"]),
        (ROWS + np.inf, ["row 1 holds an infinite number"]),
        (np.where(ROWS == 4, 1e300, ROWS.astype(float)), ["row 2 holds an infinite number, or one too large"]),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path, array, words):
    write(manifest(tmp_path), "npy", array)
    with refused("plugin-error") as caught:
        open_on(tmp_path).present()
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize("ending", ["npy", "npz", "parquet", "safetensors"])
def test_a_damaged_file_is_named(tmp_path, ending):
    path = manifest(tmp_path) / f"clip_left.{ending}"
    path.write_bytes(b"no such thing")
    with refused("plugin-error", match=str(path)):
        open_on(tmp_path).present()


def test_two_columns_of_one_name_are_named(tmp_path):
    table = pyarrow.table([pyarrow.array([0.0] * N)] * WIDTH, names=["a", "b", "a"])
    pyarrow.parquet.write_table(table, manifest(tmp_path) / "clip_left.parquet")
    with refused("plugin-error", match=r"clip_left\.parquet has two columns named 'a'"):
        open_on(tmp_path).present()


def test_several_arrays_want_a_key(tmp_path):
    np.savez(manifest(tmp_path) / "clip_left.npz", a=ROWS, b=ROWS)
    with refused("plugin-error", match="arrays a, b.* key"):
        open_on(tmp_path).present()
    manifest(tmp_path, key="c")
    with refused("plugin-error", match="'c'"):
        open_on(tmp_path).present()


def test_a_missing_file_is_an_error_unless_the_manifest_admits_it(tmp_path):
    manifest(tmp_path)
    with refused("plugin-error", match=r"video clip_left: .*clip_left\.npy, .*missing = "):
        open_on(tmp_path)
    reader = open_on(manifest(tmp_path, missing="absent"))
    assert not reader.present().any()
    assert reader.vectors().shape == (N, WIDTH)
    assert reader.fingerprint()


def test_two_files_of_a_video_are_named(tmp_path):
    write(manifest(tmp_path), "npy")
    write(tmp_path, "npz")
    with refused("plugin-error", match=r"clip_left\.npy and clip_left\.npz"):
        open_on(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": None}, "width must be given"),
        ({"name": None, "rate": None}, "name and rate must be given"),
        ({"width": "3"}, "width = '3' must be a whole number"),
        ({"width": 0}, "at least 1"),
        ({"rate": "fps"}, r"rate = 'fps' must be \"frame\""),
        ({"rate": 0}, "above 0"),
        ({"rate": True}, "rate = True must be text or a whole number or a number"),
        ({"rate": 10**400}, "above 0"),
        ({"rate": 5, "start": float("inf")}, "start = inf must be seconds"),
        ({"rate": 5, "start": float("nan")}, "start = nan must be seconds"),
        ({"start": 1.0}, "start goes with rows by the second"),
        ({"trained_on": "AffectNet"}, "trained_on = 'AffectNet' must be a list"),
        ({"trained_on": [1]}, "must be a list"),
        ({"missing": "skip"}, "missing = 'skip'"),
        ({"file": "features.npy"}, "must hold {video}"),
        ({"file": "../{video}.npy"}, "must lie in the folder of features.toml"),
        ({"file": "{video}.mat"}, r"end in \.npy"),
        ({"rates": 25}, "unknown key 'rates': did you mean 'rate'"),
    ],
)
def test_a_wrong_manifest_says_what_to_write(tmp_path, values, message):
    manifest(tmp_path, **values)
    with refused("plugin-error", match=message.replace("{video}", r"\{video\}")):
        ReadyFeatures("face", str(tmp_path))


def test_no_folder_no_manifest_no_toml(tmp_path):
    with refused("plugin-error", match="face=features:DIR"):
        ReadyFeatures("face", None)
    with refused("plugin-error", match="nowhere: there is no such folder"):
        ReadyFeatures("face", str(tmp_path / "nowhere"))
    with refused("plugin-error", match=r"has no features\.toml"):
        ReadyFeatures("face", str(tmp_path))
    (tmp_path / "features.toml").write_text("width = ")
    with refused("plugin-error", match=r"features\.toml: Invalid value"):
        ReadyFeatures("face", str(tmp_path))


# --- a whole run --------------------------------------------------------------------------------------------------------


def test_a_run_trains_on_them_and_its_record_says_what_they_are(program, tmp_path, monkeypatch):
    """Random rows for two streams of a crumb set; then one file is cut short, and the run ends before training."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name, values in (("by_frame", {"trained_on": ["Aff-Wild2"], "license": "none"}), ("by_second", {"rate": 50})):
        folder = manifest(tmp_path / name, width=5, **values)
        for crops in (program.demo / "cropped_aligned").iterdir():
            write(folder, "npy", random.standard_normal((24 if name == "by_frame" else 60, 5)), crops.name)

    def run(name: str, *more: str):
        encoders = "face=features:by_frame,audio=features:by_second"
        given = ("--data", program.demo, "--encoders", encoders, "--epochs", 1, "--out", "runs", "--name", name)
        return program("run", *given, *more)

    good = run("good")
    assert good.code == 0, good.err
    passports = json.loads(Path("runs/good/record.json").read_text())["result"]["passports"]
    face, audio = sorted(passports, key=lambda p: p["rate"] != "frame")
    assert (face["slot"], face["saw"], face["license"], face["width"]) == ("face", ["Aff-Wild2"], "none", 5)
    assert (audio["slot"], audio["rate"], len(audio["sha256"])) == ("audio", 50, 64)
    tuned = run("tuned", "--finetune", "face")
    assert tuned.code == 2
    assert "no trainable parameters" in tuned.err
    short = next(Path("by_frame").glob("*.npy"))
    np.save(short, np.zeros((9, 5)))
    answer = run("short")
    assert answer.code == 2
    assert f"{short} has 9 rows, but the video {short.stem} has 24 frames" in answer.err
    assert not Path("runs/short/history.csv").exists()


def test_an_older_key_works_with_a_warning(tmp_path):
    manifest(tmp_path, saw=["AffectNet"])
    with pytest.warns(UserWarning, match="'saw' is now called 'trained_on'"):
        assert read_manifest(tmp_path).trained_on == ("AffectNet",)


def test_a_run_without_predictions_of_folds_is_no_source(tmp_path):
    (tmp_path / "predictions").mkdir()
    (tmp_path / "record.json").write_text("{}")
    (tmp_path / "predictions" / "cv0.post.parquet").write_bytes(b"")
    with refused("plugin-error", match="no predictions of folds; train it with --folds"):
        RunPredictions(tmp_path)
