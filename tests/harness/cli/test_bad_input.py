"""What a new user gets wrong, by the real command line: one line that says what, where and what to do; exit code 2."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.program import Answer, Program

VA = "annotations/VA_Estimation_Challenge"
LABELS = f"{VA}/Train_Set/video104.txt"
CROPS = "cropped_aligned/video104"


Command = Callable[..., Answer]


@pytest.fixture
def crumbs(program: Program) -> Path:
    """A tiny demo set, not to be changed."""
    return program.demo


@pytest.fixture
def data(crumbs: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(crumbs, tmp_path / "data"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No address answers, whatever the machine has."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def run(data: Path, *more: object, encoders: str = "face") -> tuple[object, ...]:
    return ("run", "--data", data, "--encoders", encoders, "--epochs", 1, "--out", "runs", *more)


def refused(answer: Answer, *words: object) -> None:
    """One line of error that has these words in it, and exit code 2."""
    assert answer.code == 2, (answer.out, answer.err)
    lines = [line for line in answer.err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("error: ")
    for word in words:
        assert str(word) in lines[0], (word, lines[0])


def nothing_left() -> None:
    """No run folder, no table, no half-written file."""
    assert [path for path in Path().rglob("*") if path.is_file()] == []
    assert not Path("runs").exists() or list(Path("runs").iterdir()) == []


def failed(name: str, *words: object) -> None:
    """A run that had begun has a record that says why, and nothing half-written."""
    record = json.loads(Path("runs", name, "record.json").read_text())
    assert record["status"] == "failed"
    for word in words:
        assert str(word) in record["reason"]
    assert sorted(path.name for path in Path("runs", name).iterdir() if path.is_file()) == [
        "config.toml",
        "record.json",
    ]


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--encoders", "face=lite"), ("unknown encoder 'lite'", "did you mean 'lite0'?")),
        (("--encoders", "fce"), ("unknown stream 'fce'", "did you mean 'face'?")),
        (("--encoders", "face,face"), ("given twice", "face.b=")),
        (("--encoders", ""), ("no encoders are given", "--encoders face,context")),
        (("--encoders", "face=timm"), ("needs the name of a model", "face=timm:resnet18")),
        (("--encoders", "face=timm:resnet1888"), ("no model 'resnet1888'", "did you mean 'resnet18'?")),
        (("--fusion", "lat"), ("unknown fusion 'lat'", "did you mean 'late'?")),
        (("--head", "gruu"), ("unknown head 'gruu'", "did you mean 'gru'?")),
        (("--loss", "cxc"), ("unknown loss 'cxc'", "did you mean 'ccc'?")),
        (("--post", "smoth"), ("unknown postprocessor 'smoth'", "did you mean 'smooth'?")),
        (("--track", "valence"), ("unknown track 'valence'", "ah, au, ce, emi")),
        (("--edition", "abaw99"), ("unknown edition 'abaw99'", "harness list editions")),
        (("--edition", "abaw10", "--track", "mtl"), ("edition abaw10 has no track 'mtl'", "abaw11")),
        (("--finetune", "body"), ("--finetune body", "no such slot in --encoders face")),
        (("--set", "train.epoch=3"), ("unknown key 'train.epoch'", "did you mean 'train.epochs'?")),
        (("--set", "train.epochs"), ("wanted key=value",)),
        (("--set", "train.lr=fast"), ("train.lr = 'fast'", "number")),
        (("--recipe", "nope"), ("--recipe nope", "default, demo")),
        (("--device", "cudaa"), ("--device cudaa",)),
        (("--name", "a/b"), ("--name a/b", "plain name")),
        (("--plugin", "none.py"), ("none.py", "there is no such Python file")),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else "",
)
def test_names_that_are_not_there(harness: Command, crumbs: Path, flags: tuple[str, ...], words: tuple[str, ...]):
    refused(harness(*run(crumbs), *flags), *words)
    nothing_left()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os\nraise RuntimeError('boom\\nagain')\n", ("RuntimeError: boom again", "line 2")),
        ("def x(:\n", ("SyntaxError", "line 1")),
        ("from zoo import api\n@api.hookimpl\ndef encoder():\n    return []\n", ("'encoder'", "'encoders'")),
        (
            "from zoo import api\n@api.hookimpl\ndef heads():\n    return [api.HeadSpec(name='gru', summary='', "
            "build='a:b')]\n",
            ("two plugins register the head 'gru'", "plugins.heads", "rename"),
        ),
    ],
    ids=["raises", "syntax", "misspelt", "clash"],
)
def test_plugins_that_are_broken(harness: Command, crumbs: Path, tmp_path: Path, code: str, words: tuple[str, ...]):
    plugin = tmp_path / "mine.py"
    plugin.write_text(code)
    refused(harness(*run(crumbs, "--plugin", plugin)), plugin, *words)
    nothing_left()


# --- folders ---------------------------------------------------------------------------------------------------------


def test_folders_that_are_no_data_set(harness: Command, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    refused(harness(*run(other)), other, "this is no Aff-Wild2 folder", "VA_Set/Train_Set", "it holds nothing")
    (other / "a.txt").write_text("hello")
    refused(harness(*run(other)), other, "this is no Aff-Wild2 folder", "a.txt")
    for place in (tmp_path / "none", other / "a.txt"):
        refused(harness(*run(place)), place, "there is no such folder")
        for command in ("doctor", "boxes"):
            refused(harness("data", command, place), place)
        refused(harness("data", "crop", place, "--out", "made"), place)
        refused(harness("data", "extract", place, "--encoders", "face"), place)
    nothing_left()


def test_folders_that_are_no_run(harness: Command, crumbs: Path, tmp_path: Path):
    video = crumbs / "videos" / "video104.mp4"
    for place in (tmp_path, tmp_path / "none"):
        for command in (("run", "--resume"), ("evaluate",), ("submit",)):
            refused(harness(*command, place), place, "not a run folder")
        refused(harness("predict", place, video), place, "not a run folder")
    refused(harness("leaderboard", tmp_path / "none"), "there is no such folder")
    refused(harness("leaderboard", "."), "there are no runs in it")
    nothing_left()


def test_other_settings_for_a_run_that_goes_on(harness: Command, tmp_path: Path):
    refused(harness("run", "--resume", tmp_path, "--epochs", 9), "--resume", "leave the other options out")


def test_no_folder_can_be_made(harness: Command, crumbs: Path):
    Path("file").write_text("")
    refused(harness(*run(crumbs)[:-1], "file"), "--out file", "choose another")
    refused(harness("data", "demo", "new", "--videos", "1,2"), "--videos 1,2", "24,16,8")


def test_a_track_without_annotations(harness: Command, data: Path):
    shutil.rmtree(data / VA)
    refused(harness(*run(data)), data, "no annotations of track va", "(track expr)", "--track")
    nothing_left()


def test_no_frame_is_labelled(harness: Command, data: Path):
    for path in (data / VA / "Train_Set").iterdir():
        path.write_text("valence,arousal\n" + "-5,-5\n" * (len(path.read_text().splitlines()) - 1))
    refused(harness(*run(data)), data, "no training frame is labelled", VA, "--track")
    shutil.rmtree(data / VA / "Train_Set")
    refused(harness(*run(data)), data, "no training frame is labelled", "Train_Set")
    nothing_left()


def test_no_person_boxes(harness: Command, data: Path):
    shutil.rmtree(data / "boxes")
    answer = harness(*run(data, encoders="body,context"))
    refused(
        answer, data, "5 of 10 videos have no person boxes", "'body' and 'context'", "`harness data boxes", " min on "
    )
    assert "120 frames" in answer.err  # five videos of 24 frames; the others have key points
    nothing_left()


# --- annotations -----------------------------------------------------------------------------------------------------


def number(lines: list[str]) -> None:
    lines[5] = "0.1,abc"


def fields(lines: list[str]) -> None:
    lines[5] = "0.1"


def scale(lines: list[str]) -> None:
    lines[5] = "3.0,0.1"


def header(lines: list[str]) -> None:
    lines[0] = "arousal,valence"


def empty(lines: list[str]) -> None:
    lines.clear()


def shorter(lines: list[str]) -> None:
    del lines[-4:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (number, ("line 6", "arousal is 'abc'", "expected a number")),
        (fields, ("line 6", "expected 2 fields, found 1")),
        (scale, ("line 6", "valence is 3", "from -1 to 1")),
        (header, ("line 1", "'arousal,valence'", "expected 'valence,arousal'")),
        (empty, ("the annotation file is empty",)),
        (shorter, ("has 20 frames here", "goes on to frame 24", "data.frame_tolerance=4")),
    ],
)
def test_annotations_that_are_wrong(
    harness: Command, data: Path, change: Callable[[list[str]], None], words: tuple[str, ...]
):
    path = data / LABELS
    lines = path.read_text().splitlines()
    change(lines)
    path.write_text("".join(f"{line}\n" for line in lines))
    refused(harness(*run(data)), path, *words)
    nothing_left()


@pytest.mark.parametrize("encoders", ["face", "context", "audio"])
def test_an_annotation_longer_than_its_video(harness: Command, data: Path, encoders: str):
    path = data / LABELS
    path.write_text(path.read_text() + "0.1,0.1\n" * 4)
    refused(harness(*run(data, "--name", "r", encoders=encoders)), path, "has 28 frames here", "has 24 frames")
    failed("r", path, "data.frame_tolerance=4")


# --- pictures and videos ---------------------------------------------------------------------------------------------


def test_a_folder_without_crops(harness: Command, data: Path):
    for path in (data / CROPS).iterdir():
        path.unlink()
    (data / "videos/video104.mp4").unlink()
    refused(harness(*run(data)), data / CROPS, "no images", "no raw video")
    nothing_left()


def test_a_damaged_crop_is_mended_and_the_run_goes_on(harness: Command, data: Path):
    path = sorted((data / CROPS).iterdir())[3]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(harness(*run(data, "--name", "r")), path, "cut short or damaged", "make this crop again or delete it")
    failed("r", path)
    table = harness("leaderboard", "runs")
    assert table.code == 0
    assert "failed" in table.out
    assert path.name in table.out
    path.write_bytes(whole)
    assert harness("run", "--resume", "runs/r").code == 0
    assert json.loads(Path("runs/r/record.json").read_text())["status"] == "done"


@pytest.mark.parametrize(("share", "word"), [(0.6, "not readable as a video"), (0, "the file is empty (0 bytes)")])
@pytest.mark.parametrize("encoders", ["context", "audio"])
def test_a_damaged_video(harness: Command, data: Path, encoders: str, share: float, word: str):
    path = data / "videos/video104.mp4"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(harness(*run(data, "--name", "r", encoders=encoders)), path, word, "replace it")
    failed("r", path, word)


def test_a_damaged_test_video_is_found_before_the_training(harness: Command, data: Path):
    path = data / "videos/17-8-640x360.mp4"
    path.write_bytes(b"")
    refused(harness(*run(data, "--name", "r")), path, "the file is empty (0 bytes)")
    assert not Path("runs/r/history.csv").exists()


def test_no_raw_videos(harness: Command, data: Path):
    shutil.rmtree(data / "videos")
    for encoders in ("context", "audio"):
        refused(harness(*run(data, encoders=encoders)), data, encoders, "needs raw videos", "this folder has: crops")
    nothing_left()


# --- weights ---------------------------------------------------------------------------------------------------------


def test_weights_that_cannot_be_had(harness: Command, crumbs: Path, tmp_path: Path):
    timm = "face=timm:resnet18"
    answer = harness(*run(crumbs, encoders=timm))
    refused(
        answer, "cannot be had from https://", "no connection", "put the file at", "weights=FILE", "pretrained=false"
    )
    missing = tmp_path / "none.safetensors"
    refused(
        harness(*run(crumbs, "--set", f"encoder.face.weights={missing}", encoders=timm)), missing, "there is no file"
    )
    nothing_left()


def test_weights_with_a_wrong_hash_or_of_another_network(harness: Command, crumbs: Path, tmp_path: Path):
    from safetensors.torch import save_file
    from torch import zeros

    path = tmp_path / "mine.safetensors"
    save_file({"a": zeros(3)}, path)
    command = run(crumbs, "--set", f"encoder.face.weights={path}", "--name", "r", encoders="face=timm:resnet18")
    refused(harness(*command), path, "do not fit the encoder", "100 missing", "1 unexpected")
    failed("r", "do not fit")
    shutil.rmtree("runs")
    save_file({"a": zeros(4)}, path)
    refused(harness(*command), path, "has changed since it was first used", "delete")
    nothing_left()


# --- a finished run --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(program: Program) -> Path:
    """A run of one epoch, not to be changed."""
    return program.kept("--encoders", "face", "--epochs", 1)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_name_that_is_taken(harness: Command, crumbs: Path, finished: Path):
    before = content(finished)
    answer = harness(*run(crumbs)[:-1], finished.parent, "--name", "r")
    refused(answer, "--name r", "already in", "choose another", f"--resume {finished}")
    refused(harness("run", "--resume", finished), finished, "the run is finished")
    assert content(finished) == before


def test_predict_without_a_video(harness: Command, finished: Path, tmp_path: Path):
    refused(harness("predict", finished, tmp_path / "none.mp4"), tmp_path / "none.mp4", "there is no such file")
    (tmp_path / "notes.txt").write_text("hello")
    refused(
        harness("predict", finished, tmp_path / "notes.txt"), tmp_path / "notes.txt", "no video by its name", ".mp4"
    )
    (tmp_path / "empty.mp4").write_bytes(b"")
    answer = harness("predict", finished, tmp_path / "empty.mp4", "--jobs", 1)
    refused(answer, tmp_path / "empty.mp4", "the file is empty (0 bytes)")
    nothing_left()


ROW = "17-8-640x360/00001.jpg,,\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image_location,valence,arousal\nnope/00001.jpg,0,0\n", ("nope",)),
        ("nope\n", ("nope",)),
        ("image,expression\nvideo104/00001.jpg,0\n", ("line 1", "no list of track va")),
        ("a,b,c\n1,2,3\n", ("line 1", "'a,b,c'")),
        (f"image_location,valence,arousal\n{ROW}{ROW}", ("line 3", "already on line 2")),
        ("", ("the list is empty",)),
    ],
    ids=["foreign rows", "foreign names", "track", "table", "twice", "empty"],
)
def test_wrong_lists(harness: Command, crumbs: Path, finished: Path, tmp_path: Path, text: str, words: tuple[str, ...]):
    path = tmp_path / "list.txt"
    path.write_text(text)
    before = content(finished)
    refused(harness("submit", finished, "--list", path), path, *words)
    assert content(finished) == before
    refused(harness(*run(crumbs, "--list", path)), path, *words)
    nothing_left()


def test_a_list_in_the_data_folder_whose_videos_are_not_there(harness: Command, data: Path, tmp_path: Path):
    shutil.rmtree(data / "cropped_aligned" / "17-8-640x360")
    (data / "videos" / "17-8-640x360.mp4").unlink()
    (listed,) = (data / "test_set_examples").glob("*_VA_*")
    says = f"{listed}: {data} has neither crops nor raw videos of 17-8-640x360"
    answer = harness(*run(data, "--name", "partly"))
    assert answer.code == 0, answer.err
    assert f"note: no submission will be written: {says}" in answer.out
    assert f"no submission: {says}" in answer.out.splitlines()[-2]
    record = json.loads(Path("runs/partly/record.json").read_text())
    assert (record["status"], record["result"]["submission"]) == ("done", None)
    assert record["result"]["scores"]["raw"]["main"] is not None
    assert not Path("runs/partly/submission").exists()
    before = content(Path("runs"))
    for more in ((), ("--list", listed), ("--out", tmp_path / "elsewhere")):
        refused(harness("submit", "runs/partly", *more), listed, "no answers for 17-8-640x360; everything that is")
    refused(harness(*run(data, "--list", listed)), says)
    assert content(Path("runs")) == before
    assert not (tmp_path / "elsewhere").exists()


def test_a_test_video_whose_name_no_row_holds(harness: Command, data: Path):
    shutil.rmtree(data / "test_set_examples")
    shutil.rmtree(data / "names_of_videos_in_each_test_set")
    for folder in ("EXPR_Recognition_Challenge", "AU_Detection_Challenge", "MTL_Challenge"):
        shutil.rmtree(data / "annotations" / folder)
    film = data / "videos" / "17-8-640x360.mp4"
    crops = data / "cropped_aligned" / "17-8-640x360"
    shutil.copy(film, data / "videos" / "sp ace.mp4")
    shutil.copytree(crops, data / "cropped_aligned" / "sp ace")
    answer = harness(*run(data, "--name", "space"))
    assert answer.code == 0, answer.err
    assert "\nsp ace/00024.jpg," in Path("runs/space/submission/predictions.txt").read_text()
    film.rename(data / "videos" / "my video, 2.mp4")
    crops.rename(data / "cropped_aligned" / "my video, 2")
    answer = harness(*run(data, "--name", "comma"))
    assert answer.code == 0, answer.err
    assert "no submission: the name 'my video, 2' has a comma, quote or space at its end" in answer.out
    assert not Path("runs/comma/submission").exists()
    assert Path("runs/comma/predictions/test.post.parquet").is_file()


def test_submissions_that_cannot_be(harness: Command, finished: Path, tmp_path: Path):
    before = content(finished)
    refused(harness("submit", finished, "--list", tmp_path / "none.txt"), tmp_path / "none.txt", "cannot be read")
    refused(
        harness("submit", finished, "--edition", "abaw11"),
        "edition abaw11 has no track 'va'",
        "abaw1, abaw2, abaw3, abaw5",
    )
    assert content(finished) == before
