"""Optimisers, averaged weights, mixup, delay and closed gaps in whole (small) runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from harness.training import loop

QUICK = ("--epochs", 3, "--set", "train.batch=2", "--set", "train.clip=12", "--post", "clip")
Read = Callable[[Path], dict[str, Any]]


def sets(*settings: str) -> tuple[str, ...]:
    return tuple(part for setting in settings for part in ("--set", setting))


AIDS = {
    "sgd": sets("train.optimizer=sgd", "train.schedule=plateau", "train.plateau=0", "train.select=best"),
    "adam": sets("train.optimizer=adam", "train.schedule=constant"),
    "ema": sets("train.average=ema", "train.ema_decay=0.9"),
    "swa": sets("train.average=swa", "train.swa_start=0.3", "train.select=last"),
    "mixup": sets("train.mixup=0.4"),
    "noise": sets("train.feature_noise=0.3"),
    "dropout": sets("train.modality_dropout=0.5"),
    "delay": sets("train.delay=0.2"),
    "gaps": sets("train.gaps=close"),
    "per_slot": sets("fusion.per_slot=0.3"),
}


@pytest.fixture(scope="module")
def plain(program, tmp_path_factory) -> dict[str, torch.Tensor]:
    return load_file(program.run(tmp_path_factory.mktemp("plain"), "plain", *QUICK) / "weights.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("aid", AIDS)
def test_every_aid_changes_what_is_learned_and_repeats(program, plain, tmp_path: Path, record: Read, aid: str) -> None:
    folders = [program.run(tmp_path, name, *QUICK, *AIDS[aid]) for name in ("one", "two")]
    one, two = (load_file(folder / "weights.safetensors") for folder in folders)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert one.keys() >= plain.keys()
    assert any(not torch.equal(one[name], plain[name]) for name in plain)
    first, second = (record(folder)["result"]["scores"] for folder in folders)
    assert first == second


@pytest.mark.slow
def test_learned_weights_of_kinds_of_answers(program, tmp_path: Path) -> None:
    folder = program.run(tmp_path, "mtl", "--track", "mtl", *QUICK, *sets("train.mtl=uncertainty"))
    learned = load_file(folder / "weights.safetensors")["losses.log_variance"]
    assert learned.shape == (3,)
    assert learned.abs().min() > 0


@pytest.mark.slow
@pytest.mark.parametrize("average", ["none", "ema", "swa"])
def test_a_run_stopped_and_continued_ends_with_the_same_weights(program, tmp_path, monkeypatch, average: str) -> None:
    """Stopped after every second step, again and again."""
    settings = (*QUICK, *sets(f"train.average={average}", "train.swa_start=0.3", "train.mixup=0.2"))
    whole = load_file(program.run(tmp_path, "whole", *settings) / "weights.safetensors")
    stops = 0

    @contextmanager
    def impatient() -> Iterator[Callable[[], bool]]:
        asked = 0

        def stop() -> bool:
            nonlocal asked
            asked += 1
            return asked > 4  # it is asked twice a step

        yield stop

    monkeypatch.setattr(loop, "stoppable", impatient)
    answer = program(
        "run", "--data", program.demo, "--out", tmp_path, "--name", "parts", "--encoders", "face,context", *settings
    )
    while answer.code == 130:
        stops += 1
        answer = program("run", "--resume", tmp_path / "parts")
    assert answer.code == 0, answer.err
    assert stops >= 2
    parts = load_file(tmp_path / "parts" / "weights.safetensors")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
