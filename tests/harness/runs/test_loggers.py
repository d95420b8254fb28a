"""`harness run --logger`: curves, settings, pictures and the record, in files of their own; a logger that fails."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from harness.training.loggers import Loggers
from plugins.loggers.csv_files import CsvFiles
from plugins.loggers.tensorboard import TensorBoard
from tests.support.program import read_record
from zoo.api import LoggerSpec
from zoo.registry.plan import Block

RUN = ("--encoders", "face", "--head", "gru", "--track", "va", "--epochs", 2)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def column_of(rows: list[dict[str, str]], name: str) -> list[float]:
    return [float(row[name]) for row in rows if row[name]]


def test_files_have_the_curves_settings_and_pictures(program, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    run = program.run(tmp_path, "r", *RUN, "--logger", "csv,tensorboard")
    found: dict[str, list[float]] = {}
    for row in table(run / "logged" / "scalars.csv"):
        found.setdefault(row["name"], []).append(float(row["value"]))
    history = table(run / "history.csv")
    for name, column in {
        "loss/epoch": "loss", "score/val": "val", "lr": "lr", "score/ccc_valence": "val_ccc_valence"
    }.items():  # fmt: skip
        assert found[name] == column_of(history, column)
    steps = {int(row["step"]) for row in table(run / "logged" / "scalars.csv")}
    assert steps == set(range(1, int(history[-1]["step"]) + 1))
    settings = {row["name"]: row["value"] for row in table(run / "logged" / "settings.csv")}
    assert settings["train.epochs"] == "2"
    assert settings["encoders"] == "face=lite0"
    assert list((run / "events").iterdir())
    if importlib.util.find_spec("matplotlib"):
        names = {path.stem for path in (run / "logged" / "figures").glob("*.png")}
        assert {"scores", "training-loss", "density-valence"} <= names


def test_a_run_is_the_same_whatever_notes_it(program, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    usual = program.kept(*RUN)
    other = program.run(tmp_path, "r", *RUN, "--logger", "csv")
    assert not (other / "events").exists()
    assert "logger" not in read_record(usual)["result"]["config"]
    assert read_record(other)["result"] == read_record(usual)["result"]


def test_what_is_refused_before_there_is_a_folder(program, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    line = ("run", "--data", program.demo, "--out", tmp_path / "runs", *RUN)
    assert program(*line, "--logger", "tensorbord").code == 2
    assert "did you mean" in program(*line, "--logger", "tensorbord").err
    program(*line, "--set", "logger.mlflow.uri=x").refused("logger-not-chosen", key="mlflow.uri")
    program(*line, "--set", "logger.tensorboard.pages=1").refused("option-unknown", name="pages")
    assert not (tmp_path / "runs").exists()


FAILS = """
from zoo import api

class Fails:
    def __init__(self, folder, step):
        self.calls = 0
    def settings(self, values):
        pass
    def scalars(self, values, step):
        self.calls += 1
        if self.calls == 3:
            raise OSError("no room on the board")
    figure = record = lambda self, *given: None
    def close(self):
        raise SystemError("closed twice")

@api.hookimpl
def loggers():
    return [api.LoggerSpec("fails", Fails, "Fails.")]
"""


def test_one_that_fails_warns_once_and_the_run_is_whole(program, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "fails.py").write_text(FAILS)
    loggers = ("--plugin", tmp_path / "fails.py", "--logger", "fails", "--logger", "csv")
    answer = program("run", "--data", program.demo, "--out", tmp_path / "runs", "--name", "r", *RUN, *loggers)
    assert answer.code == 0, answer.err
    said = [line for line in answer.err.splitlines() if "logger fails" in line]
    assert "OSError: no room on the board" in said[0]
    assert len(said) == 2, "once in the training, once for the record"
    assert read_record(tmp_path / "runs" / "r")["status"] == "done"
    rows = table(tmp_path / "runs" / "r" / "logged" / "scalars.csv")
    assert [row["name"] for row in rows].count("loss/epoch") == 2


NOTES = """
from zoo import api

class Notes:
    pictures = False
    def __init__(self, folder, step):
        self.path = folder / "notes.txt"
        self.note(f"built {step}")
    def note(self, line):
        with self.path.open("a") as file:
            file.write(line + "\\n")
    def settings(self, values):
        self.note(f"seed {values['seed']}")
    def scalars(self, values, step):
        pass
    def figure(self, name, path):
        self.note("figure")
    def record(self, content):
        self.note(content["status"])
    def close(self):
        self.note("closed")

@api.hookimpl
def loggers():
    return [api.LoggerSpec("notes", Notes, "Notes.")]
"""


def test_every_seed_has_its_settings_and_record(program, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "notes.py").write_text(NOTES)
    run = program.run(tmp_path, "r", *RUN, "--seeds", 2, "--plugin", tmp_path / "notes.py", "--logger", "notes")
    for seed in (0, 1):
        steps = read_record(run / f"seed-{seed}")["result"]["steps"]
        lines = (run / f"seed-{seed}" / "notes.txt").read_text().split("\n")
        assert lines == ["built 0", f"seed {seed}", "closed", f"built {steps + 1}", "done", "closed", ""]
    assert (run / "notes.txt").read_text().split("\n")[1:] == ["done", "closed", ""]
    assert "notes.py" in read_record(run)["result"]["plugins"][0]


def test_one_that_cannot_be_built_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(folder: Path, step: int) -> None:
        raise RuntimeError("no <b>server</b>\nat all")

    found = Loggers([Block(LoggerSpec("b", broken), {}), Block(LoggerSpec("c", CsvFiles), {})], tmp_path, 0)
    found.scalars({"loss/epoch": 1.0}, 1)
    found.close()
    assert capsys.readouterr().err.count("\n") == 1
    assert table(tmp_path / "logged" / "scalars.csv") == [{"step": "1", "name": "loss/epoch", "value": "1.0"}]


def test_rows_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    one = CsvFiles(tmp_path, 0)
    for step in range(1, 6):
        one.scalars({"loss/epoch": -step / 3}, step)
    one.close()
    path = tmp_path / "logged" / "scalars.csv"
    path.write_bytes(path.read_bytes()[:-4])  # cut short by a kill
    two = CsvFiles(tmp_path, 3)
    two.scalars({"loss/epoch": 9.0}, 4)
    two.close()
    assert [(row["step"], float(row["value"])) for row in table(path)] == [
        ("1", -1 / 3),
        ("2", -2 / 3),
        ("3", -1.0),
        ("4", 9.0),
    ]
    CsvFiles(tmp_path, 0).close()
    assert table(path) == []


@pytest.mark.slow
def test_mlflow_has_a_run_in_a_local_file(program, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    tracking = pytest.importorskip("mlflow.tracking", reason="extra mlflow is not installed")
    pytest.importorskip("sqlalchemy")
    run = program.run(tmp_path / "runs", "r", *RUN, "--logger", "mlflow")
    assert (tmp_path / "runs" / "mlflow.db").is_file()
    client = tracking.MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("abaw-zoo").experiment_id])
    assert (found.info.run_name, found.info.status) == ("r", "FINISHED")
    history = table(run / "history.csv")
    curve = client.get_metric_history(found.info.run_id, "score/ccc_valence")
    assert [point.value for point in curve] == column_of(history, "val_ccc_valence")
    assert found.data.params["train.epochs"] == "2"
    record = Path(found.info.artifact_uri.removeprefix("file://")) / "record.json"
    assert json.loads(record.read_text())["result"] == read_record(run)["result"]


def test_tensorboard_shows_the_pictures_of_the_report(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    one = TensorBoard(tmp_path, 0, figures=True)
    shown = np.full((4, 6, 3), (255, 0, 10), np.uint8)  # RGB
    cv2.imwrite(str(tmp_path / "scores.png"), shown[..., ::-1])
    one.figure("scores", tmp_path / "scores.png")
    (tmp_path / "none.png").write_text("no picture")
    with pytest.raises(OSError, match=r"none\.png: cannot be read"):
        one.figure("none", tmp_path / "none.png")
    one.close()
    read = accumulator.EventAccumulator(str(tmp_path / "events")).Reload()
    assert read.Tags()["images"] == ["report/scores"]
    (image,) = read.Images("report/scores")
    found = cv2.imdecode(np.frombuffer(image.encoded_image_string, np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(found, shown)


@pytest.mark.slow
def test_mlflow_writes_many_values_before_the_end(tmp_path: Path) -> None:
    pytest.importorskip("mlflow.tracking", reason="extra mlflow is not installed")
    pytest.importorskip("sqlalchemy")
    from plugins.loggers.mlflow_store import BATCH, MlflowStore

    (tmp_path / "r").mkdir()
    one = MlflowStore(tmp_path / "r", 0)
    for step in range(BATCH + 3):
        one.scalars({"loss": float(step)}, step)
    assert len(one.waiting) == 3
    curve = one.client.get_metric_history(one.run, "loss")
    assert sorted(point.value for point in curve) == [float(step) for step in range(BATCH)]
