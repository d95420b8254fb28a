"""Mutations of a submission that show in the file alone: header, fields, numbers, encoding, line ends, doubled rows."""

from __future__ import annotations

import random

from tests.support.mutations import (
    HEADERLESS,
    KEYLESS,
    Mutation,
    first_answer,
    first_row,
    joined,
    lines_of,
    on_file,
    on_row,
    set_field,
)
from zoo.tracks import TrackSpec


def header_spelt_wrong(content: bytes, track: TrackSpec, rng: random.Random) -> bytes | None:
    if track.submission in HEADERLESS:
        return None
    header, *rows = lines_of(content)
    letters = [i for i, char in enumerate(header) if char.isalpha()]
    at = rng.choice(letters)
    ways = [
        header[:at] + header[at].swapcase() + header[at + 1 :],
        header[:at] + header[at + 1 :],
        header[:at] + "x" + header[at:],
        header + " ",
        header + ",",
        header.replace(",", ", "),
        header.replace(",", ";"),
        header.rpartition(",")[0],
        ",".join(reversed(header.split(","))),
    ]
    new = rng.choice([way for way in ways if way != header])
    return joined([new, *rows])


def header_gone(content: bytes, track: TrackSpec, rng: random.Random) -> bytes | None:
    return None if track.submission in HEADERLESS else joined(lines_of(content)[1:])


def header_of_another(content: bytes, track: TrackSpec, rng: random.Random) -> bytes | None:
    others = (
        "image_location,valence,arousal",
        "image,valence,arousal,expression,aus",
        "image,expression",
        "Filename,Joy",
    )
    if track.submission in HEADERLESS:
        return joined([rng.choice(others), *lines_of(content)])
    return joined([rng.choice([o for o in others if o != track.submission_header]), *lines_of(content)[1:]])


def field_gone(row: str, track: TrackSpec, rng: random.Random) -> str | None:
    fields = row.split(",")
    if len(fields) == 1:
        return ""
    del fields[rng.randrange(len(fields))]
    return ",".join(fields)


def field_more(row: str, track: TrackSpec, rng: random.Random) -> str:
    fields = row.split(",")
    fields.insert(rng.randrange(len(fields) + 1), rng.choice(["", "0", "1", "0.5"]))
    return ",".join(fields)


def no_number(row: str, track: TrackSpec, rng: random.Random) -> str:
    at = rng.randrange(first_answer(row, track), len(row.split(",")))
    return set_field(row, at, rng.choice(["nan", "NaN", "inf", "-inf", "", "None", "NA", "x", "0_1", "1e", "--1", "٣"]))


def out_of_range(row: str, track: TrackSpec, rng: random.Random) -> str:
    first = first_answer(row, track)
    at = rng.randrange(first, len(row.split(",")))
    answer = track.answers[at - first]
    if answer.kind == "value":
        step = rng.choice([1e-6, 0.5, 4, 1e9])
        return set_field(row, at, f"{answer.high + step:.6f}" if rng.random() < 0.5 else f"{answer.low - step:.6f}")
    highest = len(answer.classes) - 1 if answer.kind == "class" else 1
    name = answer.classes[0] if answer.classes else "yes"
    return set_field(row, at, rng.choice([str(highest + 1), "-1", "0.0", "01", "1.0", "+1", "99", name, "0 "]))


def probability_wrong(row: str, track: TrackSpec, rng: random.Random) -> str | None:
    fields = row.split(",")
    if track.submission != "trials" or len(fields) < 4:
        return None
    at = rng.choice([-3, -2])
    fields[at] = rng.choice(["1.5", "-0.1", "nan", "", f"{float(fields[at]) * 0.9 + 0.05001:.6f}", f"{fields[at]}0001"])
    return ",".join(fields)


def space(row: str, track: TrackSpec, rng: random.Random) -> str:
    """Put a space or a tab before or behind an answer."""
    at = rng.randrange(first_answer(row, track), len(row.split(",")))
    return set_field(row, at, rng.choice([" {}", "{} ", "\t{}", "{}\u00a0"]).format(row.split(",")[at]))


def byte_not_utf8(row: str, track: TrackSpec, rng: random.Random) -> bytes:
    data = row.encode()
    at = rng.randrange(len(data) + 1)
    while at < len(data) and data[at] & 0xC0 == 0x80:  # not within a letter of several bytes: that may stay a letter
        at += 1
    return data[:at] + rng.choice([b"\xff", b"\xe4", b"\xc3", b"\x80"]) + data[at:]


def other_encoding(content: bytes, track: TrackSpec, rng: random.Random) -> bytes:
    ways = (
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
    )
    return rng.choice(ways)(content.decode())


def line_ends(content: bytes, track: TrackSpec, rng: random.Random) -> bytes:
    lines = lines_of(content)
    at = rng.randrange(len(lines))
    ways = (
        lambda: content.replace(b"\n", b"\r\n"),
        lambda: content.replace(b"\n", b"\r"),
        lambda: joined([*lines[:at], lines[at] + "\r", *lines[at + 1 :]]),
        lambda: content[:-1],
        lambda: content + b"\n",
        lambda: content + b" ",
        lambda: joined([*lines[: at + 1], "", *lines[at + 1 :]]),
        lambda: b"\n" + content,
    )
    return rng.choice(ways)()


def quoted(row: str, track: TrackSpec, rng: random.Random) -> str:
    fields = row.split(",")
    at = rng.randrange(len(fields))
    fields[at] = f'"{fields[at]}"'
    return ",".join(fields)


def semicolons(content: bytes, track: TrackSpec, rng: random.Random) -> bytes | None:
    """Write the file as a spreadsheet of a country with decimal commas does."""
    if b"," not in content:
        return None
    mark = rng.choice([b";", b"\t"])
    changed = content.replace(b",", mark)
    return changed.replace(b".", b",") if rng.random() < 0.5 else changed


def filled_up(content: bytes, track: TrackSpec, rng: random.Random) -> bytes:
    """Give every line as many fields as the longest, as a spreadsheet does."""
    lines = lines_of(content)
    most = max(line.count(",") for line in lines) + int(rng.random() < 0.5)
    filled = [line + "," * (most - line.count(",")) for line in lines]
    return joined(filled) if filled != lines else joined([line + "," for line in lines])


def row_doubled(content: bytes, track: TrackSpec, rng: random.Random) -> bytes | None:
    if track.submission == KEYLESS:
        return None  # without keys two equal rows are not a visible fault
    lines = lines_of(content)
    lines.insert(rng.randrange(first_row(track), len(lines) + 1), lines[rng.randrange(first_row(track), len(lines))])
    return joined(lines)


def cut_short(content: bytes, track: TrackSpec, rng: random.Random) -> bytes:
    """Cut the file within a line, as a full disk leaves it."""
    end = rng.randrange(len(content) - len(lines_of(content)[-1].encode()), len(content))
    return content[:end] if not content[:end].endswith(b"\n") else content[: end - 1]


def nothing_left(content: bytes, track: TrackSpec, rng: random.Random) -> bytes:
    return rng.choice([b"", b"\n", content.split(b"\n")[0] + b"\n" if track.submission not in HEADERLESS else b""])


FORM: dict[str, Mutation] = {
    "header spelt wrong": on_file(header_spelt_wrong),
    "header gone": on_file(header_gone),
    "header of another track": on_file(header_of_another),
    "field gone": on_row(field_gone),
    "field more": on_row(field_more),
    "no number": on_row(no_number),
    "out of range": on_row(out_of_range),
    "probability": on_row(probability_wrong),
    "space": on_row(space),
    "byte": on_row(byte_not_utf8),
    "encoding": on_file(other_encoding),
    "line ends": on_file(line_ends),
    "quotes": on_row(quoted),
    "semicolons": on_file(semicolons),
    "filled up": on_file(filled_up),
    "row doubled": on_file(row_doubled),
    "cut short": on_file(cut_short),
    "nothing left": on_file(nothing_left),
}
