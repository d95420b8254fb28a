"""Whole runs with fine-tuning: what is recorded, and that parts of a batch and other settings train the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.config.recorded import recorded
from harness.config.schema import RunConfig, Train
from harness.config.training_options import NEWER
from harness.training import loop
from tests.harness.predicting.test_one_pass import assert_equal
from tests.support.media import write_click_video
from zoo.errors import Stopped

FEW = ["train.epochs=2", "train.clip=8", "train.batch=4", "train.batch_norm=frozen", "train.lr=1e-3"]
FACE = ("--encoders", "face,context", "--finetune", "face", "--set", "encoder.face.size=32")


def test_records_leave_out_newer_settings_at_their_defaults() -> None:
    """So that the ``result_sha256`` of a run is the one that it had before they existed."""
    assert not set(NEWER) & set(recorded(RunConfig())["train"])
    changed = recorded(RunConfig(train=Train(stride=2, encoder_lr=1e-5, compile=True)))["train"]
    assert {name: changed[name] for name in NEWER if name in changed} == {
        "stride": 2,
        "encoder_lr": 1e-5,
        "compile": True,
    }
    assert RunConfig(**recorded(RunConfig(seed=3))) == RunConfig(seed=3)


def run(program: Any, out: Path, name: str, *sets: str) -> Path:
    return program.run(out, name, *FACE, *(part for text in (*FEW, *sets) for part in ("--set", text)))


@pytest.mark.slow
def test_a_batch_in_parts_and_computed_again_trains_the_same(program: Any, tmp_path: Path, record: Any) -> None:
    """CCC by the exact way, with gradient checkpointing of encoders and heads, to 1e-4 after two epochs.

    By SGD: a step of AdamW moves a weight by its rate even if its gradient is little but rounding.
    """
    sgd = ("train.optimizer=sgd", "train.lr=0.01")
    plain = record(run(program, tmp_path, "plain", *sgd))
    parts = (*sgd, "train.accumulate=3", "train.accumulation=exact", "train.grad_checkpoint=all")
    same = record(run(program, tmp_path, "parts", *parts))
    scores = [one["result"]["scores"]["raw"]["main"] for one in (plain, same)]
    assert scores[1] == pytest.approx(scores[0], abs=1e-4)


@pytest.mark.slow
def test_the_groups_are_recorded_and_a_run_repeats_itself(program: Any, tmp_path: Path, record: Any) -> None:
    tuning = ("train.encoder_lr=1e-4", "train.layer_decay=0.5", "train.unfreeze=1")
    tuning += ("train.schedule=cosine", "train.encoder_warmup=0.1")
    sampling = ("train.stride=2", "train.overlap=0.5", "train.balance=labels")
    first, second = (record(run(program, tmp_path, name, *tuning, *sampling)) for name in ("a", "b"))
    assert first["result_sha256"] == second["result_sha256"]
    groups = first["circumstances"]["parameter_groups"]
    rates = {group["name"]: group["lr"] for group in groups}
    assert rates["model"] == 1e-3
    assert rates["encoder face layer 16"] == 1e-4
    assert rates["encoder face layer 14"] == pytest.approx(0.25e-4)
    assert sum(group["parameters"] for group in groups) == first["result"]["parameters"]["trained"]
    assert first["result"]["config"]["train"]["stride"] == 2


@pytest.mark.slow
def test_a_stopped_fine_tuning_goes_on_where_it_was(program: Any, tmp_path: Path, record: Any) -> None:
    """Stopped after the epoch in which the encoder was frozen: the layers to train follow from the epoch alone."""
    settings = ("train.encoder_lr=1e-3", "train.unfreeze=1", "train.unfreeze_every=0", "train.epochs=3")
    whole = record(run(program, tmp_path, "whole", *settings))
    plain = loop._Loop.end_epoch

    def stopping(self: Any, *, last: bool) -> None:
        plain(self, last=last)
        raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._Loop, "end_epoch", stopping)
        sets = [part for text in (*FEW, *settings) for part in ("--set", text)]
        answer = program("run", "--data", program.demo, "--out", tmp_path, "--name", "stopped", *FACE, *sets)
        assert answer.code != 0
    answer = program("run", "--resume", tmp_path / "stopped")
    assert answer.code == 0, answer.err + answer.out
    assert record(tmp_path / "stopped")["result_sha256"] == whole["result_sha256"]


@pytest.mark.slow
def test_a_run_at_a_stride_predicts_every_frame_of_a_video(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one reading, bit for bit as of a data folder, with a trained encoder of pictures and one of sound."""
    slots = ("--encoders", "frame,audio", "--finetune", "frame", "--set", "encoder.frame.size=32")
    sets = [part for text in (*FEW, "train.stride=3") for part in ("--set", text)]
    folder = program.run(tmp_path, "strided", *slots, *sets)
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    write_click_video(tmp_path / "a.mp4", n_frames=70, variable=True, sound_start=0.4)
    assert assert_equal(folder, [tmp_path / "a.mp4"], tmp_path / "work") == {"a": 1}
