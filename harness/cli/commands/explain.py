"""`harness explain CODE`: the cause of an error, an example and what to do. Also writes the page docs/errors.md."""

from __future__ import annotations

import re
import string
from functools import cache
from itertools import groupby

from zoo.errors import UserError, catalogue, cause_of
from zoo.registry.suggestions import did_you_mean


def explain(code: str | None) -> None:
    """Print cause, example and way out of a code; without one, print the page of all errors as Markdown."""
    if code is None:
        print(page(), end="")
        return
    code = code if code in catalogue() else code_of(code) or code
    if code not in catalogue():
        raise UserError("code-unknown", code=code, hint=did_you_mean(code, catalogue()))
    sentence = catalogue()[code]
    rows = [("code", code), ("cause", cause_of(code)), ("example", example(sentence, code))]
    if way := way_out(sentence):
        rows.append(("way out", way))
    for name, text in rows:
        print(f"{name + ':':<9} {text}")


def code_of(text: str) -> str | None:
    """Return the code of an error by its message, as the program printed it; None if no message fits.

    If several fit, the one with the most text of its own is returned.
    """
    text = text.strip().removeprefix("error: ")
    fitting = [(sum(map(len, parts)), code) for code, parts in _own_words().items() if _fits(text, parts)]
    return max(fitting)[1] if fitting else None


@cache
def _own_words() -> dict[str, list[str]]:
    """Return what stands between the fields of each message, by code; messages that are all field are left out."""
    words = {code: [own for own, *_ in string.Formatter().parse(text)] for code, text in catalogue().items()}
    return {code: parts for code, parts in words.items() if any(parts)}


def _fits(text: str, parts: list[str]) -> bool:
    """Return whether the text begins with the first part and has the others after it, in their order."""
    begin, *others = parts
    at = len(begin)
    if not text.startswith(begin):
        return False
    for part in others:
        found = text.find(part, at)  # the earliest place leaves the most room for those that follow
        if found < 0:
            return False
        at = found + len(part)
    return True


PREDICT = {
    "file": "my_video.mp4",
    "video": "my_video.mp4",
    "part": "more/my_video.mp4",
    "folder": "my_videos",
    "path": "drawn.mp4",
    "option": "--overlay",
    "model": "runs/first",
    "names": "face",
    "number": 0,
    "count": 1,
    "count2": 3,
}
"""Fields of examples about `harness predict`."""


def example(sentence: str, code: str = "") -> str:
    """Return the message with made-up fields; those of ``predict-...`` codes are of one's own videos."""
    numeric = {name for _, name, spec, _ in string.Formatter().parse(sentence) if name and spec}
    names = {name for _, name, _, _ in string.Formatter().parse(sentence) if name}
    made_up = {
        "file": "data/annotations/video1.txt",
        "line": 12,
        "frame": 12,
        "row": 12,
        "root": "data",
        "folder": "data",
    } | (PREDICT if code.startswith("predict-") else {})
    return sentence.format(**{name: 3 if name in numeric else made_up.get(name, name.upper()) for name in names})


def way_out(sentence: str) -> str:
    """Return what to do: the end of a message after its last semicolon, or after a colon and a verb; "" if neither."""
    plain = example(sentence)
    last = re.split(
        r"; |: (?=(?:give|name|use|run|choose|install|make|get|add|take|say|write|leave|put|remove|correct)\b)", plain
    )
    return last[-1] if len(last) > 1 else ""


def page() -> str:
    """Return the page of all errors as Markdown, grouped by cause."""
    lines = [
        "# Errors",
        "",
        "Made by `harness explain > docs/errors.md`. Every error has a code that does not change;",
        "`harness explain CODE` says more and also takes the message itself. Fields in braces are filled in.",
    ]
    for word, codes in groupby(sorted(catalogue()), key=lambda code: code.partition("-")[0]):
        lines += ["", f"## {word}"]
        for cause, same in groupby(sorted(codes, key=lambda code: (len(_reach(code)), code)), key=cause_of):
            lines += ["", _literal(cause), "", *(f"- `{code}`: {_literal(catalogue()[code])}" for code in same)]
    return "\n".join(lines) + "\n"


def _reach(code: str) -> str:
    """Return a code if it has a cause of its own, else its first word: causes of many codes come first on the page."""
    return code if cause_of(code) != cause_of(code.partition("-")[0]) else code.partition("-")[0]


def _literal(sentence: str) -> str:
    """Escape a message for Markdown; text between backticks is code and stays as it is."""
    plain = {"<": "&lt;", "[": "\\[", "]": "\\]", "*": "\\*", "_": "\\_"}
    parts = sentence.split("`")
    return "`".join("".join(plain.get(c, c) for c in part) if i % 2 == 0 else part for i, part in enumerate(parts))
