"""The loop on a tiny model: which epoch is kept, with which weights, and in which mode it learns."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.batching.clips import ClipData
from harness.config.schema import Train
from harness.evaluation import shared_prediction
from harness.evaluation.scoring import statistics_of
from harness.reports.curves import curves
from harness.runtime import progress
from harness.runtime.distributed import single_process
from harness.training import loop, steps
from harness.training.loop import Trained, train
from harness.training.score_parts import parts_text, shown_parts
from harness.training.validation import validation_loss
from tests.harness.batching.test_clips import Store, data, video
from tests.support.refusals import refused
from tests.support.report_runs import track_of, videos_of
from zoo.api import Answer, Counts, TrackSpec
from zoo.metrics.scores import Score, merge, score
from zoo.model.model import AdapterOptions, Batch, Model
from zoo.registry.plan import make_plan
from zoo.registry.registry import load

ANSWERS = (Answer("valence", "value", -5), Answer("arousal", "value", -5))
TRACK = TrackSpec("va", ANSWERS, "mean_ccc", (-1, 1), (), (), "keyed", "")
COUNTS = (Counts(9, (1,) * 20),) * 2


def model() -> Model:
    torch.manual_seed(0)
    plan = make_plan(load([]), encoders="face", fusion="concat", head="mlp", answers=ANSWERS, options={})
    return Model(plan, {"face": 2}, COUNTS, AdapterOptions("none", 2, 4, 0.5))


def trained(
    net: Model,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    scores: Iterable[float] = (),
    shown: bool = False,
    **settings: Any,
) -> Trained:
    """Train on a few made-up videos; ``scores``: what validation is made to say after each epoch."""
    clips: ClipData = data()
    said = iter(scores)
    monkeypatch.setattr(loop, "shared_score", lambda *args, **how: Score(next(said), {"ccc_valence": 0.5}))
    usual = {"epochs": 4, "clip": 16, "batch": 4, "lr": 0.01, "schedule": "constant"} | settings
    world = single_process(torch.device("cpu"))
    val = clips if scores else None
    folder.mkdir()
    return train(net, clips, val, TRACK, Train(**usual), seed=0, world=world, folder=folder, progress=shown)


def test_the_course_has_the_parts_of_the_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(model(), tmp_path / "run", monkeypatch, [0.1, 0.2, 0.3], epochs=3, validate_every=2)
    rows = list(csv.DictReader((tmp_path / "run" / "history.csv").open()))
    assert [row["val"] for row in rows] == ["", "0.1", "0.2"]
    assert [row["val_ccc_valence"] for row in rows] == ["", "0.5", "0.5"]
    assert "parts" not in rows[0]
    assert rows[0]["val_loss"] == ""
    assert float(rows[2]["val_loss"]) > 0


def test_without_a_terminal_every_epoch_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    trained(model(), tmp_path / "run", monkeypatch, [0.1, 0.25], epochs=2, shown=True)
    said = capsys.readouterr()
    assert re.fullmatch(
        r"training: 2 epochs and 4 optimiser steps at most\n"
        r"epoch 1 of 2: loss \d\.\d{3}, validation 0\.100 \(ccc_valence 0\.500\)\n"
        r"epoch 2 of 2: loss \d\.\d{3}, validation 0\.250 \(ccc_valence 0\.500\)\n",
        said.out,
    )
    assert re.match(r"epoch 1 of 2, in all: 1 of \d+ steps\n", said.err)


@pytest.mark.parametrize("name", ["va", "expr", "au", "mtl"])
def test_a_line_shows_the_parts_that_the_page_draws(name: str) -> None:
    track = track_of(name)
    found = score(track.metric, track.answers, merge([statistics_of(track, v) for v in videos_of(track, ["a", "b"])]))
    main = float(found.main)
    shown = shown_parts(found.parts, main)
    history = [
        {"epoch": 1.0, "val": main, **{f"val_{part}": value for part, value in found.parts.items() if value == value}}
    ]
    (chart,) = (chart for chart in curves({"": history}) if chart["title"] == "Parts of the score")
    assert [line["name"] for line in chart["series"]] == list(shown)
    assert {"va": "ccc_arousal", "expr": "accuracy", "au": "au_accuracy", "mtl": "mean_ccc"}[name] in shown
    assert track.metric not in shown, "the score is shown already"
    assert all(f"{part} {value:.3f}" in parts_text(found.parts, main) for part, value in shown.items())
    assert parts_text({"frames": 3.0, "macro_f1": float("nan"), "mean_ccc": 0.5}, 0.5) == ""


def test_a_bar_in_a_terminal_has_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    monkeypatch.setattr(loop.Bar, "set_postfix", lambda self, *args, **more: said.append(dict(*args, **more)))
    trained(model(), tmp_path / "run", monkeypatch, [0.1], epochs=1, shown=True)
    assert [(line["val"], line["ccc_valence"]) for line in said] == [("0.100", "0.500")]


def test_of_equal_scores_the_first_epoch_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(model(), tmp_path / "run", monkeypatch, [0.1, 0.5, 0.5, 0.2])
    assert (found.best_epoch, found.epochs, found.selections) == (2, 4, 4)
    constant = trained(model(), tmp_path / "constant", monkeypatch, [0.25] * 4)
    assert constant.best_epoch == 1


def test_predictions_of_validation_that_are_not_finite_end_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of the epoch was still finite; its last step gave weights that overflow."""
    clips, net, world = data(), model(), single_process(torch.device("cpu"))
    broken = videos_of(TRACK, [one.name for one in clips.videos])
    for one in broken:
        one.values["valence"][:] = np.inf
    monkeypatch.setattr(shared_prediction, "answers", lambda *args, **how: iter(broken))
    settings = Train(epochs=2, clip=16, batch=4)
    with refused("validation-not-finite", name="valence", epoch=1):
        train(net, clips, clips, TRACK, settings, seed=0, world=world, folder=tmp_path, progress=False)


def test_patience_counts_from_the_first_of_equal_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(model(), tmp_path / "run", monkeypatch, [0.1, 0.5, 0.5, 0.5, 0.9], epochs=5, patience=2)
    assert (found.best_epoch, found.epochs) == (2, 4)


def test_patience_ends_a_training_only_where_there_is_a_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = {"epochs": 9, "patience": 1, "validate_every": 3}
    better = trained(model(), tmp_path / "better", monkeypatch, [0.1, 0.2, 0.3], **every)
    assert (better.best_epoch, better.epochs) == (9, 9)
    worse = trained(model(), tmp_path / "worse", monkeypatch, [0.2, 0.1, 0.3], **every)
    assert (worse.best_epoch, worse.epochs) == (3, 6)


def test_a_seed_may_be_a_date(tmp_path: Path) -> None:
    clips, world = data(), single_process(torch.device("cpu"))
    settings = Train(epochs=1, clip=16, batch=4)
    train(model(), clips, None, TRACK, settings, seed=20261201, world=world, folder=tmp_path, progress=False)
    assert (tmp_path / "history.csv").is_file()


def test_the_weights_are_those_of_the_chosen_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit those of a training that ended there, and not the last ones."""
    chosen, ended, last = model(), model(), model()
    trained(chosen, tmp_path / "chosen", monkeypatch, [0.1, 0.5, 0.2, 0.3])
    trained(ended, tmp_path / "ended", monkeypatch, epochs=2, select="last")
    trained(last, tmp_path / "last", monkeypatch, epochs=4, select="last")

    def same(one: Model, two: Model) -> bool:
        other = two.state_dict()
        return all(torch.equal(value, other[name]) for name, value in one.state_dict().items())

    assert same(chosen, ended)
    assert not same(chosen, last)


class Mode(nn.Module):
    """Notes whether it is in training when it learns, and passes on what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            self.seen.append(self.training)
        else:
            assert not self.training
        return x


def test_every_epoch_learns_in_training_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation puts the model into evaluation mode, which each epoch must undo."""
    net, mode = model().eval(), Mode()
    net.adapters["face"].dropout = mode  # type: ignore[union-attr]

    class Scores:
        """Validates as harness.evaluation does, as far as the mode goes."""

        def __iter__(self) -> Scores:
            return self

        def __next__(self) -> float:
            net.eval()
            return 0.5

    found = trained(net, tmp_path / "run", monkeypatch, Scores(), epochs=3)
    assert mode.seen == [True] * found.steps
    assert found.steps >= 3


def test_a_small_set_gets_enough_steps_by_passes_of_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many steps as planned in all, as many epochs and validations as before, each frame once a pass."""
    once = trained(model(), tmp_path / "once", monkeypatch, [0.1] * 4, min_steps=0)
    more = trained(model(), tmp_path / "more", monkeypatch, [0.1] * 4, min_steps=3 * once.steps - 1)
    assert (more.epochs, more.selections) == (once.epochs, once.selections) == (4, 4)
    assert 3 * once.steps - 1 <= more.steps <= 4 * once.steps
    enough = trained(model(), tmp_path / "enough", monkeypatch, [0.1] * 4, min_steps=once.steps)
    assert enough.steps == once.steps


def test_the_first_pass_is_that_of_a_large_set_and_every_pass_visits_each_frame_once() -> None:
    clips = data()
    settings = Train(epochs=2, clip=5, batch=3, min_steps=40)
    passes = steps.passes_an_epoch(clips, settings, 0)
    assert passes > 1
    every = steps.batches_of(clips, settings, 0, 1, passes)
    once = steps.batches_of(clips, settings, 0, 1, 1)
    assert list(map(list, every[: len(once)])) == list(map(list, once))
    assert len(every) == steps.count_batches(clips, settings, 0, 1, passes)
    seen = Counter((w.video, i) for batch in every for w in batch for i in range(w.start, w.stop))
    useful = {(v, int(i)) for v in range(4) for i in np.flatnonzero(clips.trainable(v).any(1))}
    assert {seen[frame] for frame in useful} == {passes}
    starts = {tuple(w.start for w in batch) for batch in every}
    assert len(starts) > len(once)  # each pass draws its own phases


def test_epochs_that_are_given_are_trained_as_they_are() -> None:
    assert Train().min_steps == 700
    assert Train(epochs=30).min_steps == 0
    assert Train(epochs=30, min_steps=5).min_steps == 5


def test_the_loss_of_validation_compares_with_labels_that_are_moved_as_in_training() -> None:
    times = np.arange(200) / 30
    labels = np.sin(2 * np.pi * times)[:, None] * [0.5, 0.4]
    clips = ClipData(None, [video("v0", labels)], ["face"], Store({"v0": np.ones(200, bool)}), {})  # type: ignore[arg-type]
    moved = clips.delayed(0.5)
    np.testing.assert_allclose(moved.labels[0][:185], clips.labels[0][15:], atol=1e-6)
    assert np.isnan(moved.labels[0][185:]).all()
    assert (clips.useful[0][-1], moved.useful[0][-1]) == (200, 185)

    class Counting(nn.Module):
        def forward(self, batch: Batch) -> Tensor:
            return batch.valid

        def loss(self, said: Tensor, batch: Batch) -> tuple[Tensor, None]:
            return batch.labelled.any(-1).sum(), None

    world = single_process(torch.device("cpu"))
    settings = Train(clip=200, batch=4, delay=0.5)
    assert validation_loss(Counting(), clips, settings, world) == 185  # type: ignore[arg-type]
