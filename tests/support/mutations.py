"""Mutations of a submission that make rows or values wrong, and helpers for all mutations.

A submission is a mapping file name -> bytes (one file, or a file per video). ``ROWS``: the organisers' list is needed
to detect them, ``VALUES``: the manifest. Those of form_mutations.py show in the file alone. Nothing here uses the
verifier.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from zoo.tracks import TrackSpec

Files = dict[str, bytes]
Mutation = Callable[[Files, TrackSpec, random.Random], Files | None]  # None: impossible for this format

HEADERLESS = ("frame_trials", "trials")
FOLDERS = ("per_video", "csv")
KEYLESS = "per_video"


def lines_of(content: bytes) -> list[str]:
    return content.decode().split("\n")[:-1]


def joined(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def on_file(change: Callable[[bytes, TrackSpec, random.Random], bytes | None]) -> Mutation:
    """Return a mutation that changes one file's bytes."""

    def mutation(files: Files, track: TrackSpec, rng: random.Random) -> Files | None:
        name = rng.choice(sorted(files))
        changed = change(files[name], track, rng)
        return None if changed is None else files | {name: changed}

    return mutation


def on_row(change: Callable[[str, TrackSpec, random.Random], str | bytes | None]) -> Mutation:
    """Return a mutation that changes one row's text."""

    def whole(content: bytes, track: TrackSpec, rng: random.Random) -> bytes | None:
        lines = content.split(b"\n")[:-1]
        at = rng.randrange(first_row(track), len(lines))
        changed = change(lines[at].decode(), track, rng)
        if changed is None:
            return None
        lines[at] = changed.encode() if isinstance(changed, str) else changed
        return b"".join(line + b"\n" for line in lines)

    return on_file(whole)


def first_row(track: TrackSpec) -> int:
    return 0 if track.submission in HEADERLESS else 1


def first_answer(row: str, track: TrackSpec) -> int:
    """Return the field of a row at which its answers begin; trials' probabilities come before them."""
    return len(row.split(",")) - len(track.answers)


def set_field(row: str, at: int, text: str) -> str:
    fields = row.split(",")
    fields[at] = text
    return ",".join(fields)


# --- rows and order ---------------------------------------------------------------------------------------------------


def row_gone(content: bytes, track: TrackSpec, rng: random.Random) -> bytes:
    lines = lines_of(content)
    del lines[rng.randrange(first_row(track), len(lines))]
    return joined(lines)


def rows_swapped(content: bytes, track: TrackSpec, rng: random.Random) -> bytes | None:
    lines = lines_of(content)
    if track.submission == KEYLESS or len(lines) - first_row(track) < 2:
        return None
    i, j = rng.sample(range(first_row(track), len(lines)), 2)
    lines[i], lines[j] = lines[j], lines[i]
    return joined(lines)


def rows_shuffled(content: bytes, track: TrackSpec, rng: random.Random) -> bytes | None:
    lines = lines_of(content)
    head, rows = lines[: first_row(track)], lines[first_row(track) :]
    if track.submission == KEYLESS or len(rows) < 2:
        return None
    ways = [rows[::-1], sorted(rows, reverse=True), rows[1:] + rows[:1]]
    found = [way for way in ways if way != rows]
    return joined([*head, *rng.choice(found)])


def key_renamed(row: str, track: TrackSpec, rng: random.Random) -> str | None:
    if track.submission == KEYLESS:
        return None
    key, *rest = row.split(",")
    letters = [i for i, char in enumerate(key) if char.isalnum()]
    at = rng.choice(letters)
    key = key[:at] + ("x" if key[at] != "x" else "y") + key[at + 1 :]
    return ",".join([key, *rest])


def row_foreign(content: bytes, track: TrackSpec, rng: random.Random) -> bytes:
    """Add a well-formed row of something that is not listed; for files without keys, any row."""
    lines = lines_of(content)
    at = rng.randrange(first_row(track), len(lines))
    key, comma, rest = lines[at].partition(",")
    new = lines[at] if track.submission == KEYLESS else f"{foreign(key, track)}{comma}{rest}"
    lines.insert(rng.randrange(first_row(track), len(lines) + 1), new)
    return joined(lines)


def foreign(key: str, track: TrackSpec) -> str:
    if track.submission == "csv":
        return "999"
    if track.submission == "items":
        before, _, after = track.item.partition("{}")
        return f"{before}another{after}"
    return f"another-{key}"


def file_gone(files: Files, track: TrackSpec, rng: random.Random) -> Files | None:
    if track.submission not in FOLDERS or len(files) < 2:
        return None
    gone = rng.choice(sorted(files))
    return {name: content for name, content in files.items() if name != gone}


def file_renamed(files: Files, track: TrackSpec, rng: random.Random) -> Files | None:
    if track.submission not in FOLDERS:
        return None
    old = rng.choice(sorted(files))
    stem, _, ending = old.rpartition(".")
    new = rng.choice([f"{stem}_left.{ending}", f"x{old}", f"{stem}.{ending}.txt", f"{stem} .{ending}"])
    return {new if name == old else name: content for name, content in files.items()}


def file_foreign(files: Files, track: TrackSpec, rng: random.Random) -> Files | None:
    if track.submission not in FOLDERS:
        return None
    like = rng.choice(sorted(files))
    return files | {rng.choice([f"more-{like}", ".DS_Store", "notes.docx"]): files[like]}


ROWS: dict[str, Mutation] = {
    "row gone": on_file(row_gone),
    "rows swapped": on_file(rows_swapped),
    "rows shuffled": on_file(rows_shuffled),
    "key renamed": on_row(key_renamed),
    "row foreign": on_file(row_foreign),
    "file gone": file_gone,
    "file renamed": file_renamed,
    "file foreign": file_foreign,
}


# --- values -----------------------------------------------------------------------------------------------------------


def value_changed(row: str, track: TrackSpec, rng: random.Random) -> str:
    """Replace an answer by another valid one."""
    first = first_answer(row, track)
    at = rng.randrange(first, len(row.split(",")))
    answer, old = track.answers[at - first], row.split(",")[at]
    if answer.kind == "value":
        new = f"{rng.uniform(answer.low, answer.high):.6f}"
        return set_field(row, at, new if new != old else f"{answer.low:.6f}" if float(old) else f"{answer.high:.6f}")
    n = len(answer.classes) if answer.kind == "class" else 2
    return set_field(row, at, str((int(old) + rng.randrange(1, n)) % n))


def digit_changed(row: str, track: TrackSpec, rng: random.Random) -> str | None:
    """Change the last decimal of a number, which no eye would see."""
    first = first_answer(row, track)
    fields = row.split(",")
    inside = [at for at in range(first, len(fields)) if track.answers[at - first].kind == "value"]
    inside = [at for at in inside if abs(float(fields[at])) < 1]  # for 1.000000 another digit would be out of range
    if not inside:
        return None
    at = rng.choice(inside)
    old = fields[at]
    return set_field(row, at, old[:-1] + str((int(old[-1]) + 1) % 10))


def answers_exchanged(content: bytes, track: TrackSpec, rng: random.Random) -> bytes | None:
    """Exchange the answers of two rows, which keep their keys."""
    lines = lines_of(content)
    keyed = int(track.submission != KEYLESS)
    rows = [line.split(",") for line in lines]
    pairs = [
        (i, j)
        for i in range(first_row(track), len(rows))
        for j in range(i)
        if j >= first_row(track) and rows[i][keyed:] != rows[j][keyed:]
    ]
    if not pairs:
        return None
    i, j = rng.choice(pairs)
    rows[i], rows[j] = rows[i][:keyed] + rows[j][keyed:], rows[j][:keyed] + rows[i][keyed:]
    return joined([",".join(row) for row in rows])


VALUES: dict[str, Mutation] = {
    "value changed": on_row(value_changed),
    "digit changed": on_row(digit_changed),
    "answers exchanged": on_file(answers_exchanged),
}
