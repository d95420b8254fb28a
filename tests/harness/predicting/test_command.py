"""`harness predict`: tables, what is said, and inputs that cannot be predicted."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from tests.support.media import write_click_video

RUN = ("--encoders", "frame,audio", "--fusion", "late", "--epochs", 1, "--head", "gru")


@pytest.fixture(scope="module")
def run(program):  # type: ignore[no-untyped-def]
    return program.kept("--track", "expr", *RUN)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of all kinds of inputs, good and bad."""
    (tmp_path / "in").mkdir()
    write_click_video(tmp_path / "in" / "good.mp4", n_frames=20, click_frame=None)
    write_click_video(tmp_path / "in" / "mute.mp4", n_frames=20, click_frame=None, with_audio=False, rotation=90)
    write_click_video(tmp_path / "in" / "one.mp4", n_frames=1, click_frame=None)
    (tmp_path / "in" / "empty.mp4").write_bytes(b"")
    whole = (tmp_path / "in" / "good.mp4").read_bytes()
    (tmp_path / "in" / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    cv2.imwrite(str(tmp_path / "in" / "picture.png"), np.full((64, 96, 3), 99, np.uint8))
    with wave.open(str(tmp_path / "in" / "voice.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.zeros(16_000, np.int16).tobytes())
    return tmp_path


def test_a_folder_of_everything(program, run: Path, place: Path) -> None:  # type: ignore[no-untyped-def]
    out = place / "out"
    answer = program("predict", place / "in", "--model", run, "--out", out, "--format", "jsonl", "--overlay", out / "o")
    answer.refused("predict-some-failed", count=2, count2=7, rest=f"; the others are in {out}")
    failed = [line for line in answer.err.splitlines() if line.startswith("failed: ")]
    assert [Path(line.split(": ")[1]).name for line in failed] == ["cut.mp4", "empty.mp4"]
    tables = {path.stem: pd.read_json(path, lines=True) for path in out.glob("*.jsonl")}
    assert {name: len(table) for name, table in tables.items()} == {
        "good": 20, "mute": 20, "one": 1, "picture": 1, "voice": 30,
    }  # fmt: skip
    assert not tables["mute"]["present_audio"].any()
    assert not tables["voice"]["present_frame"].any()
    assert tables["voice"]["present_audio"].all()
    assert sorted(path.name for path in (out / "o").iterdir()) == ["good.mp4", "mute.mp4", "one.mp4"]
    about = json.loads((out / "about.json").read_text())
    assert about["model"] == "r"
    assert len(about["digest"]) == 64
    assert "synthetic" in about["warnings"][0]
    summary = {one["table"]: one for one in about["inputs"]}["good.jsonl"]
    assert summary["frames"] == 20
    assert summary["people"][0]["without_face"] == 1
    assert sum(summary["people"][0]["expression"]["shares"].values()) == pytest.approx(1, abs=1e-3)


def test_the_old_form_still_works(program, run: Path, place: Path) -> None:  # type: ignore[no-untyped-def]
    answer = program("predict", run, place / "in" / "good.mp4", "--out", place / "out", "--format", "parquet")
    assert answer.code == 0, answer.err
    assert answer.err.count("is taken for the model") == 1
    table = pd.read_parquet(place / "out" / "good.parquet")
    assert set(table["expression_name"]) <= {c.removeprefix("p_") for c in table if c.startswith("p_")}


def test_what_is_refused(program, run: Path, place: Path) -> None:  # type: ignore[no-untyped-def]
    good, model = place / "in" / "good.mp4", ("--model", run)
    program("predict", good, "--model", "fre").refused("predict-model-unknown", match="did you mean")
    program("predict", good, "--model", "lite0").refused("predict-model-not-ready")
    program("predict", good, *model, "--people", "most").refused("predict-people", got="most")
    program("predict", good, *model, "--format", "xls").refused("predict-format", got="xls")
    program("predict", run, good, *model).refused("predict-model-twice", match=".")
    program("predict", run).refused("predict-no-input")
    program("predict", "97", *model, "--out", place / "out").refused("predict-camera", number=97)
    program("predict", place / "in" / "empty.mp4", *model).refused("video-empty", file=place / "in" / "empty.mp4")
    assert not (place / "out").exists()


def test_a_face_model_and_inputs_without_faces(program, place: Path) -> None:  # type: ignore[no-untyped-def]
    run = program.kept("--encoders", "face", "--epochs", 1, "--head", "gru", "--track", "expr")
    inputs = [place / "in" / name for name in ("good.mp4", "picture.png", "voice.wav")]
    answer = program("predict", *inputs, "--model", run, "--out", place / "out")
    answer.refused("predict-some-failed", count=3, count2=3, rest="")
    assert answer.err.count("the file has no input for the model (face: present at no frame)") == 2
    assert answer.err.count("has none of the streams face that the model r reads") == 1
    assert not (place / "out").exists()


def test_a_page_beside_the_table(program, run: Path, place: Path) -> None:  # type: ignore[no-untyped-def]
    good, model, out = place / "in" / "good.mp4", ("--model", run), place / "out"
    answer = program("predict", good, *model, "--out", out, "--report", place / "page.html")
    assert answer.code == 0, answer.err
    assert f"{place / 'page.html'}: report" in answer.out
    page = (place / "page.html").read_text()
    assert 'src="./in/good.mp4"' in page
    assert "synthetic demo set" in page
    assert json.loads((out / "about.json").read_text())["digest"] in page


def test_pages_of_several_and_what_is_refused(program, run: Path, place: Path) -> None:  # type: ignore[no-untyped-def]
    good, mute, model, out = place / "in" / "good.mp4", place / "in" / "mute.mp4", ("--model", run), place / "out"
    refused = (
        ("predict-target-kind", (good,), place / "pages"),
        ("predict-target-kind", (good, mute), place / "a.html"),
        ("predict-target-kind", (good,), good / "a.html"),
        ("predict-report-no-video", (place / "in" / "picture.png",), place / "a.html"),
    )
    for code, inputs, path in refused:
        program("predict", *inputs, *model, "--out", out, "--report", path).refused(code, path=path)
    (place / "taken.html").mkdir()
    program("predict", good, *model, "--out", out, "--report", place / "taken.html").refused("predict-target-kind")
    program("predict", place / "in" / "empty.mp4", *model, "--out", out, "--report", place / "e.html").refused(
        "video-empty"
    )
    assert not out.exists()
    assert not list(place.glob("*.html/*"))
    assert not (place / "pages").exists()
    answer = program(
        "predict", good, mute, place / "in" / "voice.wav", *model, "--out", out, "--report", place / "pages"
    )
    assert answer.code == 0, answer.err
    assert sorted(path.name for path in (place / "pages").iterdir()) == ["good.html", "mute.html"]
