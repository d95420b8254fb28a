"""Prediction of an input, from its pixels and samples, with as few decoding passes as possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from harness.data.tracking.face_tracks import choose, is_main, people_in
from harness.data.tracking.person_boxes import faces_of
from harness.data.tracking.pose_boxes import Posed
from harness.data.tracking.tracker import NOBODY, Track
from harness.predicting.final_rows import FinalRows, Follower, Nobody, Person
from harness.predicting.live_video import LiveVideo, Unsure, only_readable
from harness.predicting.media import Media
from harness.predicting.models import Model, finder_of
from harness.predicting.stages import with_rows
from harness.predicting.video_scan import Row, VideoScan
from zoo.api import VideoAnswers
from zoo.errors import UserError

Tick = Callable[[], object]


@dataclass(frozen=True)
class Predicted:
    """An input with the predictions of its people.

    Attributes:
        media: The input.
        people: Its people.
        readings: How often its pictures were decoded.
        posed: Counts of the person boxes by pose; None if the model takes none, or all are by body proportions.
    """

    media: Media
    people: list[Person]
    readings: int = 1
    posed: Posed | None = None


def predict_media(
    media: Media,
    model: Model,
    *,
    everybody: bool = False,
    detector: Mapping[str, Any] | None = None,
    tick: Tick = lambda: None,
    follower: Follower | None = None,
) -> Predicted:
    """Predict an input.

    Args:
        media: The input.
        model: The model.
        everybody: Predict all people, not the main person alone.
        detector: Settings of the FaceFinder (harness.data.tracking.detection).
        tick: Called after every frame.
        follower: Gets the rows as they become final, person by person.

    Raises:
        UserError: The input cannot be read, lacks the streams of the model, or shows no person although the model needs
            faces.
    """
    check_streams(media, model)
    if model.stages:
        model = _after_stages(media, model, everybody, detector, tick)
    follower = follower or Nobody()
    if model.waits:
        follower.wait(model.waits)
    scan = VideoScan(media, finder_of(model, detector), model.branches.wanted())
    if not media.has_pictures or (not everybody and is_main(media.name)):  # a sound file shows nobody
        found = _guessed(scan, model, tick, follower)
        track = _person(scan)
        if found is not None:
            return Predicted(media, [found], posed=scan.posed)
        scan.posed = None if scan.posed is None else Posed()
        return Predicted(media, [_known(scan, model, track, tick, follower)], readings=2, posed=scan.posed)
    for _ in scan.guessed(guess=False):
        tick()
    chosen = people_in(scan.tracks()) if everybody else [_person(scan)]
    if not chosen:
        chosen = [NOBODY]
    people: list[Person] = []
    for track in chosen:
        people.append(_known(scan, model, track, tick, follower, people))
    return Predicted(media, people, readings=1 + len(people), posed=scan.posed)


def _after_stages(media: Media, model: Model, everybody: bool, detector: Mapping[str, Any] | None, tick: Tick) -> Model:
    """Predict an input with the runs that a model reads; return the model with their predictions as its input."""
    if everybody:
        names = ", ".join(stage.branch for stage in model.stages)
        raise UserError("stage-people", model=model.about.model, names=names)

    def predict(media: Media, fold: Model) -> VideoAnswers:
        return predict_media(media, fold, detector=detector, tick=tick).people[0].predictions

    return with_rows(model, {stage.branch: stage.rows(media, predict) for stage in model.stages})


def check_streams(media: Media, model: Model) -> None:
    """Raise UserError if an input has data for none of the model's branches, or a branch needs a data folder."""
    only_readable(model.branches)
    streams = [plan.stream for plan in model.branches.plans]
    if not any(media.has_sound if stream.kind == "sound" else media.has_pictures for stream in streams):
        names = ", ".join(dict.fromkeys(stream.name for stream in streams))
        raise UserError("predict-streams-missing", file=media.path, names=names, model=model.about.model)


def _person(scan: VideoScan) -> Track:
    return choose(scan.tracks(), scan.media.name)  # the file itself has the name: its only person is meant


def _guessed(scan: VideoScan, model: Model, tick: Tick, follower: Follower) -> Person | None:
    """Return the guessed person; None if no person can be guessed, or if it is not the main person."""
    final = FinalRows(model.chain, follower, 1, scan.guessed_faces)
    with live(scan, model, scan.guessed, tick) as video:
        try:
            found = model.predict(video, _follow(final, follower))
            video.finish()
        except Unsure:
            found = None
    track = _person(scan)
    again = found is None or not scan.was_guessed(track)
    if final.done and (again or not scan.is_guess(track)):  # the rows so far have predictions or boxes of somebody else
        unsure = found is None and scan.is_guess(track)
        follower.restart("who is the main person was not sure" if unsure else "another person is the main one")
        final = FinalRows(model.chain, follower, 1, scan.guessed_faces)
    if found is None or again:
        return None
    person = _of(1, track, found, scan)
    _finish(final, person, (), follower)
    return person


def _follow(final: FinalRows, follower: Follower) -> FinalRows | None:
    """Return what takes early predictions; None if nobody follows, since they cost time."""
    return None if type(follower) is Nobody else final


def _known(
    scan: VideoScan, model: Model, track: Track, tick: Tick, follower: Follower, before: Sequence[Person] = ()
) -> Person:
    """Return a person whose track is known. ``before``: the people whose rows the follower has already."""
    number = len(before) + 1
    face, score = faces_of(track, scan.info.n_frames)

    def faces(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        return face[start:stop], score[start:stop]

    final = FinalRows(model.chain, follower, number, faces)
    with live(scan, model, partial(scan.of, track), tick) as video:
        person = _of(number, track, model.predict(video, _follow(final, follower)), scan)
    _finish(final, person, before, follower)
    return person


def _finish(final: FinalRows, person: Person, before: Sequence[Person], follower: Follower) -> None:
    """Pass on the rest of a person's rows, or those of all people again if some have changed."""
    if not final.finish(person):
        follower.restart("rows that were reported as final have changed")
        for one in (*before, person):
            follower.rows(one, 0)


def live(scan: VideoScan, model: Model, rows: Callable[[], Iterator[Row]], tick: Tick) -> LiveVideo:
    """Return a scanned video in the form that the model reads; ``rows`` yields its pictures, one row a frame."""
    return LiveVideo(
        scan.media,
        scan.media.name,
        model.branches,
        rows,
        edition=model.edition,
        track=model.track,
        keep=model.keep,
        tick=tick,
    )


def _of(number: int, track: Track, predictions: VideoAnswers, scan: VideoScan) -> Person:
    if not any(mask.any() for mask in predictions.present.values()):
        raise UserError("predict-nothing-seen", file=scan.media.path, names=", ".join(predictions.present))
    return Person(number, *faces_of(track, scan.info.n_frames), predictions)
