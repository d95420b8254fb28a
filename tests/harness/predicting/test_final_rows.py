"""Rows are final before the video ends, and are those of the whole video."""

from __future__ import annotations

import io
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.evaluation.postprocessing import Chain
from harness.predicting.final_rows import FinalRows, Nobody, Person
from harness.predicting.media import open_input
from harness.predicting.models import RunModel
from harness.predicting.one_pass import predict_media
from harness.predicting.tables import rows_of
from plugins import postprocess
from plugins.editions import abaw10
from tests.support.indexes import track
from tests.support.media import write_click_video
from tests.support.program import Program
from zoo.api import DetectorSpec, Faces, TrackSpec, VideoAnswers
from zoo.registry.plan import Block

SHORT = ("--set", "train.clip=8", "--epochs", 1, "--head", "gru")
RUN = ("--track", "expr", "--encoders", "frame", *SHORT)
FRAMES = 200


class Collected(Nobody):
    """The rows that a follower gets, and how many frames were read when each part came."""

    def __init__(self) -> None:
        self.parts: list[Person] = []
        self.read, self.read_at, self.restarts, self.reasons = 0, [], 0, []

    read_at: list[int]
    reasons: list[str]

    def tick(self) -> None:
        self.read += 1

    def rows(self, person: Person, start: int) -> None:
        assert start == sum(len(part.score) for part in self.parts if part.number == person.number)
        self.parts.append(person)
        self.read_at.append(self.read)

    def restart(self, reason: str) -> None:
        self.restarts += 1
        self.parts.clear()

    def wait(self, reason: str) -> None:
        self.reasons.append(reason)

    def assert_equal(self, person: Person) -> None:
        """The parts make up this person, bit for bit."""
        for name, values in person.predictions.values.items():
            np.testing.assert_array_equal(
                np.concatenate([part.predictions.values[name] for part in self.parts]), values
            )
        np.testing.assert_array_equal(np.concatenate([part.face for part in self.parts]), person.face)
        np.testing.assert_array_equal(np.concatenate([part.score for part in self.parts]), person.score)


def chain_of(names: str, of: TrackSpec, **options: Any) -> Chain:
    specs = {spec.name: spec for spec in postprocess.postprocessors()}
    return Chain([Block(specs[name], options if name == "smooth" else {}) for name in names.split(",")], of)


def video_of(of: TrackSpec, n: int = 200) -> VideoAnswers:
    rng = np.random.default_rng(0)
    values = {a.name: rng.random((n, a.width)).astype(np.float32).squeeze() for a in of.answers}
    seen = rng.random(n) > 0.3
    seen[-9:] = False
    targets = {a.name: np.full(n, np.nan, np.float32) for a in of.answers}
    times = np.cumsum(rng.choice([0.03, 0.06], n))
    return VideoAnswers("v", "v", values, targets, {"face": seen}, times)


def skip_rest(final: FinalRows) -> None:
    """Let it work at once; how long it rests depends on the clock."""
    if np.isfinite(final._resume):
        final._resume = 0.0


def follow(chain: Chain, video: VideoAnswers, step: int = 16) -> tuple[Collected, Person]:
    n, collected = len(video.times), Collected()
    face, score = np.zeros((n, 4), np.float32), np.arange(n, dtype=np.float32)
    final = FinalRows(chain, collected, 1, lambda start, stop: (face[start:stop], score[start:stop]))
    for closed in range(step, n, step):
        skip_rest(final)
        collected.read = closed
        final(video.part(0, closed))
    collected.read = n
    person = Person(1, face, score, chain.apply(video))
    if not final.finish(person):
        collected.restart("")
    return collected, person


def test_memory_grows_with_the_rows_and_not_with_their_square() -> None:
    """What is kept of a part must not keep the whole video up to there: 12 GB after 235,000 frames."""
    of, n, step = track(abaw10, "expr"), 20_000, 200
    chain, video = chain_of("interpolate,smooth,clip", of, method="mean", width=0.4), video_of(of, n)
    faces = np.zeros((n, 4), np.float32), np.zeros(n, np.float32)
    final = FinalRows(chain, Nobody(), 1, lambda start, stop: (faces[0][start:stop], faces[1][start:stop]))
    tracemalloc.start()
    for closed in range(step, n, step):
        skip_rest(final)
        final(video.part(0, closed))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert final.done > n / 2
    assert kept < 2 * sum(values.nbytes for values in video.values.values())


@pytest.mark.parametrize("method", ["mean", "median"])
@pytest.mark.parametrize("name", ["va", "expr", "au"])
def test_rows_before_the_end_are_those_of_the_whole_video(name: str, method: str) -> None:
    of = track(abaw10, name)
    chain, video = chain_of("interpolate,smooth,clip", of, method=method, width=0.4), video_of(of)
    collected, person = follow(chain, video)
    collected.assert_equal(person)
    assert len(collected.parts) > 5
    for part, read in zip(collected.parts[:-1], collected.read_at[:-1], strict=True):
        seen = np.flatnonzero(video.present["face"][:read])[-1]
        assert part.predictions.times[-1] + 0.2 < video.times[seen], "its window reaches a frame that is not known"
        assert len(part.score)


def test_a_filter_over_the_whole_video_is_waited_for() -> None:
    of = track(abaw10, "va")
    collected, person = follow(chain_of("interpolate,smooth", of, method="gaussian", width=0.4), video_of(of))
    collected.assert_equal(person)
    assert len(collected.parts) == 1
    assert collected.reasons == ["post-processor smooth needs the whole video"]


class Hasty:
    """A post-processor that reports all frames as settled, and does not keep to it."""

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        moved = {name: values + np.float32(len(values)) for name, values in video.values.items()}
        return replace(video, values=moved)

    def settled(self, video: VideoAnswers) -> int:
        return len(video.times)


def hasten(chain: Chain) -> None:
    chain.parts = {**chain.parts, "hasty": Hasty()}


def test_rows_that_change_after_all_are_noticed() -> None:
    chain = chain_of("interpolate", track(abaw10, "va"))
    hasten(chain)
    collected, _ = follow(chain, video_of(track(abaw10, "va")))
    assert collected.restarts == 1


@pytest.fixture
def model(program: Program, monkeypatch: pytest.MonkeyPatch) -> RunModel:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))  # which has the precision of the run's features
    return RunModel(program.kept(*RUN))


def test_rows_come_while_the_video_is_read(model: RunModel, tmp_path: Path) -> None:
    write_click_video(tmp_path / "v.mp4", n_frames=FRAMES, variable=True)
    media, collected = open_input(tmp_path / "v.mp4", "video"), Collected()
    got = predict_media(media, model, follower=collected, tick=collected.tick)
    collected.assert_equal(got.people[0])
    assert collected.read_at[0] < FRAMES / 2
    (plain,) = predict_media(media, model).people
    collected.assert_equal(plain)
    assert collected.restarts == 0


@pytest.mark.parametrize("everybody", [False, True])
def test_the_table_is_right_even_if_rows_change(
    model: RunModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everybody: bool
) -> None:
    hasten(model.chain)
    monkeypatch.setattr(model, "detector", DetectorSpec("two", Two, "two people, side by side"))
    write_click_video(tmp_path / "v.mp4", n_frames=FRAMES)
    collected = Collected()
    got = predict_media(open_input(tmp_path / "v.mp4", "video"), model, follower=collected, everybody=everybody)
    assert collected.restarts == len(got.people) == 1 + everybody
    for person, part in zip(got.people, collected.parts, strict=True):
        assert person.number == part.number
        np.testing.assert_array_equal(part.score, person.score)
        for name, values in person.predictions.values.items():
            np.testing.assert_array_equal(part.predictions.values[name], values)


class Two:
    """Two faces of like size."""

    def detect(self, frame: np.ndarray) -> Faces:
        boxes = np.array([(5, 5, 35, 35), (55, 5, 85, 35)], np.float32)
        return Faces(boxes, np.ones(2, np.float32), np.repeat(boxes[:, None, :2], 5, axis=1))


class Overtaken:
    """A small face on the left, then a large one on the right, which is the main person."""

    def __init__(self) -> None:
        self.seen = 0

    def detect(self, frame: np.ndarray) -> Faces:
        self.seen += 1
        box = (5, 5, 15, 15) if self.seen <= FRAMES // 2 else (40, 10, 90, 60)
        points = np.array(box[:2])[None, None] + np.arange(10).reshape(1, 5, 2)
        return Faces(np.array([box], np.float32), np.ones(1, np.float32), points.astype(np.float32))


def test_another_person_overtakes(model: RunModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "detector", DetectorSpec("overtaken", Overtaken, "two people, one after the other"))
    write_click_video(tmp_path / "v.mp4", n_frames=FRAMES)
    collected = Collected()
    got = predict_media(open_input(tmp_path / "v.mp4", "video"), model, follower=collected, tick=collected.tick)
    assert collected.restarts == 1
    collected.assert_equal(got.people[0])
    assert np.isnan(got.people[0].score[: FRAMES // 2]).all()
    assert np.isfinite(got.people[0].score[FRAMES // 2 :]).all()


@pytest.mark.slow
def test_printed_rows_are_those_of_the_table(program: Program, model: RunModel, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("one", "two"):
        write_click_video(tmp_path / "in" / f"{name}.mp4")
    how = ("--model", program.kept(*RUN))
    tables = {}
    for form in ("csv", "jsonl", "parquet"):
        answer = program("predict", tmp_path / "in", *how, "--out", tmp_path / form, "--format", form)
        assert answer.code == 0, answer.err
        tables[form] = [tmp_path / form / f"{name}.{form}" for name in ("one", "two")]
        assert not list((tmp_path / form).glob(".*"))
    printed = program("predict", tmp_path / "in", *how, "--out", "-")
    assert printed.code == 0, printed.err
    one, two = (path.read_text().splitlines() for path in tables["csv"])
    assert printed.out.splitlines() == one + two[1:]
    assert "-/" not in printed.err
    printed = program("predict", tmp_path / "in", *how, "--out", "-", "--format", "jsonl")
    assert printed.out == "".join(path.read_text() for path in tables["jsonl"])
    (person,) = predict_media(open_input(tmp_path / "in" / "one.mp4", "video"), model).people
    there, wanted = pd.read_parquet(tables["parquet"][0]), rows_of(person, model.answers)
    pd.testing.assert_frame_equal(there, wanted, check_categorical=False)  # categories of another dtype of text
    program("predict", tmp_path / "in", *how, "--out", "-", "--format", "parquet").refused(
        "predict-stream-format", got="parquet"
    )
    assert len(pd.read_csv(io.StringIO("\n".join(one)))) == 60
