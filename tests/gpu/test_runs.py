"""Whole runs on a GPU through the command line."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from harness.training import loop
from tests.harness.runtime.test_two_processes import finished, launch, options
from zoo.model.model import Batch, Model

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")]
Read = Callable[[Path], dict[str, Any]]
QUICK = (
    "--encoders",
    "face,audio",
    "--epochs",
    3,
    "--post",
    "clip",
    "--set",
    "train.batch=2",
    "--set",
    "train.clip=12",
)


def main_score(result: dict[str, Any]) -> float:
    score: float = result["result"]["scores"]["raw"]["main"]
    return score


@pytest.fixture(scope="module")
def on_gpu(program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of some steps, a frozen face and a trained sound encoder."""
    folder: Path = program.run(tmp_path_factory.mktemp("gpu"), "cuda", *QUICK, "--device", "cuda")
    return folder


def test_a_run_ends_well(on_gpu: Path, record: Read) -> None:
    found = record(on_gpu)
    assert found["status"] == "done"
    assert found["circumstances"]["device"].startswith("cuda")
    assert np.isfinite(pd.read_csv(on_gpu / "history.csv")["loss"]).all()
    assert all(value.isfinite().all() for value in load_file(on_gpu / "weights.safetensors").values())
    assert found["result"]["submission"]["rows"] > 0


def test_it_is_repeated(program, on_gpu: Path, tmp_path: Path, record: Read) -> None:
    """The same batches, dropout and steps. Bit for bit is promised on processors: on a GPU deterministic algorithms
    are asked for where there are some (`warn_only`), so what remains is the order of sums."""
    again = program.run(tmp_path, "again", *QUICK, "--device", "cuda")
    weights, wanted = (load_file(folder / "weights.safetensors") for folder in (again, on_gpu))
    assert weights.keys() == wanted.keys()
    for name, value in weights.items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-3, atol=1e-4)
    assert main_score(record(again)) == pytest.approx(main_score(record(on_gpu)), abs=1e-3)
    histories = [pd.read_csv(folder / "history.csv") for folder in (again, on_gpu)]
    assert histories[0]["lr"].tolist() == histories[1]["lr"].tolist()


def test_it_is_close_to_the_processor(program, on_gpu: Path, tmp_path: Path, record: Read) -> None:
    """Dropout draws other numbers on another device, so only where nothing is drawn is a run the same."""
    still = ("--set", "train.modality_dropout=0", "--set", "train.output_dropout=0", "--set", "project.dropout=0")
    still += ("--set", "head.dropout=0", "--set", "features.precision=float32", "--set", "train.epochs=1")
    runs = [program.run(tmp_path, device, *QUICK, *still, "--device", device) for device in ("cuda", "cpu")]
    losses = [pd.read_csv(folder / "history.csv")["loss"].iloc[0] for folder in runs]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    scores = [main_score(record(folder)) for folder in runs]
    assert scores[0] == pytest.approx(scores[1], abs=0.03)


def test_bfloat16(program, on_gpu: Path, tmp_path: Path, record: Read) -> None:
    """Near the float32 run, and not it; the weights stay float32."""
    rough = program.run(tmp_path, "rough", *QUICK, "--device", "cuda", "--precision", "bf16-mixed")
    assert record(rough)["result"]["config"]["train"]["precision"] == "bf16-mixed"
    apart = abs(main_score(record(rough)) - main_score(record(on_gpu)))
    assert 0 < apart < 0.05
    assert {value.dtype for value in load_file(rough / "weights.safetensors").values()} == {torch.float32}


def test_a_run_stopped_again_and_again_is_continued_on_the_card(
    program, on_gpu: Path, tmp_path: Path, record: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Model, optimizer and schedule come back from the checkpoint to where the training is."""

    @contextmanager
    def impatient() -> Iterator[Callable[[], bool]]:
        asked = itertools.count(1)
        yield lambda: next(asked) > 4

    monkeypatch.setattr(loop, "stoppable", impatient)
    start = ("--data", program.demo, "--out", tmp_path, "--name", "parts", *QUICK, "--device", "cuda")
    answer, stops = program("run", *start), 0
    while answer.code == 130:
        stops += 1
        answer = program("run", "--resume", tmp_path / "parts")
    assert answer.code == 0, answer.err
    assert stops >= 2
    weights, wanted = (load_file(folder / "weights.safetensors") for folder in (tmp_path / "parts", on_gpu))
    for name, value in weights.items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-3, atol=1e-4)
    assert main_score(record(tmp_path / "parts")) == pytest.approx(main_score(record(on_gpu)), abs=1e-3)


def test_out_of_memory_in_evaluation_halves_the_batch(
    program, on_gpu: Path, tmp_path: Path, record: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card itself is asked for more than it has, whenever more than one window is answered at once."""
    whole = Model.forward

    def forward(self: Model, batch: Batch) -> Any:
        if not self.training and len(batch.valid) > 1:
            torch.empty(2 * torch.cuda.get_device_properties(0).total_memory, dtype=torch.uint8, device="cuda")
        return whole(self, batch)

    monkeypatch.setattr(Model, "forward", forward)
    folder = program.run(tmp_path, "tight", *QUICK, "--device", "cuda")
    assert record(folder)["circumstances"]["out_of_memory"] == [{"where": "evaluation", "batch": 1}]
    assert main_score(record(folder)) == pytest.approx(main_score(record(on_gpu)), abs=1e-3)


def test_out_of_memory_in_training_names_what_fits(program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Model.forward

    def forward(self: Model, batch: Batch) -> Any:
        if self.training and batch.valid.numel() > 24:
            torch.empty(2 * torch.cuda.get_device_properties(0).total_memory, dtype=torch.uint8, device="cuda")
        return whole(self, batch)

    monkeypatch.setattr(Model, "forward", forward)
    large = ("--encoders", "face", "--epochs", 1, "--set", "train.batch=4", "--set", "train.clip=24")
    answer = program("run", "--data", program.demo, "--out", tmp_path, "--name", "large", *large, "--device", "cuda")
    assert answer.code == 2
    assert "no memory on cuda" in answer.err
    assert "train.batch=1 or train.clip=6 fits" in answer.err


# --- several processes ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(torch.cuda.device_count() != 1, reason="about a machine with exactly one GPU")
def test_more_processes_than_cards_are_refused(program, tmp_path: Path) -> None:
    """NCCL takes one process a card, so two on one are refused before anything is started."""
    process = launch(program, *options(program, tmp_path, "run", 1), "--devices", 2, "--device", "cuda")
    err = process.communicate(timeout=300)[1]
    assert process.returncode == 2
    assert "--devices must be at most the number of GPUs, 1, got 2" in err


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="--devices 2 goes by NCCL, one process a card: it needs two")
def test_two_cards_give_the_run_of_one(program, tmp_path: Path, record: Read) -> None:
    for name, devices in (("one", 1), ("two", 2)):
        finished(launch(program, *options(program, tmp_path, name, 6), "--devices", devices, "--device", "cuda"))
    one, two = record(tmp_path / "one"), record(tmp_path / "two")
    assert two["circumstances"]["processes"] == 2
    assert main_score(two) == pytest.approx(main_score(one), abs=5e-3)
    for split in ("val", "test"):
        tables = [pd.read_parquet(tmp_path / name / "predictions" / f"{split}.parquet") for name in ("one", "two")]
        assert tables[0][["video", "frame"]].equals(tables[1][["video", "frame"]])
