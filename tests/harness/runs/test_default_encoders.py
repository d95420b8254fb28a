"""The encoder of a branch that is named without one: the recipe's in a new run, the stream's default in an old one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import harness
from harness.analysis.reproduce import Paths, _config
from harness.config.recipe import recipe_of, with_encoders
from harness.config.schema import load_config
from harness.runs.folder import saved_config
from harness.runs.job import make_job, with_names
from harness.runs.multi_run import write_config
from harness.runs.run import run as train
from leaderboards.record import Record, digest, read
from tests.support.media import write_click_video
from tests.support.program import Program, read_record
from zoo.registry.plan import named_encoders
from zoo.registry.registry import load

BARE, NAMED = "frame,audio", "frame=lite0,audio=melcnn"
HOW = ("--track", "expr", "--encoders", BARE, "--fusion", "late", "--epochs", 1, "--head", "gru")


@pytest.mark.parametrize(
    ("recipe", "encoders"),
    [
        ("demo", "face=lite0,audio=melcnn,face.b=timm:resnet18"),
        (
            "default",
            "face=fer,audio=resemblyzer,face.b=timm:resnet18",
        ),
        (None, "face,audio,face.b=timm:resnet18"),
    ],
)
def test_a_recipe_names_them(recipe: str | None, encoders: str) -> None:
    assert load_config(recipe, {"encoders": "face,audio,face.b=timm:resnet18"}, []).encoders == encoders


def test_without_encoders_and_by_set() -> None:
    assert load_config("default", {}, []).encoders == "face=fer,context=lite0"
    assert load_config("default", {}, ["encoders=face"]).encoders == "face=fer"
    assert load_config("ntua-cvsp-2021", {"encoders": "face"}, []).encoders == "face", "it has no defaults of its own"


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('encoders = "face,face.b=fer,mouth"\n[default_encoders]\nface = "timm:resnet18"\n')
    config = load_config(str(path), {}, [])
    assert config.encoders == "face=timm:resnet18,face.b=fer,mouth"
    assert "default_encoders" not in config.toml()


def test_streams_name_what_a_recipe_leaves_out() -> None:
    registry = load([])
    assert named_encoders(registry, "face, audio,landmarks,unknown,face.b=fer") == (
        "face=lite0,audio=melcnn,landmarks=facemesh,unknown,face.b=fer"
    )
    config = with_names(load_config(None, {"encoders": BARE}, []))
    assert config.encoders == NAMED
    assert with_encoders("face.x,audio", {}) == "face.x,audio"


def test_the_recipe_of_a_folder(tmp_path: Path) -> None:
    assert recipe_of(None) == "demo"
    assert recipe_of(tmp_path) == "default"
    (tmp_path / "demo.json").touch()
    assert recipe_of(str(tmp_path)) == "demo"


@pytest.fixture(scope="module")
def run(program: Program) -> Path:
    return program.kept(*HOW)


@pytest.fixture(scope="module")
def before(run: Path, program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training with bare branches in its settings, as runs of before names were written have them."""
    folder = tmp_path_factory.mktemp("runs") / "old"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ABAW_ZOO_CACHE", str(program.cache))
        job = make_job(saved_config(run).model_copy(update={"encoders": BARE}), progress=False)
        write_config(job.config, folder)
        train(job, folder, progress=False)
    return folder


@pytest.fixture
def old(before: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return shutil.copytree(before, tmp_path / "runs" / "old")


def test_names_are_all_that_differs(run: Path, before: Path) -> None:
    then, now = read_record(before)["result"], read_record(run)["result"]
    assert then["combination"]["encoders"] == then["config"]["encoders"] == BARE
    then["combination"]["encoders"] = then["config"]["encoders"] = NAMED
    assert digest(then) == digest(now)


def test_a_new_run_names_all_of_them(run: Path) -> None:
    assert saved_config(run).encoders == NAMED
    result = read_record(run)["result"]
    assert result["combination"]["encoders"] == result["config"]["encoders"] == NAMED


def test_bare_or_named_is_one_result(run: Path, program: Program, tmp_path: Path) -> None:
    how = [NAMED if word == BARE else word for word in HOW]
    again = program.run(tmp_path, "r", *how)
    assert read_record(again)["result_sha256"] == read_record(run)["result_sha256"]
    assert digest(read_record(again)["result"]) == read_record(run)["result_sha256"]


def test_an_old_run_is_what_it_was(
    run: Path, old: Path, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    video = tmp_path / "me.mp4"
    write_click_video(video, n_frames=20, click_frame=None)
    assert saved_config(old).encoders == BARE
    assert harness.load(old).predict(video).equals(harness.load(run).predict(video))
    scores = read_record(old)["scores"]
    answer = program("evaluate", old)
    assert answer.code == 0, answer.err
    assert read_record(old)["scores"] == scores
    assert saved_config(old).encoders == BARE, "evaluating does not rewrite its settings"


def test_an_old_run_is_found_by_a_sweep_and_a_table(old: Path, program: Program) -> None:
    out = old.parent
    more = ("--track", "expr", "--data", program.demo, "--set", "train.epochs=1")
    answer = program("sweep", "--encoders", BARE, "--fusion", "late", "--head", "gru", "--out", out, *more, "--dry-run")
    assert "1 combinations: 1 finished" in answer.out, answer.err + answer.out
    assert program("leaderboard", out).code == 0
    assert re.search(rf"\| +{NAMED} +\|", (out / "leaderboard.md").read_text())


def test_an_old_run_that_was_stopped_goes_on(old: Path, program: Program) -> None:
    (old / "record.json").unlink()
    answer = program("run", "--resume", old)
    assert answer.code == 0, answer.err
    assert read_record(old)["status"] == "done"
    assert read(old / "record.json").encoders == NAMED


def test_an_old_record_is_repeated_as_it_was(old: Path) -> None:
    path = old / "record.json"
    assert _config(path, read(path), old, Paths()).encoders == BARE


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("face,context", "face=lite0,context=lite0"),
        ("face.b, audio", "face.b=lite0,audio=melcnn"),
        ("face=timm:resnet18,words", "face=timm:resnet18,words"),
        ("ensemble of face, audio", "ensemble of face, audio"),
        ("", ""),
    ],
)
def test_records_of_before(written: str, read_as: str) -> None:
    record = Record("old", "done", result={"combination": {"encoders": written, "fusion": "", "head": ""}})
    assert record.encoders == read_as
