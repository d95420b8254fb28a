"""Runs with adapters: what is trained, saved and recorded, and everything that reads a finished run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("peft", reason="peft is an extra (lora)")

from harness.config.recorded import recorded, with_left_out
from harness.config.schema import RunConfig
from harness.runs.exposure import exposure_metadata
from harness.runs.finished import note_files
from harness.runs.starting_weights import base_of
from harness.training import loop
from tests.harness.predicting.test_one_pass import assert_equal
from tests.support.media import write_click_video
from tests.support.refusals import Part
from zoo.errors import Stopped
from zoo.files import file_sha256
from zoo.model.lora import is_adapter
from zoo.model.model import build_encoder
from zoo.registry.plan import Plan, make_plan
from zoo.registry.registry import load
from zoo.registry.tracks import find_track
from zoo.weights.loading import load_pretrained

FEW = ("train.epochs=2", "train.clip=8", "train.batch=4", "encoder.face.size=32", "train.lr=1e-3")
SETS = tuple(part for text in (*FEW, "train.average=ema") for part in ("--set", text))
FACE = ("--encoders", "face,context", "--adapt", "face=lora:rank=4,dropout=0.1", *SETS)
WRITTEN = "face=lora:rank=4,alpha=8,dropout=0.1,rslora=false,dora=false,targets=auto"


def test_records_leave_out_no_adapters() -> None:
    """So that the ``result_sha256`` of a run is the one that it had before they existed."""
    assert "adapt" not in recorded(RunConfig())
    settings = recorded(RunConfig(adapt=("face=lora",)))
    assert settings["adapt"] == ["face=lora"]
    assert with_left_out(recorded(RunConfig()))["adapt"] == []


def test_mistakes_are_refused_before_training(program: Any, tmp_path: Path) -> None:
    base = ("run", "--data", program.demo, "--out", tmp_path, "--encoders", "face,audio")
    program(*base, "--adapt", "face=lora:rank=1000").refused("adapt-rank", slot="face", rank=1000)
    program(*base, "--adapt", "face=lora:targets=nothing").refused("adapt-no-layers", slot="face")
    program(*base, "--adapt", "audio=lora").refused("adapt-not-pretrained", name="audio", name2="melcnn")
    program(*base, "--adapt", "face=lora", "--finetune", "face").refused("adapt-and-finetune", slot="face")
    program(*base, "--set", "train.adapt=face").refused("setting-unknown", hint=Part("adapt"))
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_check_names_what_is_adapted_and_what_is_left(program: Any, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('encoders = "face"\nadapt = ["face=lora:rank=4"]\n')
    answer = program("check", "--recipe", recipe)
    assert answer.code == 0, answer.err
    assert "adapters of face (lora:rank=4,alpha=8," in answer.out
    assert "grouped convolution: 16 (" in answer.out


@pytest.mark.slow
def test_a_run_holds_its_adapters_and_names_their_base(program: Any, record: Any) -> None:
    folder = program.kept(*FACE)
    weights = folder / "weights.safetensors"
    learned, whole = load_file(weights), record(folder)
    names = {name for name in learned if name.startswith("encoders.")}
    assert names
    assert all(is_adapter(name) for name in names)
    assert any(bool(learned[name].any()) for name in names if "lora_B" in name)
    (face,) = (card for card in whole["result"]["passports"] if card["slot"] == "face")
    assert base_of(weights) == {"face": {"name": face["name"], "sha256": face["sha256"]}}
    assert whole["result"]["config"]["adapt"] == [WRITTEN]
    groups = whole["circumstances"]["parameter_groups"]
    trained = whole["result"]["parameters"]["trained"]
    assert sum(group["parameters"] for group in groups) == trained
    assert sum(g["parameters"] for g in groups if "face" in g["name"]) == sum(learned[n].numel() for n in names)
    assert weights.stat().st_size < 4 * 2 * trained + 2e6  # the pretrained encoder alone has 13 MB


@pytest.mark.slow
def test_the_base_stays_bit_for_bit_and_a_stopped_run_goes_on(program: Any, tmp_path: Path, record: Any) -> None:
    """Also under an average of the weights. The checkpoint has the whole encoder, with its norms' statistics."""
    whole = record(program.kept(*FACE))
    plain = loop._Loop.end_epoch

    def stopping(self: Any, *, last: bool) -> None:
        plain(self, last=last)
        raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._Loop, "end_epoch", stopping)
        program("run", "--data", program.demo, "--out", tmp_path, "--name", "stopped", *FACE)
    saved = torch.load(tmp_path / "stopped" / "state.ckpt", weights_only=True)
    (slot,) = plan_of_face().slots
    encoder = build_encoder(slot)
    load_pretrained(encoder, slot.passport)
    inside = {n.removeprefix("encoders.face.").replace(".base_layer", ""): t for n, t in saved["best"].items()}
    for name, tensor in encoder.state_dict().items():
        torch.testing.assert_close(inside[name], tensor, rtol=0, atol=0)
    answer = program("run", "--resume", tmp_path / "stopped")
    assert answer.code == 0, answer.err + answer.out
    assert record(tmp_path / "stopped")["result_sha256"] == whole["result_sha256"]


def plan_of_face() -> Plan:
    registry = load([])
    answers = find_track(registry, "va", None)[1].answers
    options = {"encoder.face.size": 32}
    return make_plan(registry, encoders="face", fusion="late", head="gru", answers=answers, options=options)


@pytest.mark.slow
def test_finished_runs_are_read_and_other_bases_refused(program: Any, tmp_path: Path, record: Any) -> None:
    """Evaluated, merged and started from; with another file under the adapters, nothing of it."""
    folder = shutil.copytree(program.kept(*FACE), tmp_path / "run")
    before = record(folder)["result"]["scores"]["raw"]["main"]
    answer = program("evaluate", folder)
    assert answer.code == 0, answer.err + answer.out
    assert record(folder)["result"]["scores"]["raw"]["main"] == before

    merged = tmp_path / "merged.safetensors"
    answer = program("weights", "merge", folder, merged)
    assert answer.code == 0, answer.err
    assert exposure_metadata(merged) == exposure_metadata(folder / "weights.safetensors")
    plain = ("--encoders", "face,context", "--set", f"encoder.face.weights={merged}", *SETS)
    frozen = program.run(tmp_path, "from-merged", *plain)
    card = next(card for card in record(frozen)["result"]["passports"] if card["slot"] == "face")
    assert card["sha256"] == file_sha256(merged)
    assert card["saw"]  # the training of the adapters is known
    program("weights", "merge", frozen, tmp_path / "x.safetensors").refused("adapters-merge-which", names="none")
    program("weights", "merge", folder, tmp_path / "x.pth").refused("adapters-merge-suffix")
    alone = ("--encoders", "face", "--set", f"encoder.face.weights={folder / 'weights.safetensors'}", *SETS)
    program("run", "--data", program.demo, "--out", tmp_path, *alone).refused("weights-are-adapters", slot="face")

    other = weights_with(folder / "weights.safetensors", tmp_path / "other", "0" * 64)
    program("evaluate", other).refused("adapters-other-base", slot="face", wanted="0" * 12)


def weights_with(path: Path, folder: Path, sha256: str) -> Path:
    """Copy a run whose weights name another base; its record knows the file."""
    shutil.copytree(path.parent, folder)
    with safetensors.safe_open(path, "pt") as file:
        said = file.metadata()
    base = json.loads(said["base"])
    base["face"]["sha256"] = sha256
    said = {"saw": said["saw"], "base": json.dumps(base)}
    save_file(load_file(path), folder / "weights.safetensors", said)
    note_files(folder, ["weights.safetensors"])
    return folder


@pytest.mark.slow
def test_a_video_is_predicted_in_one_pass(program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = [text.replace("face", "frame") for text in SETS]
    folder = program.run(tmp_path, "frames", "--encoders", "frame", "--adapt", "frame=lora:rank=4", *few)
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    write_click_video(tmp_path / "a.mp4", n_frames=60)
    assert assert_equal(folder, [tmp_path / "a.mp4"], tmp_path / "work") == {"a": 1}


@pytest.mark.slow
def test_parts_of_a_batch_and_checkpoints_train_the_same(program: Any, tmp_path: Path, record: Any) -> None:
    """By SGD, to 1e-4 after two epochs; batch norms need no setting, because adapted encoders keep theirs."""
    sgd = ("train.optimizer=sgd", "train.lr=0.01")
    parts = ("train.accumulate=3", "train.accumulation=exact", "train.grad_checkpoint=all")
    scores = []
    for name, more in (("plain", sgd), ("parts", (*sgd, *parts))):
        sets = [part for text in more for part in ("--set", text)]
        folder = program.run(tmp_path, name, *FACE, *sets)
        scores.append(record(folder)["result"]["scores"]["raw"]["main"])
    assert scores[1] == pytest.approx(scores[0], abs=1e-4)
