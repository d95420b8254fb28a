"""`harness bench`: the sentence with made-up rates, the work it cuts, and the whole command on a crumb."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.benchmarks.bottleneck import Setting, Stage, sentence, shares
from harness.benchmarks.measure import Rates
from harness.benchmarks.workload import cut, own_cache
from harness.cli.commands.bench import setting
from harness.config.schema import load_config
from harness.runs.job import make_job
from tests.support.program import Program
from tests.support.refusals import refused
from zoo.weights.cards import cache_dir

SETTING = Setting(folder="DIR", packed=False, gpu=False, bf16_unused=False, trained=(), epochs=10)


def stage(kind: str, rate: float, passes: float = 1.0, *, once: bool = False, whole: bool = False) -> Stage:
    return Stage(kind, kind, Rates((rate,)), Rates((2 * rate,)), "a limit", passes, once, whole)


def test_shares_are_of_the_time_of_a_run() -> None:
    stages = [
        stage("decode", 10, once=True),
        stage("encode", 20, once=True),
        stage("train", 100, 10),
        stage("evaluate", 100, 5),
    ]
    assert shares(stages) == pytest.approx(
        {"decode": 0.1 / 0.3, "encode": 0.05 / 0.3, "train": 0.1 / 0.3, "evaluate": 0.05 / 0.3}
    )
    # Decoding beside encoding: both together take 0.06 s, not 0.15 s.
    beside = shares([*stages, stage("extract", 1 / 0.06, whole=True)])
    assert beside["decode"] == pytest.approx(0.04 / 0.21)
    assert sum(beside.values()) == pytest.approx(1)


@pytest.mark.parametrize("here", [True, False])
def test_bfloat16_is_advised_where_the_machine_has_it(
    program: Program, monkeypatch: pytest.MonkeyPatch, here: bool
) -> None:
    monkeypatch.setattr("harness.cli.commands.bench.computes_bfloat16", lambda _: here)
    for precision, unused in (("auto", False), ("float32", here)):
        job = make_job(load_config(None, {"data_dir": str(program.demo)}, [f"features.precision={precision}"]))
        assert setting(job).bf16_unused == unused


@pytest.mark.parametrize(
    ("slow", "setting", "said"),
    [
        (
            "decode",
            SETTING,
            "decoding: 83% of the time of a run of 10 epochs, the first with these features; pack the "
            "data: harness data pack DIR",
        ),
        ("decode", replace(SETTING, packed=True), "cores"),
        ("decode", replace(SETTING, folder=None), "cores"),
        ("encode", SETTING, "a GPU"),
        ("encode", replace(SETTING, bf16_unused=True), "features.precision=bf16"),
        ("encode", replace(SETTING, gpu=True), "several GPUs"),
        ("train", SETTING, "smaller --head"),
        ("train", replace(SETTING, gpu=True), "train.batch"),
        ("train", replace(SETTING, trained=("face",)), "the encoders of face are trained"),
        ("evaluate", SETTING, "train.validate_every=5"),
    ],
)
def test_the_sentence_names_what_is_slow_and_what_to_do(slow: str, setting: Setting, said: str) -> None:
    kinds = ("decode", "encode", "train", "evaluate")
    stages = [stage(kind, 3 / 45 if kind == slow else 1.0) for kind in kinds]  # 15 s, and 1 s each of the others
    assert said in sentence(stages, setting)
    assert "83%" in sentence(stages, setting)


def test_work_is_cut_with_its_labels_and_masks(program: Program) -> None:
    job = make_job(load_config("demo", {"data_dir": str(program.demo), "encoders": "face"}, []))
    small = cut(job, videos=1, frames=10)
    assert [video.split for video in small.index.videos] == ["train", "val"]
    for video in small.index.videos:
        whole = next(v for v in job.index.videos if v.name == video.name)
        assert video.n_frames == len(video.labels) == len(video.rows) == len(video.crop_frames) == 10
        np.testing.assert_array_equal(video.labels, whole.labels[:10])
    nothing = replace(job.index, videos=tuple(replace(v, labels=v.labels * np.nan) for v in job.index.videos))
    with refused("bench-no-labelled-frame"):
        cut(replace(job, index=nothing), videos=1, frames=10)


def test_the_cache_of_the_measurement_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path))
    for name in ("weights", "features"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    with own_cache() as folder:
        assert cache_dir() == folder != tmp_path
        assert (folder / "weights" / "file").read_text() == "x"
        assert not (folder / "features").exists()
    assert os.environ["ABAW_ZOO_CACHE"] == str(tmp_path)
    assert not folder.exists()
    assert (tmp_path / "weights" / "file").is_file()


@pytest.mark.slow
def test_the_command_measures_every_stage(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    own = replace(program, cache=tmp_path / "cache")
    answer = own(
        "bench",
        "--data",
        program.demo,
        "--encoders",
        "face,audio",
        "--set",
        "train.batch=1",
        "--rounds",
        1,
        "--frames",
        40,
        "--set",
        "features.chunk=8",
        "--set",
        "encoder.face.size=112",
        "--json",
        file,
    )
    assert answer.code == 0, answer.err
    content = json.loads(file.read_text())
    names = [row["name"] for row in content["stages"]]
    assert names == ["decode", "encode face", "extract", "train", "evaluate"]
    assert all(row["rate"]["rounds"][0] > 0 and row["limit"]["rounds"][0] > 0 for row in content["stages"])
    assert sum(content["shares"].values()) == pytest.approx(1)
    assert content["verdict"] in answer.out
    assert all(name in answer.out for name in names)
    assert not list(own.cache.glob("features/*"))


def test_a_file_that_cannot_be_written_is_said(program: Program, tmp_path: Path) -> None:
    answer = program(
        "bench",
        "--data",
        program.demo,
        "--encoders",
        "face",
        "--rounds",
        1,
        "--frames",
        40,
        "--json",
        tmp_path / "none" / "bench.json",
    )
    answer.refused("bench-json-no-folder")
