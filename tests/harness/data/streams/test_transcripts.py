"""Files of spoken words: four formats, one answer; damaged ones in one line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from harness.data.streams.transcripts import FOLDER, find_transcript, read_transcript
from tests.support.refusals import refused
from zoo.readers import Word

SRT = """\
1
00:00:00,500 --> 00:00:01,500
<i>Good</i> morning

2
00:00:02,000 --> 00:00:02,400 position:10%
Ada
"""
VTT = """\
WEBVTT - a title

NOTE
nothing to see --

STYLE
::cue { color: red }

intro
00:00.500 --> 00:01.500
<v Ada>Good morning</v>

00:00:02.000 --> 00:00:02.400 align:start
Ada
"""
WHISPER = {
    "text": " Good morning Ada",
    "language": "en",
    "segments": [
        {"id": 0, "start": 0.5, "end": 1.5, "text": " Good morning", "tokens": [1, 2]},
        {"id": 1, "start": 2.0, "end": 2.4, "text": " Ada", "words": [{"word": " Ada", "start": 2.0, "end": 2.4}]},
    ],
}
CHUNKS = {"chunks": [{"timestamp": [0.5, 1.5], "text": " Good morning"}, {"timestamp": [2.0, 2.4], "text": "Ada"}]}
TABLE = "word,start,end,confidence\nGood morning,0.5,1.5,1\nAda,2.0,2.4,0.9\n"
# "Good" has 4 of 11 letters of the cue's second.
WORDS = [Word("Good", 0.5, 0.5 + 4 / 11), Word("morning", 0.5 + 4 / 11, 1.5), Word("Ada", 2.0, 2.4)]


def written(folder: Path, ending: str, text: str) -> Path:
    path = folder / f"clip{ending}"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (".srt", SRT),
        (".srt", "\ufeff" + SRT.replace("\n", "\r\n")),
        (".vtt", VTT),
        (".json", json.dumps(WHISPER)),
        (".json", json.dumps(CHUNKS)),
        (".json", json.dumps({"words": [{"word": w.text, "start": w.start, "end": w.end} for w in WORDS]})),
        (".csv", TABLE),
    ],
    ids=["srt", "srt-windows", "vtt", "whisper", "transformers", "words", "csv"],
)
def test_four_formats_say_the_same(tmp_path, ending, text) -> None:
    words = read_transcript(written(tmp_path, ending, text))
    assert [word.text for word in words] == [word.text for word in WORDS]
    np.testing.assert_allclose([(w.start, w.end) for w in words], [(w.start, w.end) for w in WORDS], atol=1e-9)


def test_times_inside_a_cue_are_those_of_its_words(tmp_path) -> None:
    text = "WEBVTT\n\n00:01.000 --> 00:04.000\nlook<00:00:02.000><c> who's</c><00:00:03.500><c> here &amp; now</c>\n"
    words = read_transcript(written(tmp_path, ".vtt", text))
    assert [(w.text, round(w.start, 3), round(w.end, 3)) for w in words] == [
        ("look", 1.0, 2.0),
        ("who's", 2.0, 3.5),
        ("here", 3.5, 3.75),
        ("&", 3.75, 3.812),
        ("now", 3.812, 4.0),
    ]


ROLLING = """\
WEBVTT
Kind: captions
Language: en

00:00:00.000 --> 00:00:02.000 align:start position:0%
~
hello<00:00:00.500><c> world</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
hello world
~

00:00:02.010 --> 00:00:04.000 align:start position:0%
hello world
yes

00:00:04.000 --> 00:00:06.000 align:start position:0%
yes
yes<00:00:05.000><c> indeed</c>
""".replace("~", " ")


def test_rolling_captions_say_each_line_once(tmp_path) -> None:
    words = read_transcript(written(tmp_path, ".vtt", ROLLING))
    assert [(w.text, w.start, w.end) for w in words] == [
        ("hello", 0.0, 0.5),
        ("world", 0.5, 2.0),
        ("yes", 2.01, 4.0),
        ("yes", 4.0, 5.0),
        ("indeed", 5.0, 6.0),
    ]


def test_words_that_are_said_again_stay(tmp_path) -> None:
    """A whole cue in a file with times inside cues, and any line in a file without."""
    chorus = "\n00:04.000 --> 00:05.000\nla la\n\n00:05.000 --> 00:06.000\nla la\n"
    timed = "WEBVTT\n\n00:01.000 --> 00:02.000\none<00:01.500> two\n"
    words = read_transcript(written(tmp_path, ".vtt", timed + chorus))
    assert " ".join(w.text for w in words) == "one two la la la la"
    brief = chorus.replace("00:05.000 --> 00:06.000", "00:05.000 --> 00:05.050")
    assert len(read_transcript(written(tmp_path, ".vtt", "WEBVTT\n" + brief))) == 4


def test_a_line_of_spaces_ends_a_cue_of_srt(tmp_path) -> None:
    words = read_transcript(written(tmp_path, ".srt", SRT.replace("\n\n", "\n \n")))
    assert [w.text for w in words] == ["Good", "morning", "Ada"]


@pytest.mark.parametrize(("ending", "names"), [(".srt", "123"), (".vtt", ("cue-1", "cue-2", "cue-3"))])
def test_the_name_of_the_next_cue_needs_no_blank_line(tmp_path, ending, names) -> None:
    """The second cue is empty; the number at the end of the last one is said."""
    said = (f"00:00:0{i}.000 --> 00:00:0{i + 1}.000" for i in range(3))
    cues = [
        f"{name}\n{time}\n{text}" for name, time, text in zip(names, said, ("hello\n", "", "room\n101"), strict=True)
    ]
    header = "WEBVTT\n\n" if ending == ".vtt" else ""
    assert timed(written(tmp_path, ending, header + "".join(cues))) == [
        ("hello", 0.0, 1.0),
        ("room", 2.0, 2.571),
        ("101", 2.571, 3.0),
    ]
    plain = written(tmp_path, ending, header + "00:01.000 --> 00:02.000\n7\n00:02.000 --> 00:03.000\n8\n")
    assert [text for text, *_ in timed(plain)] == ["7", "8"]


def timed(path: Path) -> list[tuple[str, float, float]]:
    return [(w.text, round(w.start, 3), round(w.end, 3)) for w in read_transcript(path)]


def test_a_chunk_without_an_end_lasts_until_the_next_or_a_second(tmp_path) -> None:
    chunks = [{"timestamp": [0.5, None], "text": "a"}, {"timestamp": [2.0, None], "text": "b"}]
    path = written(tmp_path, ".json", json.dumps({"chunks": chunks}))
    assert timed(path) == [("a", 0.5, 2.0), ("b", 2.0, 3.0)]


def test_words_next_to_segments_give_the_times(tmp_path) -> None:
    segments: list[dict[str, object]] = [{"start": 0.0, "end": 4.0, "text": "ab cd"}]
    words = [{"word": "ab", "start": 0.0, "end": 1.0}, {"word": "cd", "start": 3.0, "end": 4.0}]
    path = written(tmp_path, ".json", json.dumps({"segments": segments, "words": words}))
    assert timed(path) == [("ab", 0.0, 1.0), ("cd", 3.0, 4.0)]
    segments[0]["words"] = [{"word": "ab", "start": 0.0, "end": 2.0}, {"word": "cd", "start": 2.0, "end": 4.0}]
    path.write_text(json.dumps({"segments": segments, "words": words}))
    assert timed(path) == [("ab", 0.0, 2.0), ("cd", 2.0, 4.0)]


def test_words_without_times_are_placed_between_their_neighbours(tmp_path) -> None:
    """WhisperX gives numerals none; the times of the others stay."""
    words: list[dict[str, object]] = [
        {"word": "42"},
        {"word": "is", "start": 2.0, "end": 2.5},
        {"word": "6", "start": None, "end": None},
        {"word": "78"},
        {"word": "ok", "start": 4.0, "end": 4.5},
        {"word": "9"},
    ]
    segment = {"start": 1.0, "end": 5.0, "text": "42 is 6 78 ok 9", "words": words}
    path = written(tmp_path, ".json", json.dumps({"segments": [segment]}))
    assert timed(path) == [
        ("42", 1.0, 2.0),
        ("is", 2.0, 2.5),
        ("6", 2.5, 3.0),
        ("78", 3.0, 4.0),
        ("ok", 4.0, 4.5),
        ("9", 4.5, 5.0),
    ]


def test_hours_and_empty_files(tmp_path) -> None:
    assert read_transcript(written(tmp_path, ".srt", "")) == []
    assert read_transcript(written(tmp_path, ".vtt", "WEBVTT\nKind: captions\n\nNOTE nobody speaks\n")) == []
    assert read_transcript(written(tmp_path, ".json", '{"segments": []}')) == []
    (word,) = read_transcript(written(tmp_path, ".vtt", "WEBVTT\n\n01:00:00.250 --> 01:00:01.000\nlate\n"))
    assert (word.start, word.end) == (3600.25, 3601.0)


def cue(start: str, end: str) -> str:
    return f"1\n{start} --> {end}\nword\n"


@pytest.mark.parametrize(
    ("ending", "text", "code", "place"),
    [
        (".srt", cue("0.5", "1.5"), "transcript-form", "line 2"),
        (".srt", cue("00:00:02,000", "00:00:01,000"), "transcript-time", "line 2"),
        (
            ".srt",
            cue("00:00:00,000", "00:00:02,000") + "\n" + cue("00:00:01,000", "00:00:03,000"),
            "transcript-overlap",
            "line 6",
        ),
        (".json", "{", "transcript-form", "line 1"),
        (".json", "[]", "transcript-form", "line 1"),
        (".json", '{"segments": [{"text": "a", "start": 0, "end": 1}, {"text": "b"}]}', "transcript-form", "entry 2"),
        (".json", '{"segments": [{"text": "a", "start": 0, "end": NaN}]}', "transcript-time", "entry 1"),
        (".json", '{"chunks": [{"text": "a", "timestamp": [null, 1]}]}', "transcript-form", "entry 1"),
        (".json", '{"segments": ["x"]}', "transcript-form", "entry 1"),
        (".json", '{"segments": [{"start": 0, "end": 1, "words": ["x"]}]}', "transcript-form", "entry 1"),
        (".csv", "text,from,to\na,0,1\n", "transcript-form", "line 1"),
        (".csv", "word,start,end\na,0,1\nb,early,2\n", "transcript-form", "line 3"),
        (".csv", "word,start,end\na,-1,1\n", "transcript-time", "line 2"),
        (".csv", "word,start,end\na,0,1\nb,0.5,2\n", "transcript-overlap", "line 3"),
        (".csv", "word,start,end\nhello,0,50,0,90\n", "transcript-form", "line 2"),
        (".csv", "word,start,end\nhello,0.1,0.5,foo\n", "transcript-form", "line 2"),
        (".csv", 'word,start,end\n"' + "a" * 200_000, "transcript-form", "line 2"),
        (".srt", SRT.replace("-->", "->"), "transcript-form", "line 2"),
        (".srt", "only words\n", "transcript-form", "line 1"),
        (".vtt", "WEBVTT\n\nonly words\n", "transcript-form", "line 1"),
        (".srt", cue("0:00:01", "9" * 5000 + ":00:01"), "transcript-time", "line 2"),
        (".json", '{"segments": [{"text": null, "start": 0, "end": 1}]}', "transcript-form", "entry 1"),
        (".json", '{"segments": [{"text": "a", "start": 0, "end": ' + "9" * 400 + "}]}", "transcript-form", "entry 1"),
        (
            ".json",
            '{"chunks": [{"text": "a", "timestamp": [0, null]}, {"text": "b", "timestamp": []}]}',
            "transcript-form",
            "entry 1",
        ),
    ],
)
def test_a_damaged_file_is_named_with_its_place(tmp_path, ending, text, code, place) -> None:
    path = written(tmp_path, ending, text)
    with refused(code, file=path, place=place):
        read_transcript(path)


def test_a_time_that_cannot_be_shared_is_shown_as_written(tmp_path) -> None:
    path = written(tmp_path, ".csv", "word,start,end\na b,0,inf\n")
    with refused("transcript-time", place="line 2", start=0.0, end=float("inf")):
        read_transcript(path)


def test_other_encodings_are_refused(tmp_path) -> None:
    path = tmp_path / "clip.srt"
    path.write_bytes(SRT.replace("Ada", "Zoë").encode("latin-1"))
    with refused("transcript-unreadable", file=path):
        read_transcript(path)


def test_words_may_overlap_by_the_rounding_of_a_recogniser(tmp_path) -> None:
    path = written(tmp_path, ".csv", "word,start,end\na,0,1.02\nb,1.0,2\n")
    assert len(read_transcript(path)) == 2


def test_the_file_is_in_the_folder_or_next_to_the_video(tmp_path) -> None:
    video = tmp_path / "videos" / "clip.mp4"
    video.parent.mkdir()
    assert find_transcript(tmp_path, "clip_left", video) is None
    beside = written(video.parent, ".vtt", VTT)
    assert find_transcript(tmp_path, "clip_left", video) == beside
    (tmp_path / FOLDER).mkdir()
    of_video = written(tmp_path / FOLDER, ".srt", SRT)
    assert find_transcript(tmp_path, "clip_left", video) == of_video
    of_person = tmp_path / FOLDER / "clip_left.srt"
    of_person.write_text(SRT)
    assert find_transcript(tmp_path, "clip_left", video) == of_person
    (tmp_path / FOLDER / "clip_left.csv").write_text(TABLE)
    with refused("transcript-twice", name="clip_left"):
        find_transcript(tmp_path, "clip_left", video)


def test_tables_and_json_next_to_a_video_are_no_texts(tmp_path) -> None:
    video = tmp_path / "clip.mp4"
    for ending in (".json", ".csv"):
        written(tmp_path, ending, "something else")
    assert find_transcript(tmp_path / "data", "clip", video) is None
    subtitles = written(tmp_path, ".srt", SRT)
    assert find_transcript(tmp_path / "data", "clip", video) == subtitles


def test_endings_may_be_in_upper_case(tmp_path) -> None:
    video = tmp_path / "videos" / "clip.mp4"
    video.parent.mkdir()
    beside = written(video.parent, ".SRT", SRT)
    assert find_transcript(tmp_path, "clip", video) == beside
    assert [word.text for word in read_transcript(beside)] == [word.text for word in WORDS]
    (tmp_path / FOLDER).mkdir()
    mixed = written(tmp_path / FOLDER, ".Json", json.dumps(WHISPER))
    assert find_transcript(tmp_path, "clip", video) == mixed
    written(tmp_path / FOLDER, ".VTT", VTT)
    with refused("transcript-twice", file="clip.VTT", file2="clip.Json"):
        find_transcript(tmp_path, "clip", video)


def test_a_file_is_found_as_soon_as_it_is_there(tmp_path) -> None:
    """A list of an old folder is kept, and the folder's time tells that it is out of date."""
    os.utime(tmp_path, (1, 1))
    assert find_transcript(tmp_path, "clip", tmp_path / "clip.mp4") is None
    path = written(tmp_path, ".srt", SRT)
    assert find_transcript(tmp_path, "clip", tmp_path / "clip.mp4") == path
