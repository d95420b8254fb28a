"""`harness explain CODE`: why an error happens, how it reads, what to do. The page docs/errors.md is made from this."""

from __future__ import annotations

import re
import string

from zoo.errors import UserError, catalogue, cause_of
from zoo.registry.suggestions import did_you_mean


def explain(code: str | None) -> None:
    """Print what is known of a code; without one, the page of all errors as Markdown."""
    if code is None:
        print(page(), end="")
        return
    code = code if code in catalogue() else code_of(code) or code
    if code not in catalogue():
        raise UserError("code-unknown", code=code, hint=did_you_mean(code, catalogue()))
    sentence = catalogue()[code]
    rows = [("code", code), ("cause", cause_of(code)), ("example", example(sentence))]
    if way := way_out(sentence):
        rows.append(("way out", way))
    for name, text in rows:
        print(f"{name + ':':<9} {text}")


def code_of(text: str) -> str | None:
    """The code of an error by its sentence, as the program printed it: of those that fit, the one that has most words
    of its own.
    """
    text = text.strip().removeprefix("error: ")
    fitting = []
    for code, sentence in catalogue().items():
        parts = [literal for literal, *_ in string.Formatter().parse(sentence)]
        if re.fullmatch(".*".join(map(re.escape, parts)) + ".*", text) and any(parts):
            fitting.append((sum(map(len, parts)), code))
    return max(fitting)[1] if fitting else None


def example(sentence: str) -> str:
    """The sentence as it may read, about made-up things."""
    numeric = {name for _, name, spec, _ in string.Formatter().parse(sentence) if name and spec}
    names = {name for _, name, _, _ in string.Formatter().parse(sentence) if name}
    made_up = {
        "file": "data/annotations/video1.txt",
        "line": 12,
        "frame": 12,
        "row": 12,
        "root": "data",
        "folder": "data",
    }
    return sentence.format(**{name: 3 if name in numeric else made_up.get(name, name.upper()) for name in names})


def way_out(sentence: str) -> str:
    """What to do: what a sentence ends with, after its last semicolon, or after the colon where a verb follows."""
    plain = example(sentence)
    last = re.split(
        r"; |: (?=(?:give|name|use|run|choose|install|make|get|add|take|say|write|leave|put|remove|mend)\b)", plain
    )
    return last[-1] if len(last) > 1 else ""


def page() -> str:
    """All errors, by what their codes begin with."""
    lines = [
        "# Errors",
        "",
        "Made by `harness explain > docs/errors.md`. Every error has a code that stays;",
        "`harness explain CODE` says more, and takes the sentence itself too. What stands in braces is filled in.",
    ]
    kind = ""
    for code in sorted(catalogue()):
        if (cause := cause_of(code)) != kind:
            kind = cause
            lines += ["", f"## {code.partition('-')[0]}", "", _literal(cause), ""]
        lines.append(f"- `{code}`: {_literal(catalogue()[code])}")
    return "\n".join(lines) + "\n"


def _literal(sentence: str) -> str:
    """A sentence as Markdown shows it as it is; what stands between backticks is code already."""
    plain = {"<": "&lt;", "[": "\\[", "]": "\\]", "*": "\\*", "_": "\\_"}
    parts = sentence.split("`")
    return "`".join("".join(plain.get(c, c) for c in part) if i % 2 == 0 else part for i, part in enumerate(parts))
