"""Runs with models of transformers for a face, for sound and for words; and what ends one before it trains."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("transformers", reason="transformers is an extra (hf)")

from harness.config.schema import load_config
from harness.data.streams.raw_inputs import RawSlot
from harness.runs.job import make_job
from tests.harness.predicting.test_one_pass import assert_equal
from tests.support import tiny_hf
from tests.support.media import write_click_video
from tests.support.refusals import Part
from tests.support.registered import TINY_VIT
from zoo.model.model import build_encoder

pytestmark = pytest.mark.slow
CUES = "1\n00:00:00,100 --> 00:00:00,300\ngood morning\n"  # of 0.8 s; held until 0.8


@pytest.fixture(scope="module")
def talk(program, tmp_path_factory):
    """The crumb set with words for every video but the first of validation, and models of sound and words."""
    folder = tmp_path_factory.mktemp("talk")
    root = Path(shutil.copytree(program.demo, folder / "data"))
    (root / "transcripts").mkdir()
    silent = sorted((root / "annotations").glob("VA*/Validation_Set/*.txt"))[0].stem
    for crops in (root / "cropped_aligned").iterdir():
        if crops.name != silent:
            (root / "transcripts" / f"{crops.name}.srt").write_text(CUES)
    for name in ("wav2vec2", "roberta"):
        tiny_hf.save(name, folder / name)
    return replace(program, demo=root), silent, f"audio=hf:{folder}/wav2vec2,text=hf:{folder}/roberta"


def test_words_are_read_at_the_frames_times(talk, monkeypatch) -> None:
    program, silent, slots = talk
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    flags = {"data_dir": str(program.demo), "encoders": slots.partition(",")[2]}
    job = make_job(load_config(None, flags, []), progress=False)
    slot = job.plan.slots[0]
    encoder = build_encoder(slot)
    raw = RawSlot(job.index, slot, encoder)
    name = next(v.name for v in job.index.videos if v.name != silent)
    times = raw.reader(name).source.times()
    tokens, present = raw.clip(name, 0, len(times))["tokens"], raw.present(name)
    assert present.tolist() == [0.1 <= t < 0.8 for t in times]
    middle = 0.1 + 0.2 * 4 / 11  # where the second word begins
    expected = ["" if t < 0.1 else "good" if t < middle else "good morning" for t in times]
    np.testing.assert_array_equal(tokens, encoder.input.tokenise(expected))
    np.testing.assert_array_equal(raw.clip(name, 5, 9)["tokens"], tokens[5:9])
    assert not raw.present(silent).any()


def test_a_data_folder_without_words_is_named(program, talk, tmp_path) -> None:
    slots = talk[2].partition(",")[2]
    program("run", "--data", program.demo, "--encoders", slots, "--out", tmp_path).refused(
        "stream-needs", name="text", what=Part("transcripts/")
    )


def test_weights_are_verified_by_their_name(program, talk, tmp_path) -> None:
    folder = talk[2].removeprefix("audio=hf:").partition(",")[0]
    assert "it fits its network" in program("weights", "verify", f"hf:{folder}").out
    shutil.copytree(folder, tmp_path / "spoilt", ignore=shutil.ignore_patterns("*.sha256"))
    shutil.copy(TINY_VIT / "model.safetensors", tmp_path / "spoilt")
    program("weights", "verify", f"hf:{tmp_path}/spoilt").refused("plugin-error", match="the weights do not fit")


def test_a_text_of_another_video_ends_the_run_before_training(talk, tmp_path) -> None:
    program, _, slots = talk
    path = sorted((program.demo / "transcripts").iterdir())[0]
    path.write_text("1\n00:01:00,000 --> 00:01:01,000\nlate\n")
    try:
        bad = program("run", "--data", program.demo, "--encoders", slots.partition(",")[2], "--out", tmp_path)
        assert bad.code == 2
        assert "the last word begins at 60.00 s" in bad.err
        assert not list(tmp_path.rglob("history.csv"))
    finally:
        path.write_text(CUES)


def test_a_run_with_all_three_repeats(talk, record, tmp_path) -> None:
    program, silent, slots = talk
    given = ("--encoders", f"face=hf:{TINY_VIT},{slots}", "--epochs", 1)
    results = [record(program.run(tmp_path, name, *given))["result"] for name in ("one", "two")]
    assert results[0] == results[1]
    table = pd.read_parquet(tmp_path / "one" / "predictions" / "val.parquet")
    assert not table[table["video"] == silent]["present_text"].any()
    assert 0.6 < table[table["video"] != silent]["present_text"].mean() < 1
    weights = {block["slot"]: block for block in results[0]["passports"]}
    assert set(weights) == {"face", "audio", "text"}
    assert all(len(block["sha256"]) == 64 for block in weights.values())


def test_a_video_is_predicted_with_the_subtitles_next_to_it(talk, tmp_path, monkeypatch) -> None:
    """In one pass and by way of a data folder, bit for bit."""
    program, _, slots = talk
    run = program.run(tmp_path, "spoken", "--encoders", f"frame=hf:{TINY_VIT},{slots}", "--epochs", 1)
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    write_click_video(tmp_path / "clip.mp4", n_frames=70, variable=True, sound_start=0.4)
    (tmp_path / "clip.srt").write_text(CUES)
    assert assert_equal(run, [tmp_path / "clip.mp4"], tmp_path / "work") == {"clip": 1}


def test_a_classifier_of_faces_is_scored_without_training(talk, record, tmp_path) -> None:
    program, *_ = talk
    tiny_hf.save("vit", tmp_path / "vit")
    given = ("--zero-shot", "--track", "expr", "--encoders", f"face=hf:{tmp_path}/vit")
    result = record(program.run(tmp_path, "ready", *given))["result"]
    assert 0 <= result["scores"]["raw"]["main"] <= 1


def test_all_three_are_trained_on(talk, record, tmp_path) -> None:
    program, _, slots = talk
    folder = program.run(
        tmp_path,
        "tuned",
        *("--encoders", f"face=hf:{TINY_VIT},{slots}", "--epochs", 1),
        *("--finetune", "face", "--finetune", "audio", "--finetune", "text"),
        *("--set", "encoder.face.layer=learned", "--set", "encoder.text.layer=learned"),
    )
    result = record(folder)["result"]
    assert result["steps"] >= 1
    assert np.isfinite(result["scores"]["raw"]["main"])
