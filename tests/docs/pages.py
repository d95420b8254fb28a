"""What a reader finds on a page: sections with fenced blocks, commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Block:
    """A fenced block: its section, what follows the fence, its text."""

    section: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Its command lines, continued ones joined."""
        return [line for line in self.text.replace("\\\n", " ").splitlines() if line.strip()]


def blocks(page: str) -> list[Block]:
    """Every fenced block of a Markdown page, under the last title of the first or second level above it."""
    found: list[Block] = []
    section, language, lines = "", None, list[str]()
    for line in page.splitlines():
        if line.startswith("```"):
            if language is None:
                language, lines = line[3:], []
            else:
                found.append(Block(section, language, "\n".join(lines) + "\n"))
                language = None
        elif language is not None:
            lines.append(line)
        elif title := re.match(r"##? (.*)", line):
            section = title[1]
    assert language is None, "a fence is not closed"
    return found


def harness_commands(page: str) -> list[list[str]]:
    """The arguments of every ``harness`` command of a page: fenced, indented, or in a line's code spans."""
    lines = [line for block in blocks(page) if block.language in ("sh", "console") for line in block.commands]
    lines += re.findall(r"(?m)^    (?=harness |uv run harness )(.*)$", page)
    found = []
    for line in lines:
        for part in re.split(r"&&|\|", line):
            words = shlex.split(part, comments=True)
            if "harness" in words[:6] and words[0] != "git":
                found.append(words[words.index("harness") + 1 :])
            elif "harness.cli" in words:
                found.append(words[words.index("harness.cli") + 1 :])
    return found


def read(path: Path) -> str:
    """A page's text."""
    return path.read_text(encoding="utf-8")
