"""What a new user gets wrong, by the real command line: one line that says what, where and what to do; exit code 2."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.program import Answer, Program
from tests.support.refusals import Part, Refusal, refused

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


def one_line(answer: Answer, refusal: Refusal, *shown: object) -> None:
    """One line of error, of this kind and with these names and paths in it, and exit code 2."""
    assert answer.code == 2, (answer.out, answer.err)
    refusal.check(answer.error)
    lines = [line for line in answer.err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("error: ")
    for one in shown:
        assert str(one) in lines[0], (one, lines[0])


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
    ("flags", "refusal"),
    [
        (("--encoders", "face=lite"), refused("block-unknown", noun="encoder", name="lite", near=Part("lite0"))),
        (("--encoders", "fce"), refused("block-unknown", noun="stream", name="fce", near=Part("face"))),
        (("--encoders", "face,face"), refused("slot-twice", name="face", stream="face")),
        (("--encoders", ""), refused("slots-none")),
        (("--encoders", "face=timm"), refused("plugin-error", match="face=timm:resnet18")),
        (("--encoders", "face=timm:resnet1888"), refused("plugin-error", match="'resnet1888'.*'resnet18'")),
        (("--fusion", "lat"), refused("block-unknown", noun="fusion", name="lat", near=Part("late"))),
        (("--head", "gruu"), refused("block-unknown", noun="head", name="gruu", near=Part("gru"))),
        (("--loss", "cxc"), refused("block-unknown", noun="loss", name="cxc", near=Part("ccc"))),
        (("--post", "smoth"), refused("block-unknown", noun="postprocessor", name="smoth", near=Part("smooth"))),
        (("--track", "valence"), refused("track-unknown", track="valence", names=Part("ah, au, ce, emi"))),
        (("--edition", "abaw99"), refused("block-unknown", noun="edition", name="abaw99", kind="editions")),
        (
            ("--edition", "abaw10", "--track", "mtl"),
            refused("edition-without-track", edition="abaw10", track="mtl", others=Part("abaw11")),
        ),
        (("--finetune", "body"), refused("finetune-unknown-slot", names="body", encoders="face=lite0")),
        (("--set", "train.epoch=3"), refused("setting-unknown", dotted="train.epoch", hint=Part("train.epochs"))),
        (("--set", "train.epochs"), refused("set-invalid")),
        (
            ("--set", "train.lr=fast"),
            refused("setting-invalid", dotted="train.lr", first="fast", first2=Part("number")),
        ),
        (("--recipe", "nope"), refused("recipe-unknown", name="nope", names=Part("default, demo"))),
        (("--device", "cudaa"), refused("device-unknown", name="cudaa")),
        (("--name", "a/b"), refused("run-name-invalid", name="a/b")),
        (("--plugin", "none.py"), refused("plugin-file-missing", file="none.py")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value.code,
)
def test_names_that_are_not_there(harness: Command, crumbs: Path, flags: tuple[str, ...], refusal: Refusal):
    usual = run(crumbs)
    if flags[0] in usual:  # in place of the usual value: an option that is given twice is an error too
        at = usual.index(flags[0])
        usual = (*usual[:at], *usual[at + 2 :])
    one_line(harness(*usual, *flags), refusal)
    nothing_left()


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        (
            "import os\nraise RuntimeError('boom\\nagain')\n",
            refused("plugin-unusable", reason=Part("RuntimeError: boom again", "line 2")),
        ),
        ("def x(:\n", refused("plugin-unusable", reason=Part("SyntaxError", "line 1"))),
        (
            "from zoo import api\n@api.hookimpl\ndef encoder():\n    return []\n",
            refused("plugin-unusable", reason=Part("'encoder'", "'encoders'")),
        ),
        (
            "from zoo import api\n@api.hookimpl\ndef heads():\n    return [api.HeadSpec(name='gru', summary='', "
            "build='a:b')]\n",
            refused("block-name-twice", noun="head", name="gru", origin=Part("plugins.heads")),
        ),
    ],
    ids=["raises", "syntax", "misspelt", "clash"],
)
def test_plugins_that_are_broken(harness: Command, crumbs: Path, tmp_path: Path, code: str, refusal: Refusal):
    plugin = tmp_path / "mine.py"
    plugin.write_text(code)
    one_line(harness(*run(crumbs, "--plugin", plugin)), refusal, plugin)
    nothing_left()


# --- folders ---------------------------------------------------------------------------------------------------------


def test_folders_that_are_no_data_set(harness: Command, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    one_line(
        harness(*run(other)), refused("annotations-none", message=Part(other, "VA_Set/Train_Set", "it holds nothing"))
    )
    (other / "a.txt").write_text("hello")
    one_line(harness(*run(other)), refused("annotations-none", message=Part(other, "a.txt")))
    for place in (tmp_path / "none", other / "a.txt"):
        one_line(harness(*run(place)), refused("data-missing", root=place))
        for command, code in (("doctor", "folder-missing"), ("boxes", "data-folder-missing")):
            one_line(harness("data", command, place), refused(code), place)
        crop = "crop-not-a-folder" if place.exists() else "data-folder-missing"
        one_line(harness("data", "crop", place, "--out", "made"), refused(crop), place)
        one_line(harness("data", "extract", place, "--encoders", "face"), refused("data-missing", root=place))
    nothing_left()


def test_folders_that_are_no_run(harness: Command, crumbs: Path, tmp_path: Path):
    video = crumbs / "videos" / "video104.mp4"
    for place in (tmp_path, tmp_path / "none"):
        for command in (("run", "--resume"), ("evaluate",), ("submit",)):
            one_line(harness(*command, place), refused("run-not-a-run", folder=place))
        folder = "run-not-a-run" if place.is_dir() else "predict-model-unknown"
        one_line(harness("predict", video, "--model", place), refused(folder))
    one_line(harness("leaderboard", tmp_path / "none"), refused("runs-folder-missing", folder=tmp_path / "none"))
    one_line(harness("leaderboard", "."), refused("runs-none"))
    nothing_left()


def test_other_settings_for_a_run_that_goes_on(harness: Command, tmp_path: Path):
    one_line(harness("run", "--resume", tmp_path, "--epochs", 9), refused("resume-options-mixed"))


def test_no_folder_can_be_made(harness: Command, crumbs: Path):
    Path("file").write_text("")
    one_line(harness(*run(crumbs)[:-1], "file"), refused("out-no-folder", out="file"))
    one_line(harness("data", "demo", "new", "--videos", "1,2"), refused("demo-counts-invalid", videos="1,2"))


def test_a_track_without_annotations(harness: Command, data: Path):
    shutil.rmtree(data / VA)
    one_line(
        harness(*run(data)), refused("annotations-none", message=Part(data, "track va", "(track expr)", "--track"))
    )
    nothing_left()


def test_no_frame_is_labelled(harness: Command, data: Path):
    for path in (data / VA / "Train_Set").iterdir():
        path.write_text("valence,arousal\n" + "-5,-5\n" * (len(path.read_text().splitlines()) - 1))
    one_line(harness(*run(data)), refused("training-split-empty", root=data, variant=VA, name="va"))
    shutil.rmtree(data / VA / "Train_Set")
    one_line(harness(*run(data)), refused("training-split-empty", root=data))
    nothing_left()


def test_no_person_boxes(harness: Command, data: Path):
    shutil.rmtree(data / "boxes")
    answer = harness(*run(data, encoders="body,context"))
    one_line(
        answer,
        refused("boxes-missing-in-data", root=data, count=5, count2=10, names="'body' and 'context'", frames=120),
    )
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
    ("change", "refusal"),
    [
        (number, refused("annotation-not-a-number", line=6, name="arousal", part="abc")),
        (fields, refused("annotation-field-count", line=6, wanted=2, found=Part("found 1"))),
        (scale, refused("annotation-out-of-range", line=6, name="valence", wanted=Part("from -1 to 1"))),
        (header, refused("annotation-header", got="arousal,valence", name="va", wanted="'valence,arousal'")),
        (empty, refused("annotation-empty")),
        (shorter, refused("annotation-length", n_frames=20, difference=4)),
    ],
)
def test_annotations_that_are_wrong(
    harness: Command, data: Path, change: Callable[[list[str]], None], refusal: Refusal
):
    path = data / LABELS
    lines = path.read_text().splitlines()
    change(lines)
    path.write_text("".join(f"{line}\n" for line in lines))
    one_line(harness(*run(data)), refusal, path)
    nothing_left()


@pytest.mark.parametrize("encoders", ["face", "context", "audio"])
def test_an_annotation_longer_than_its_video(harness: Command, data: Path, encoders: str):
    path = data / LABELS
    path.write_text(path.read_text() + "0.1,0.1\n" * 4)
    answer = harness(*run(data, "--name", "r", encoders=encoders))
    if encoders == "audio":  # read in this process
        one_line(answer, refused("annotation-length", source=path, n_frames=28, found=Part("24 frames")))
    else:
        one_line(answer, refused("videos-unreadable", some=Part(path, "28 annotated frames", "24 frames")))
    failed("r", path, "data.frame_tolerance=4")


# --- pictures and videos ---------------------------------------------------------------------------------------------


def test_a_folder_without_crops(harness: Command, data: Path):
    for path in (data / CROPS).iterdir():
        path.unlink()
    (data / "videos/video104.mp4").unlink()
    one_line(harness(*run(data)), refused("crops-empty", first=data / CROPS))
    nothing_left()


def test_a_damaged_crop_is_mended_and_the_run_goes_on(harness: Command, data: Path):
    path = sorted((data / CROPS).iterdir())[3]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    one_line(harness(*run(data, "--name", "r")), refused("videos-unreadable", count=1, some=Part(path, "damaged")))
    failed("r", path)
    table = harness("leaderboard", "runs")
    assert table.code == 0
    assert "failed" in table.out
    assert path.name in table.out
    path.write_bytes(whole)
    assert harness("run", "--resume", "runs/r").code == 0
    assert json.loads(Path("runs/r/record.json").read_text())["status"] == "done"


@pytest.mark.parametrize(("share", "word"), [(0.6, "cannot be read"), (0, "0 bytes")])
@pytest.mark.parametrize("encoders", ["context", "audio"])
def test_a_damaged_video(harness: Command, data: Path, encoders: str, share: float, word: str):
    path = data / "videos/video104.mp4"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    answer = harness(*run(data, "--name", "r", encoders=encoders))
    if encoders == "audio":  # read in this process
        one_line(answer, refused("video-unreadable" if share else "video-empty", file=path))
    else:
        one_line(answer, refused("videos-unreadable", some=Part(path, word)))
    failed("r", path, word)


def test_a_damaged_test_video_is_found_before_the_training(harness: Command, data: Path):
    path = data / "videos/17-8-640x360.mp4"
    path.write_bytes(b"")
    one_line(harness(*run(data, "--name", "r")), refused("video-empty", file=path))
    assert not Path("runs/r/history.csv").exists()


def test_no_raw_videos(harness: Command, data: Path):
    shutil.rmtree(data / "videos")
    for encoders in ("context", "audio"):
        one_line(
            harness(*run(data, encoders=encoders)),
            refused("stream-needs", root=data, name=encoders, what=Part("raw videos"), value="crops"),
        )
    nothing_left()


# --- weights ---------------------------------------------------------------------------------------------------------


def test_weights_that_cannot_be_had(harness: Command, crumbs: Path, tmp_path: Path):
    timm = "face=timm:resnet18"
    answer = harness(*run(crumbs, encoders=timm))
    one_line(
        answer,
        refused("weights-not-downloaded", url=Part("https://"), by_hand=Part("weights=FILE", "pretrained=false")),
    )
    missing = tmp_path / "none.safetensors"
    one_line(
        harness(*run(crumbs, "--set", f"encoder.face.weights={missing}", encoders=timm)),
        refused("weights-file-missing", file=missing),
    )
    nothing_left()


def test_weights_with_a_wrong_hash_or_of_another_network(harness: Command, crumbs: Path, tmp_path: Path):
    from safetensors.torch import save_file
    from torch import zeros

    path = tmp_path / "mine.safetensors"
    save_file({"a": zeros(3)}, path)
    command = run(crumbs, "--set", f"encoder.face.weights={path}", "--name", "r", encoders="face=timm:resnet18")
    one_line(harness(*command), refused("weights-do-not-fit", names=Part("100 missing", "1 unexpected"), file=path))
    failed("r", "do not fit")
    shutil.rmtree("runs")
    save_file({"a": zeros(4)}, path)
    one_line(harness(*command), refused("weights-changed", file=path))
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
    one_line(answer, refused("run-name-taken", name="r", out=finished.parent, file=finished))
    one_line(harness("run", "--resume", finished), refused("resume-finished", folder=finished))
    assert content(finished) == before


def test_predict_without_a_video(harness: Command, finished: Path, tmp_path: Path):
    one_line(
        harness("predict", finished, tmp_path / "none.mp4"), refused("predict-no-file", video=tmp_path / "none.mp4")
    )
    (tmp_path / "notes.txt").write_text("hello")
    one_line(
        harness("predict", finished, tmp_path / "notes.txt"),
        refused("predict-not-readable", kind="text", file=tmp_path / "notes.txt"),
    )
    (tmp_path / "empty.mp4").write_bytes(b"")
    answer = harness("predict", finished, tmp_path / "empty.mp4")
    one_line(answer, refused("video-empty", file=tmp_path / "empty.mp4"))
    nothing_left()


ROW = "17-8-640x360/00001.jpg,,\n"


@pytest.mark.parametrize(
    ("text", "refusal", "before_training"),
    [
        (
            "image_location,valence,arousal\nnope/00001.jpg,0,0\n",
            refused("listed-unanswered", what=Part("nope")),
            refused("test-list-videos-missing", some="nope"),
        ),
        (
            "nope\n",
            refused("listed-unanswered", what=Part("nope")),
            refused("test-list-videos-missing", some="nope"),
        ),
        (
            "image,expression\nvideo104/00001.jpg,0\n",
            refused("list-header-of-other-track", got="image,expression", name="va"),
            refused("list-header", name="va"),
        ),
        (
            "a,b,c\n1,2,3\n",
            refused("list-header-of-other-track", got="a,b,c"),
            refused("list-not-a-name", line=1, got="a,b,c"),
        ),
        (
            f"image_location,valence,arousal\n{ROW}{ROW}",
            refused("list-row-again", line=3, earlier=2),
            refused("list-row-twice", line=3, earlier=2),
        ),
        ("", refused("list-empty"), refused("list-empty")),
    ],
    ids=["foreign rows", "foreign names", "track", "table", "twice", "empty"],
)
def test_wrong_lists(
    harness: Command,
    crumbs: Path,
    finished: Path,
    tmp_path: Path,
    text: str,
    refusal: Refusal,
    before_training: Refusal,
):
    path = tmp_path / "list.txt"
    path.write_text(text)
    before = content(finished)
    one_line(harness("submit", finished, "--list", path), refusal, path)
    assert content(finished) == before
    one_line(harness(*run(crumbs, "--list", path)), before_training, path)
    nothing_left()


def test_a_list_in_the_data_folder_whose_videos_are_not_there(harness: Command, data: Path, tmp_path: Path):
    shutil.rmtree(data / "cropped_aligned" / "17-8-640x360")
    (data / "videos" / "17-8-640x360.mp4").unlink()
    (listed,) = (data / "test_set_examples").glob("*_VA_*")
    says = f"{listed}: {data} has neither crops nor raw videos of 17-8-640x360"
    answer = harness(*run(data, "--name", "partly"))
    assert answer.code == 0, answer.err
    assert f"note: no submission will be written: {says}" in answer.out
    assert f"no submission: {says}" in answer.out.splitlines()[-3]
    record = json.loads(Path("runs/partly/record.json").read_text())
    assert (record["status"], record["result"]["submission"]) == ("done", None)
    assert record["result"]["scores"]["raw"]["main"] is not None
    assert not Path("runs/partly/submission").exists()
    before = content(Path("runs"))
    for more in ((), ("--list", listed), ("--out", tmp_path / "elsewhere")):
        one_line(
            harness("submit", "runs/partly", *more), refused("listed-unanswered", what=Part("17-8-640x360")), listed
        )
    one_line(harness(*run(data, "--list", listed)), refused("test-list-videos-missing"), says)
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
    assert "no submission: the name 'my video, 2' has a comma, a quote or a space at its end" in answer.out
    assert not Path("runs/comma/submission").exists()
    assert Path("runs/comma/predictions/test.post.parquet").is_file()


def test_submissions_that_cannot_be(harness: Command, finished: Path, tmp_path: Path):
    before = content(finished)
    one_line(
        harness("submit", finished, "--list", tmp_path / "none.txt"),
        refused("text-unreadable", file=tmp_path / "none.txt"),
    )
    one_line(
        harness("submit", finished, "--edition", "abaw11"),
        refused("edition-without-track", edition="abaw11", track="va", others=Part("abaw1, abaw2, abaw3, abaw5")),
    )
    assert content(finished) == before
