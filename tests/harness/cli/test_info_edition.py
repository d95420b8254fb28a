"""`harness info EDITION` and `harness list editions`: what is known, what is not, and what a file looks like."""

from __future__ import annotations

import pytest

from harness.cli.commands.catalogue import info, list_plugins
from harness.cli.commands.info_edition import LISTS, describe, example
from harness.config.schema import load_config
from harness.data.affwild2.annotation_sets import IMAGE_LISTS
from harness.runs.job import make_job
from tests.support.refusals import refused
from zoo.metrics.cards import METRICS
from zoo.registry.registry import load

EDITIONS = {entry.spec.name: entry.spec for entry in load().entries("editions")}
TRACKS = [(edition, track) for edition in EDITIONS.values() for track in edition.tracks]


@pytest.mark.parametrize(("edition", "track"), TRACKS, ids=[f"{e.name}-{t.name}" for e, t in TRACKS])
def test_everything_known_of_a_track_is_shown(edition, track):
    block = describe(edition).split(f"--- {track.name} ---")[1].split("\n---")[0]
    text = " ".join(block.split())
    for part in (track.metric, track.data, track.file, *track.lists, *track.sources, *track.unconfirmed):
        assert part in text
    for answer in track.answers:
        assert all(name in text for name in answer.classes or (answer.name,))
    assert ("annotation folders" in text) == bool(track.folders)
    assert all(f"first line {header}" in text for header in track.headers)
    assert ("`harness submit --predictions FILE`" in text) == (not track.folders)
    assert (f"at most {track.limit}" if track.limit else "number unconfirmed") in text


def test_examples_have_a_field_an_answer():
    for _, track in TRACKS:
        lines = example(track).splitlines()
        assert len(lines) == (2 if track.submission_header else 1)
        keyed = track.submission != "per_video"
        assert lines[-1].count(",") + 1 == keyed + len(track.answers)


def test_editions_are_listed_by_their_number(capsys):
    list_plugins("editions", False, [])
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.split()[1] for line in lines] == [f"abaw{n}" for n in range(1, 12)]
    assert "CVPR 2024: va, expr, au, ce, emi" in lines[5]


def test_info_of_an_edition_ends_with_no_empty_rows(capsys):
    info("abaw4", [])
    out = capsys.readouterr().out
    assert "--- lsd ---" in out
    assert all(len(line) < 120 for line in out.splitlines())


def test_the_lists_of_labelled_images_are_those_that_are_read():
    assert all(name in LISTS for name in IMAGE_LISTS)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_shown_whole_in_lines_that_fit(name, capsys):
    info(name, [])
    out = capsys.readouterr().out
    assert all(len(line) < 120 for line in out.splitlines())
    shown = " ".join(out.replace(";", " ").split())
    card = METRICS[name]
    for text in (card.formula, card.population, card.masks, card.aggregation, card.degenerate, card.source):
        assert " ".join(text.replace(";", " ").split()) in shown


@pytest.mark.parametrize("track", ["ce", "emi", "ah", "vd", "lsd", "eri"])
def test_companion_tracks_are_not_trained_on(track):
    with refused("track-not-trainable", name2=track):
        make_job(load_config(None, {"encoders": "face", "track": track}, []))
