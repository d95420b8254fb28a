"""What a run's choices and its starting weights saw is said, and what nobody may look at plays no part."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.config.schema import Chosen, Train
from harness.runs import provenance
from harness.runs.provenance import TrainingExposure
from harness.training.checkpoint import save_weights
from harness.training.epoch_choice import take_score
from harness.training.state import TrainingState
from leaderboards.tables import leaderboard, load_runs, to_markdown
from tests.support.refusals import refused
from zoo.weights.loading import convert, load_pretrained

Read = Callable[[Path], dict[str, Any]]
TUNED = (
    "--encoders",
    "face",
    "--finetune",
    "face",
    "--set",
    "train.clip=8",
    "--set",
    "train.batch=2",
    "--epochs",
    1,
    "--post",
    "clip",
)
BEST = ("--set", "train.select=best", "--set", "train.validate_every=1")
VA = TrainingExposure("abaw10", "va", "Aff-Wild2", False, ("a", "b"), ("c",))


def job(track: str = "va", synthetic: bool = False, fit: tuple[str, ...] = (), fold: int = -1) -> Any:
    """As much of a job as the guard asks for: val is video1 of group a and video2 of group c; test is video3 of b."""
    videos = {"train": [("video0", "d")], "val": [("video1", "a"), ("video2", "c")], "test": [("video3", "b")]}
    made = {split: [SimpleNamespace(name=n, group=g) for n, g in rows] for split, rows in videos.items()}
    return SimpleNamespace(
        track=SimpleNamespace(name=track, data="Aff-Wild2"),
        synthetic=synthetic,
        data_name="folder",
        edition=SimpleNamespace(name="abaw10"),
        config=SimpleNamespace(fit=fit, fold=fold, chosen=Chosen(), train=Train()),
        index=SimpleNamespace(split=lambda name: made.get(name, [])),
        stages=(),
    )


# --- choices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "selections", "saws", "wanted"),
    [
        (job(), 7, [], ("val", 7, True, [])),
        (job(), 0, [], (None, 0, False, [])),
        (job(fold=2), 7, [], ("next fold", 7, False, [])),
        (job(fold=2), 7, [VA], ("next fold", 7, True, ["video1"])),
        (job(fold=2), 0, [replace(VA, select=())], (None, 0, False, ["video1"])),
        (job(fold=2), 7, [replace(VA, synthetic=True)], ("next fold", 7, False, [])),
        (job(fit=("train", "val")), 0, [VA], (None, 0, False, ["video3"])),
    ],
)
def test_choices_of_a_run(made: Any, selections: int, saws: list[TrainingExposure], wanted: tuple[Any, ...]) -> None:
    said = provenance.selection_facts(made, selections, saws)
    assert list(said) == ["selection_split", "n_selections", "selected", "selected_on_reported", "seen"]
    assert said.pop("selected") == (["epoch"] if selections else [])
    assert tuple(said.values()) == wanted


class Plain(torch.nn.Linear):
    """A network without adapters."""

    adapted: tuple[str, ...] = ()
    pretrained: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("schedule", "select", "decided"),
    [
        ("cosine", "last", []),
        ("cosine", "best", ["epoch"]),
        ("plateau", "last", ["learning rate"]),
        ("plateau", "best", ["epoch", "learning rate"]),
    ],
)
def test_whatever_reads_validation_scores_is_a_selection(schedule: str, select: str, decided: list[str]) -> None:
    """The count is the loop's own: a score that steers nothing is none, one that lowers a rate is one."""
    settings = Train(schedule=schedule, select=select)  # type: ignore[arg-type]
    state = TrainingState(Plain(1, 1), settings, 10, {})  # type: ignore[arg-type]
    for score in (0.1, 0.3, 0.2):
        take_score(state, score)
    made = job()
    made.config.train = settings
    said = provenance.selection_facts(made, state.progress.selections, [])
    assert (said["selected"], said["n_selections"]) == (decided, 3 if decided else 0)
    assert said["selected_on_reported"] == bool(decided)
    assert said["selection_split"] == ("val" if decided else None)


def test_weights_that_saw_another_tracks_labels_are_marked() -> None:
    plain = {"slot": "face", "saw": ["AffectNet"], "seen_affwild2": None}
    assert provenance.annotate_weights(plain, [], job()) == plain
    own = provenance.annotate_weights(plain, [VA], job("va"))
    assert (own["saw"], own["other_tracks"], own["seen_affwild2"]) == (["AffectNet", "Aff-Wild2: abaw10 va"], [], None)
    other = provenance.annotate_weights(plain, [VA, VA], job("expr"))
    assert (other["other_tracks"], other["seen_affwild2"]) == (["abaw10 va"], True)
    images = replace(VA, edition="abaw7", track="mtl", data="s-Aff-Wild2")  # single images, the same labels
    assert provenance.annotate_weights(plain, [images], job("expr"))["seen_affwild2"] is True
    drawn = replace(VA, synthetic=True, data="demo")
    assert provenance.annotate_weights(plain, [drawn], job("expr", synthetic=True))["seen_affwild2"] is None
    assert provenance.annotate_weights(plain, [drawn], job("expr", synthetic=True))["other_tracks"] == ["abaw10 va"]
    assert provenance.annotate_weights(plain, [drawn], job("expr"))["other_tracks"] == []


def test_what_weights_saw_is_in_their_file_and_handed_on(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(path, {"x": torch.zeros(1)}, provenance.metadata(job(), 5, [VA]))
    own = TrainingExposure("abaw10", "va", "Aff-Wild2", False, ("d",), ("a", "c"))
    assert provenance.read_exposure(path) == [own, VA]
    convert(path, tmp_path / "converted.safetensors")
    assert provenance.read_exposure(tmp_path / "converted.safetensors") == [own, VA]
    save_weights(path, {"x": torch.zeros(1)}, provenance.metadata(job(), 0, [own]))
    assert provenance.read_exposure(path) == [replace(own, select=()), own]


@pytest.mark.parametrize("said", [{}, {"saw": "everything"}, {"saw": "[1]"}, {"saw": '[{"train": []}]'}])
def test_files_of_others_say_nothing(tmp_path: Path, said: dict[str, str]) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"x": torch.zeros(1)}, path, said)
    assert provenance.read_exposure(path) == []
    (tmp_path / "broken.safetensors").write_bytes(b"none")
    assert (
        provenance.read_exposure(tmp_path / "broken.safetensors")
        == provenance.read_exposure(tmp_path / "weights.pt")
        == []
    )


# --- weights of a run in another --------------------------------------------------------------------------------------


def test_an_encoder_is_found_among_a_runs_weights(tmp_path: Path) -> None:
    from zoo.api import ModelCard

    path = tmp_path / "weights.safetensors"
    net = torch.nn.Linear(2, 3)
    state = {f"encoders.face-b.{name}": tensor + 1 for name, tensor in net.state_dict().items()}
    passport = ModelCard("run", None, "?", "a run", path=str(path))
    save_file({**state, "encoders.audio.weight": torch.zeros(4), "fusion.weight": torch.zeros(1)}, path)
    fresh = torch.nn.Linear(2, 3)
    loaded = load_pretrained(fresh, passport)
    assert loaded.notes == ("taken from slot 'face-b' of a run",)
    assert torch.equal(fresh.weight, net.weight + 1)
    twice = tmp_path / "twice.safetensors"
    save_file({**state, **{name.replace("face-b", "face"): tensor + 1 for name, tensor in state.items()}}, twice)
    with refused("weights-of-many-slots", count=2, names="face-b, face"):
        load_pretrained(fresh, dataclasses.replace(passport, path=str(twice)))


@pytest.fixture(scope="module")
def tuned(program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that trains its face encoder on, and chooses its epoch on val."""
    out = tmp_path_factory.mktemp("guard")
    return program.run(out, "tuned", *TUNED, *BEST)


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [True, False])
def test_a_fold_that_begins_with_weights_that_saw_it_says_so(
    program, tuned: Path, tmp_path: Path, record: Read, frozen: bool
) -> None:
    begin = ("--set", f"encoder.face.weights={tuned / 'weights.safetensors'}", "--set", "folds=3", "--set", "fold=0")
    how = ("--encoders", "face", "--epochs", 1, "--post", "clip", *BEST) if frozen else (*TUNED, *BEST)
    folder = program.run(tmp_path, "fold", *how, *begin)
    result = record(folder)["result"]
    own = record(tuned)["result"]
    (before,) = provenance.read_exposure(tuned / "weights.safetensors")
    table = pd.read_parquet(folder / "predictions" / "cv3-0.parquet").drop_duplicates("video")
    wanted = sorted(table[table["group"].isin(before.train)]["video"])
    assert wanted
    assert result["seen"] == wanted
    assert own["seen"] == []
    assert (result["selection_split"], result["selected_on_reported"]) == (
        "next fold",
        bool(set(table["group"]) & set(before.select)),
    )
    assert result["passports"][0]["saw"][-1] == "demo: abaw10 va"
    assert provenance.read_exposure(folder / "weights.safetensors")[1:] == [before]
    records, _ = load_runs(tmp_path)
    assert "fold †" in to_markdown(leaderboard(records))
    if not frozen:
        assert load_file(folder / "weights.safetensors").keys() == load_file(tuned / "weights.safetensors").keys()


@pytest.mark.slow
def test_a_plain_run_after_it_has_seen_no_video_of_val(program, tuned: Path, tmp_path: Path, record: Read) -> None:
    begin = ("--set", f"encoder.face.weights={tuned / 'weights.safetensors'}")
    other = ("--track", "expr", "--encoders", "face", "--epochs", 1, "--post", "clip")
    result = record(program.run(tmp_path, "plain", *other, *begin))["result"]
    assert result["seen"] == []
    assert result["selected_on_reported"]  # by the weights it began with: their epoch was chosen on val
    assert result["passports"][0]["other_tracks"] == ["abaw10 va"]


# --- test labels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [(), pytest.param(("--folds", 3), marks=pytest.mark.slow)])
def test_labels_of_test_videos_are_never_looked_at(
    program, tmp_path: Path, record: Read, monkeypatch: pytest.MonkeyPatch, kind: tuple[Any, ...]
) -> None:
    """Were there any, random or missing ones would change nothing: not the weights, a choice, a score or an answer."""
    from harness.runs import job as job_module

    build = job_module.build_index

    def poisoned(fill: Callable[[np.ndarray], np.ndarray]) -> Callable[..., Any]:
        def made(*args: Any, **options: Any) -> Any:
            index = build(*args, **options)
            videos = [replace(v, labels=fill(v.labels)) if v.split == "test" else v for v in index.videos]
            return replace(index, videos=tuple(videos))

        return made

    rng = np.random.default_rng(0)
    fills: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda labels: np.full_like(labels, np.nan),
        lambda labels: rng.uniform(-1, 1, labels.shape).astype(np.float32),
    ]
    results = []
    for i, fill in enumerate(fills):
        monkeypatch.setattr(job_module, "build_index", poisoned(fill))
        folder = program.run(tmp_path, f"{len(kind)}-{i}", "--encoders", "face", "--epochs", 2, *BEST, *kind)
        result = record(folder)["result"]
        assert result["n_selections"] == 2
        result["data"].pop("fingerprint")  # it is of all labels
        result.pop("members", None)
        answers = pd.read_parquet(folder / "predictions" / "test.post.parquet")
        results.append((result, answers.to_csv(), (folder / "submission" / "predictions.txt").read_bytes()))
    assert results[0] == results[1]
