"""A stream that the harness has never heard of, from a plugin file: read, trained on, masked, recorded."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.data.streams.raw_inputs import RawSlot
from harness.runs.job import make_job
from tests.support.paths import STRANGERS
from zoo.files import file_sha256
from zoo.model.model import build_encoder
from zoo.registry.registry import load
from zoo.testing import encoder_checks

PLUGIN = STRANGERS / "text_stream.py"
SPOKEN = ("good", 0.1, 0.3), ("morning", 0.25, 0.5)  # together from 0.25 to 0.3 s


@pytest.fixture(scope="module")
def talk(program, tmp_path_factory):
    """The crumb set with words for every video but the first of validation."""
    root = Path(shutil.copytree(program.demo, tmp_path_factory.mktemp("talk") / "data"))
    (root / "TEXT").mkdir()
    silent = sorted((root / "annotations").glob("VA*/Validation_Set/*.txt"))[0].stem
    for crops in (root / "cropped_aligned").iterdir():
        if crops.name != silent:
            rows = "".join(f"{word},{start},{end}\n" for word, start, end in SPOKEN)
            (root / "TEXT" / f"{crops.name}.csv").write_text("word,start,end\n" + rows)
    return replace(program, demo=root), silent


@pytest.fixture(scope="module")
def embed():
    spec = importlib.util.spec_from_file_location("text_stream", PLUGIN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.embed


@pytest.mark.parametrize("check", encoder_checks(load([PLUGIN]).get("encoders", "words")), ids=str)
def test_its_encoder_keeps_the_rules(check):
    check()


def test_words_are_read_at_the_frames_times(talk, embed, monkeypatch):
    from harness.config.schema import load_config

    program, silent = talk
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    flags = {"data_dir": str(program.demo), "plugin": [str(PLUGIN)], "encoders": "said"}
    job = make_job(load_config(None, flags, []), progress=False)
    slot = job.plan.slots[0]
    raw = RawSlot(job.index, slot, build_encoder(slot))
    video = next(v for v in job.index.videos if v.name != silent)
    times = raw.reader(video.name).source.times()
    vectors, present = raw.clip(video.name, 0, len(times))["vectors"], raw.present(video.name)
    assert present.tolist() == [0.1 <= t < 0.5 for t in times]
    for t, vector in zip(times, vectors, strict=True):
        said = [embed(word) for word, start, end in SPOKEN if start <= t < end]
        np.testing.assert_allclose(vector, np.mean(said, 0) if said else np.zeros(16), atol=1e-6)
    assert not raw.present(silent).any()
    np.testing.assert_array_equal(raw.clip(video.name, 5, 9)["vectors"], vectors[5:9])


@pytest.mark.slow
def test_two_steps_with_a_face_and_a_head(talk, record, tmp_path):
    program, silent = talk
    folder = program.run(tmp_path, "talk", "--encoders", "face,said", "--plugin", PLUGIN, "--epochs", 2)
    result = record(folder)["result"]
    assert (result["steps"], result["plugins"]) == (2, [f"text_stream.py sha256 {file_sha256(PLUGIN)}"])
    table = pd.read_parquet(folder / "predictions" / "val.parquet")
    assert not table[table["video"] == silent]["present_said"].any()
    assert 0.3 < table[table["video"] != silent]["present_said"].mean() < 0.7  # 0.4 of 0.8 seconds
    assert np.isfinite(table["valence"]).all()


@pytest.mark.slow
def test_alone_what_is_said_changes_the_answer(talk, tmp_path):
    """The same run on other words, up to its last frame without any, has other answers."""
    program, _ = talk
    answers = []
    for name in ("one", "two"):
        folder = program.run(tmp_path, name, "--encoders", "said", "--plugin", PLUGIN, "--epochs", 2)
        answers.append(pd.read_parquet(folder / "predictions" / "val.parquet")["valence"])
        for path in (program.demo / "TEXT").iterdir():
            path.write_text(path.read_text().replace("good", "bad"))
    assert not np.allclose(*answers)


def test_the_command_line_knows_it(program, talk):
    listed = program("list", "streams", "--plugin", PLUGIN)
    assert "the words that are spoken" in listed.out
    wrong = program("run", "--data", talk[0].demo, "--plugin", PLUGIN, "--encoders", "said=lite0")
    wrong.refused("encoder-reads", kind="frames", name2="said", kind2="vectors")


def test_a_bad_line_of_its_files_ends_the_run_before_training(talk, tmp_path):
    program, _ = talk
    path = sorted((program.demo / "TEXT").iterdir())[0]
    path.write_text("word,start,end\ngood,early,late\n")
    bad = program("run", "--data", program.demo, "--plugin", PLUGIN, "--encoders", "said", "--out", tmp_path)
    bad.refused("plugin-error", match=f"{path}, line 2: ")
    assert not list(tmp_path.rglob("history.csv"))
