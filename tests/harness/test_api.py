"""``import harness``: light, and its documented examples run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import harness
from harness.api.arguments import joined, paths
from tests.support.media import write_click_video
from tests.support.refusals import refused
from zoo.errors import UserError

HEAVY = ("torch", "pandas", "numpy", "cv2", "timm", "av")
RUN = ("--encoders", "frame,audio", "--fusion", "late", "--epochs", 1, "--head", "gru")


def test_importing_is_light() -> None:
    code = f"import sys, harness; dir(harness); assert not {{*{HEAVY}}} & {{*sys.modules}}, sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = harness.nonsense


def test_all_that_is_promised_is_there() -> None:
    assert {"load", "run", "predict", "encoders", "evaluate", "sweep", "compare", "Run"} == set(harness.__all__)
    assert all(callable(getattr(harness, name)) for name in harness.__all__)


def test_encoders_are_listed() -> None:
    every, heard = harness.encoders(), harness.encoders("audio")
    assert list(every.columns) == ["name", "streams", "summary", "package"]
    assert {"lite0", "melcnn"} <= set(every["name"])
    assert "melcnn" in set(heard["name"])
    assert "lite0" not in set(heard["name"])
    assert {"fer", "melcnn"} <= set(harness.encoders(["face", "audio"])["name"])
    assert {"fer", "lite0", "features"} <= set(harness.encoders("face")["name"])
    assert "melcnn" not in set(harness.encoders("face")["name"])


def test_errors_are_those_of_the_commands(tmp_path: Path) -> None:
    for call, code in (
        (lambda: harness.load(tmp_path), "run-not-a-run"),
        (lambda: harness.predict(tmp_path / "none.mp4"), "predict-no-file"),
        (lambda: harness.predict(tmp_path), "predict-folder-empty"),
        (lambda: harness.predict(__file__), "predict-not-readable"),
        (lambda: harness.compare(tmp_path), "record-invalid"),
        (lambda: harness.compare([]), "compare-too-few"),
        (lambda: harness.run(recipe=tmp_path / "nope.toml"), "recipe-unknown"),
        (lambda: harness.run(settings=["seed=1"]), "settings-no-mapping"),  # type: ignore[arg-type]
        (lambda: harness.sweep("face", settings={1: 2}), "settings-no-mapping"),  # type: ignore[dict-item]
        (lambda: harness.run(encoders="face", settings={"devices": 2}), "api-devices"),
        (lambda: harness.sweep("face", settings={"nodes": 2}), "api-devices"),
    ):
        with pytest.raises(UserError) as error:
            call()
        assert error.value.code == code


@pytest.fixture(scope="module")
def run(program):  # type: ignore[no-untyped-def]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ABAW_ZOO_CACHE", str(program.cache))
        yield harness.load(program.kept("--track", "expr", *RUN))


def test_what_a_finished_run_tells(run: harness.Run) -> None:
    assert list(run.scores.index) == list(run.record.scores)
    assert list(run.scores.columns) == ["main", "low", "high"]
    assert run.scores.loc["raw", "main"] == run.record.scores["raw"]["main"]
    assert run.settings["encoders"] == "frame=lite0,audio=melcnn"
    table = run.predictions()
    counts = run.confusion()
    assert counts.to_numpy().sum() == table["expression_true"].notna().sum()
    assert list(counts.index) == list(counts.columns)
    with refused("confusion-no-labels", split="test"):
        run.confusion("test")
    same = harness.compare(run, run.folder)
    pd.testing.assert_frame_equal(harness.compare([run, run.folder]), same)
    assert (same["difference"] == 0).all()


def test_a_video_its_overlay_and_frames_as_they_come(run: harness.Run, tmp_path: Path) -> None:
    video = tmp_path / "me.mp4"
    times = write_click_video(video, n_frames=40)
    table = run.predict(video)
    assert isinstance(table, pd.DataFrame)
    np.testing.assert_allclose(table["time"], times, atol=1e-4)
    assert list(table.columns[:9]) == ["video", "frame", "time", "person", "x0", "y0", "x1", "y1", "score"]
    pd.testing.assert_frame_equal(table, harness.predict(video, model=run.folder))

    predictor = run.predictor(rate=25)
    predictor.hear(np.zeros(16_000, np.float32))
    rows = [predictor(np.full((64, 96, 3), shade, np.uint8)) for shade in range(0, 200, 20)]
    assert set(table.columns) - set(rows[0]) == {"video", "frame", "person"}
    assert [row["time"] for row in rows] == pytest.approx(np.arange(10) / 25)
    assert sum(value for name, value in rows[-1].items() if name.startswith("p_")) == pytest.approx(1, abs=1e-4)
    assert all(row["present_frame"] and row["present_audio"] for row in rows)
    with pytest.raises(UserError) as error:
        predictor(np.zeros((3, 64, 96), np.uint8))
    assert error.value.code == "predictor-frame"
    with pytest.raises(UserError) as error:
        predictor.hear(np.zeros(10), 44_100)
    assert error.value.code == "predictor-sound-rate"


def test_one_name_or_several(program) -> None:  # type: ignore[no-untyped-def]
    for names in ("face,audio", ["face", "audio"], ("face", "audio")):
        assert joined(names) == "face,audio"
    assert joined(["face", "face,audio"], ";") == joined("face;face,audio", ";")
    for given in ("~/p.py", Path("~/p.py"), ["~/p.py"]):
        assert paths(given) == [Path("~/p.py").expanduser()]
    assert paths(()) == []
    for call in (
        lambda: harness.run(encoders=["face", "nonsense"], data=program.demo),
        lambda: harness.sweep("nonsense", data=program.demo),
    ):
        with pytest.raises(UserError, match="nonsense"):
            call()


def test_paths_may_begin_at_home(program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    with refused("run-name-taken", file=tmp_path / "runs" / "taken"):
        harness.run(data=program.demo, out="~/runs", name="taken")
    with refused("record-invalid", match=str(tmp_path)):
        harness.compare("~/runs/taken", tmp_path)


def test_one_file_is_predicted(run: harness.Run, tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "b.mp4"):
        (tmp_path / name).write_bytes(b"x")
    for named in (tmp_path, 0, "0", [tmp_path / "a.mp4"], None):
        for call in (run.predict, harness.predict):
            with refused("predict-one-file"):
                call(named)  # type: ignore[operator]
    with refused("predict-run-settings", model=run.folder, got="encoder.frame.size=3"):
        write_click_video(tmp_path / "c.mp4", n_frames=3, click_frame=None)
        harness.predict(tmp_path / "c.mp4", model=run, settings={"encoder.frame.size": 3})


def test_tables_are_scored(run: harness.Run) -> None:
    table = run.predictions()
    scores = harness.evaluate(table, track="expr")
    assert scores["main"] == pytest.approx(run.scores.loc["post", "main"], abs=1e-9)
    keys = ["video", "frame"]
    labels = table[[*keys, "expression_true"]].rename(columns={"expression_true": "expression"})
    apart = harness.evaluate(table.drop(columns="expression_true"), labels=labels, track="expr", edition="abaw10")
    pd.testing.assert_series_equal(apart, scores)
    with refused("labels-column-missing", file="predictions"):
        harness.evaluate(table.drop(columns="expression_true"), track="expr")


@pytest.mark.slow
def test_without_a_model_the_recipes_ready_one_predicts(real: Path) -> None:
    table = harness.predict(sorted((real / "videos").glob("01-*.mp4"))[0])
    chances = table[[name for name in table if name.startswith("p_")]]
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-5)
    assert {"p_Anger", "p_Happiness", "p_Neutral"} <= set(chances)
    assert table["present_face"].mean() > 0.9
    assert (table["x1"] > table["x0"]).mean() > 0.9


def test_a_sweep_without_a_finished_training_is_an_error(  # type: ignore[no-untyped-def]
    program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.sweeps.launch.train_all", lambda entries, *_: entries)
    with refused("sweep-all-failed"):
        harness.sweep(["frame"], head=["mlp"], data=program.demo, out=tmp_path)


@pytest.mark.slow
def test_training_and_sweeping(program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    quick = {"train.epochs": 1, "train.clip": 16}
    made = harness.run(encoders="face", data=program.demo, track="expr", settings=quick, out=tmp_path, name="a")
    assert made.folder == tmp_path / "a"
    assert made.settings["train"]["epochs"] == 1
    table = harness.sweep(
        ["face"], head=["gru", "mlp"], data=program.demo, track="expr", settings=quick, out=tmp_path, jobs=1
    )
    assert sorted(table["head"]) == ["gru", "mlp"]
    assert table["main"].is_monotonic_decreasing
