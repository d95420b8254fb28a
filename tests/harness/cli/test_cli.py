"""The commands as their user meets them: what they print, and on which folders they run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from harness import cli
from tests.support.program import Answer, Program
from zoo.api import KINDS
from zoo.errors import Stopped
from zoo.metrics.scores import METRICS
from zoo.registry.registry import load

Command = Callable[..., Answer]
NAMES = sorted({entry.name for kind in KINDS for entry in load().entries(kind)} | set(METRICS))


@pytest.fixture
def crumbs(program: Program) -> Path:
    """A tiny demo set, not to be changed."""
    return program.demo


# --- what is there ---------------------------------------------------------------------------------------------------


def test_list_as_json(harness: Command):
    code, out, err = harness("list", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["problems"] == []
    assert {block["kind"] for block in found["blocks"]} == set(KINDS)
    assert {block["name"] for block in found["blocks"]} == set(NAMES) - set(METRICS)
    code, out, _ = harness("list", "fusions", "--json")
    assert {block["kind"] for block in json.loads(out)["blocks"]} == {"fusions"}
    code, _, err = harness("list", "fusion")
    assert code == 2
    assert "did you mean 'fusions'?" in err


@pytest.mark.parametrize("name", NAMES)
def test_info_of_everything(harness: Command, name: str):
    code, out, err = harness("info", name)
    assert (code, err) == (0, "")
    assert name in out
    assert len(out.splitlines()) > 3
    assert "<function" not in out
    assert "object at" not in out
    assert "None" not in out.split()


def test_info_of_nothing(harness: Command):
    code, out, err = harness("info", "gruu")
    assert (code, out) == (2, "")
    assert err == "error: nothing is called 'gruu'; did you mean 'gru'? `harness list` shows all\n"


def test_info_needs_no_torch(tmp_path: Path):
    for name in ("torch", "timm", "torchvision", "torchaudio", "cv2", "pandas", "sklearn"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is imported, and must not be')\n")
    asked = ["gru", "timm", "abaw11", "face", "mean_ccc"]
    code = (
        "import sys\nfrom harness import cli\n"
        f"for name in {asked}:\n    sys.argv = ['harness', 'info', name]\n"
        "    try:\n        cli.main()\n    except SystemExit as end:\n        assert not end.code, name\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--encoders", "face"], ["lite0", "1280", "abaw10 va: 2 predictions"]),
        (["--encoders", "face,context,audio", "--fusion", "concat", "--head", "lstm"], ["melcnn", "trained"]),
        (["--encoders", "face", "--track", "au", "--head", "mlp"], ["12 predictions", "bce"]),
        (["--encoders", "face", "--track", "expr", "--edition", "abaw2"], ["abaw2 expr", "7 raw outputs", "ce"]),
        (["--encoders", "face=timm:resnet18,face.b=lite0", "--track", "mtl"], ["512", "face.b", "15 predictions"]),
        (["--encoders", "face", "--finetune", "face"], ["lite0", "trained\n"]),
        (["--recipe", "face-baseline"], ["timm", "2048", "trained\n", "head mlp", "2 raw outputs"]),
        (["--recipe", "face-baseline", "--encoders", "face", "--head", "gru"], ["lite0", "trained\n", "head gru"]),
    ],
)
def test_check(harness: Command, flags: list[str], words: list[str]):
    code, out, err = harness("check", *flags)
    assert (code, err) == (0, "")
    assert out.endswith("the parts fit together\n")
    for word in words:
        assert word in out


# --- runs ------------------------------------------------------------------------------------------------------------


def run(data: Path, encoders: str, *more: object) -> tuple[object, ...]:
    return ("run", "--data", data, "--encoders", encoders, "--epochs", 1, "--out", "runs", *more)


def test_a_run_says_what_it_did(harness: Command, crumbs: Path):
    code, out, err = harness(*run(crumbs, "face", "--name", "r", "--track", "au"))
    assert (code, err) == (0, "")  # and no progress bar, as this is no terminal
    videos = "5 train, 3 val, 2 test videos (4, 2, 2 groups) (one for each person; 8 files)"
    assert f"abaw10 au on {crumbs.name}: {videos}" in out
    assert re.search(
        r"^epoch 1 of 1: loss \d+\.\d{3}, validation 0\.\d{3} \(au_accuracy 0\.\d{3}\)$",
        out,
        re.MULTILINE,
    )
    assert out.count("synthetic") == 1
    assert "Synthetic demo set: these scores say nothing about people." in out
    assert "95 % interval" in out
    assert "F1 from 0." in out
    assert "post-processed (cross-fitted)" in out
    assert "submission: 48 rows, rows and order of the official list, verified" in out
    record = json.loads(Path("runs/r/record.json").read_text())
    assert f"{record['result']['scores']['raw']['main']:.4f}" in out
    for path in (
        "runs/r/record.json",
        "runs/r/weights.safetensors",
        "runs/leaderboard.md",
        "runs/r/submission/predictions.txt",
    ):
        assert path in out
        assert Path(path).is_file()
    code, out, err = harness("leaderboard", "runs")
    assert (code, err) == (0, "")
    assert "SYNTHETIC" in out
    assert "| r " in out


@pytest.mark.slow
def test_mtl_warns_of_what_its_edition_forbids(harness: Command, crumbs: Path):
    code, out, _ = harness(*run(crumbs, "face,audio", "--track", "mtl"))
    assert code == 0
    warnings = [line for line in out.splitlines() if line.startswith("warning: ") and "plain reference" not in line]
    assert len(warnings) == 1
    assert "abaw11 mtl forbids the stream 'audio'" in warnings[0]
    assert "mean_ccc" in out
    assert "macro_f1" in out
    assert "mean_f1" in out


def only(crumbs: Path, folder: Path, *names: str) -> Path:
    for name in names:
        shutil.copytree(crumbs / name, folder / name)
    return folder


def test_crops_and_annotations_alone_run_with_face(harness: Command, crumbs: Path, tmp_path: Path):
    data = only(crumbs, tmp_path / "mine", "annotations", "cropped_aligned")
    code, out, err = harness(*run(data, "face", "--recipe", "demo"))
    assert (code, err) == (0, "")
    assert "no raw videos: the streams body, context and audio are absent" in out
    assert "no test videos: no official list is in the folder, and other tracks are annotated too" in out
    assert "synthetic" not in out.lower()
    code, _, err = harness(*run(data, "face,audio"))
    assert code == 2
    assert "'audio' needs raw videos" in err


@pytest.mark.slow
def test_videos_and_annotations_alone_run_with_audio(harness: Command, crumbs: Path, tmp_path: Path):
    data = only(crumbs, tmp_path / "mine", "annotations", "videos")
    code, out, err = harness(*run(data, "audio", "--recipe", "demo"))
    assert (code, err) == (0, "")
    assert "no cropped_aligned: the stream face is absent; `harness data crop` makes crops" in out
    for encoders, words in (("face,audio", "'face' needs face crops"), ("context", "`harness data boxes")):
        code, _, err = harness(*run(data, encoders))
        assert code == 2
        assert words in err


# --- data ------------------------------------------------------------------------------------------------------------


def test_the_doctor_on_the_demo_set(harness: Command, crumbs: Path):
    code, out, err = harness("data", "doctor", crumbs)
    assert (code, err) == (0, "")
    assert "this is the synthetic demo set, which has no published figures" in out
    assert "off by" not in out
    assert "Clean" in out


def test_the_doctor_on_a_part_of_it(harness: Command, crumbs: Path, tmp_path: Path):
    data = only(crumbs, tmp_path / "mine", "annotations", "cropped_aligned")
    code, out, err = harness("data", "doctor", data, "--track", "va")
    assert (code, err) == (1, "")
    assert "off by -351" in out
    assert "no official test list" in out
    assert "Not clean" in out


def test_the_demo_set_is_made_without_a_bar_where_there_is_no_terminal(harness: Command):
    code, out, err = harness("data", "demo", "mine", "--videos", "1,1,1", "--frames", 12, "--jobs", 1)
    assert (code, err) == (0, "")
    videos, folder = out.splitlines()
    assert videos.startswith("1 train, 1 val and 1 test videos; if a train or val video shows two people")
    assert folder.startswith("mine: the synthetic demo set, seed 0; try `harness run --data mine")


def test_features_are_extracted_once(harness: Command, crumbs: Path):
    harness("data", "extract", crumbs, "--encoders", "face")
    code, out, err = harness("data", "extract", crumbs, "--encoders", "face")
    assert (code, err) == (0, "")
    assert out == "10 videos, 1 slots: 0 computed, the rest were in the cache\n"


def test_a_video_that_fails_is_named_and_stops_no_other(harness: Command, crumbs: Path, tmp_path: Path):
    data = only(crumbs, tmp_path / "mine", "annotations", "videos", "cropped_aligned")
    crop = sorted((data / "cropped_aligned").glob("*/*.jpg"))[0]
    crop.write_bytes(crop.read_bytes()[:300])
    code, out, err = harness("data", "extract", data, "--encoders", "face")
    assert code == 2
    assert out.startswith("8 videos, 1 slots: ")
    said, *_, last = err.splitlines()
    assert said.startswith(f"failed: {crop.parent.name}: {crop}: the JPEG is cut short or damaged")
    assert last.startswith("error: 1 videos failed (named above), the others are done")


@pytest.mark.slow
def test_boxes_of_videos_that_have_none(harness: Command, crumbs: Path, tmp_path: Path):
    data = only(crumbs, tmp_path / "mine", "annotations", "videos", "cropped_aligned")
    (data / "videos/video104.mp4").write_bytes(b"")
    code, out, err = harness("data", "boxes", data, "--jobs", 1)
    assert code == 2
    assert "video104.mp4: the file is empty" in err
    assert err.splitlines()[-1].startswith("error: 1 videos failed")
    assert out.startswith(f"{data / 'boxes'}: boxes of ")


# --- around the commands ----------------------------------------------------------------------------------------------


def test_the_version_is_the_installed_one(program) -> None:
    answer = program("--version")
    assert (answer.code, answer.out) == (0, f"abaw-zoo {version('abaw-zoo')}\n")


def test_a_stopped_program_names_commands_that_continue(
    program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a folder without a run, the only thing wrong with them is the folder."""

    def stop(**how: object) -> None:
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(cli, "app", stop)
        with pytest.raises(SystemExit, match="130"):
            cli.main()
    commands = re.findall("`harness (.+?)`", capsys.readouterr().err)
    assert [command.split()[0] for command in commands] == ["run", "pretrain"]
    for command in commands:
        answer = program(*command.replace("FOLDER", str(tmp_path)).split())
        assert answer.error.code in ("run-not-a-run", "pretrain-no-request"), answer.err


def test_the_package_can_be_run_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "harness", "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: harness ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete(shell: str) -> None:
    """The program is asked as the installed completion script asks it."""
    words = {
        "bash": {"COMP_WORDS": "harness ev", "COMP_CWORD": "1"},
        "zsh": {"_TYPER_COMPLETE_ARGS": "harness ev"},
        "fish": {"_TYPER_COMPLETE_ARGS": "harness ev", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }
    asked = {**os.environ, **words[shell], "_HARNESS_COMPLETE": f"complete_{shell}"}
    done = subprocess.run(
        [Path(sys.executable).with_name("harness")], capture_output=True, text=True, env=asked, timeout=60
    )
    assert "evaluate" in done.stdout, done.stderr
