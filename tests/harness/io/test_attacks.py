"""A byte of any file that the program wrote is changed, and every command that reads the file is asked.

It says so (a line and exit code 2, what it found and exit code 1, or a line that names the file and what is done
without it), or it says and writes what it did before. Files that nobody reads are in ``READ_BY_NOBODY``, with the
reason. A new kind of file fails here until it has its readers.
"""

from __future__ import annotations

import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

import pytest

from leaderboards.record import read
from tests.support.program import Answer, Program

pytestmark = pytest.mark.slow

SHORT = ("--set", "train.epochs=1", "--set", "train.clip=16")
RUN, SECOND, MERGED = "runs/a", "runs/b", "runs/e"

COMMANDS: dict[str, tuple[str, ...]] = {
    "leaderboard": ("leaderboard", "runs"),
    "compare": ("compare", RUN, SECOND),
    "compare the ensemble": ("compare", MERGED, RUN),
    "evaluate": ("evaluate", RUN),
    "evaluate without": ("evaluate", RUN, "--drop", "context"),
    "submit": ("submit", RUN, "--zip"),
    "submit the ensemble": ("submit", MERGED),
    "ensemble": ("ensemble", RUN, SECOND, "--name", "new"),
    "resume": ("run", "--resume", RUN),
    "verify": ("verify", f"{RUN}/submission", "--manifest", f"{RUN}/submission/manifest.json"),
    "verify the archive": (
        "verify",
        f"{RUN}/submission/predictions.zip",
        "--manifest",
        f"{RUN}/submission/manifest.json",
    ),
    "submissions": ("submissions", "runs"),
    "keep": ("cache", "gc", "--keep", "runs", "--dry-run"),
    "cache": ("cache", "verify"),
    "index": ("data", "index", "data", "--track", "va"),
    "pack": ("data", "verify", "data"),
    "boxes": ("data", "boxes", "data", "--jobs", "1"),
    "extract": ("evaluate", RUN),
    "report": ("report", RUN),
}
FRESH = {"extract": "cache/features"}
"""Commands before which something is removed, so that they read what it was made from."""

READERS: dict[str, tuple[str, ...]] = {
    "cache/digests/*": ("evaluate",),
    "cache/encoders/*": ("evaluate",),
    "cache/features/*.npy": ("evaluate", "cache"),
    "cache/features/*/meta.json": ("evaluate", "cache", "keep"),
    "cache/index/*": ("index", "evaluate"),
    "cache/openpose/*": ("extract",),
    "cache/times/*": ("evaluate",),
    "cache/sound/*": ("extract",),
    "data/boxes/*": ("boxes", "extract"),
    "data/pack/*.arrow": ("pack", "extract"),
    "data/pack/*.json": ("pack", "extract"),
    "runs/?/config.toml": ("evaluate", "submit", "ensemble"),
    "runs/?/features.csv": ("keep",),
    "runs/?/history.csv": ("report",),
    "runs/[ab]/predictions/val.*parquet": ("compare", "ensemble", "evaluate", "report"),
    "runs/[ab]/predictions/test.*parquet": ("submit", "ensemble"),
    "runs/[ab]/predictions/val-*.parquet": ("evaluate without",),
    "runs/e/predictions/val.*parquet": ("compare the ensemble",),
    "runs/e/predictions/test.*parquet": ("submit the ensemble",),
    "runs/?/predictions/*.scores.json": ("evaluate without",),
    "runs/?/record.json": ("leaderboard", "compare", "compare the ensemble", "evaluate", "submit", "ensemble"),
    "runs/?/state.ckpt": ("resume",),
    "runs/?/submission/manifest.json": ("verify", "submissions", "submit"),
    "runs/?/submission/predictions.txt": ("verify", "submit"),
    "runs/?/submission/predictions.zip": ("submit",),
    "runs/?/weights.safetensors": ("evaluate",),
    "runs/submissions.jsonl": ("submissions",),
    "runs/leaderboard.*": ("leaderboard",),
}
READ_BY_NOBODY = {
    "*.lock": "empty, held by the system",
    "runs/?/events/*": "TensorBoard's own format, drawn by it alone; the figures are in state.ckpt",
    "runs/?/report.html": "a page for people; `harness report` makes it again",
    "runs/?/robustness/*": "a table for people; `evaluate --drop each` makes it again",
    "runs/?/seeds": "a number",
    "data/pack/ledger.jsonl": "the history of a pack, for people",
}
NOTICED = ("record.json", "weights.safetensors", "state.ckpt", "config.toml", "predictions/val.parquet")
NOTICED += ("features.csv", "history.csv")
NOTICED = (*(f"{RUN}/{name}" for name in NOTICED), f"{RUN}/submission/manifest.json", "runs/submissions.jsonl")
"""What cannot be made again: a changed byte is told."""
OF_THE_USER = ("data/annotations/*", "data/cropped_aligned/*", "data/openpose/*", "data/videos/*", "data/*.json")
OF_THE_USER += ("data/names_of_videos_in_each_test_set/*", "data/test_set_examples/*", "data/README.txt")
"""The data set itself: what it says is what a run is made from, and its fingerprint is in the record."""


@dataclass
class World:
    """A folder with everything in it, which can be put back as it was."""

    root: Path
    program: Program
    kept: dict[Path, bytes] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    usual: dict[str, tuple[Answer, dict[str, bytes]]] = field(default_factory=dict)

    def keep(self) -> None:
        self.kept = {path: path.read_bytes() for path in self.files()}

    def files(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*") if path.is_file())

    def put_back(self) -> None:
        """Only what differs, so that what is remembered of unchanged files stays true."""
        for path in self.files():
            if path not in self.kept:
                path.unlink()
        for path, content in self.kept.items():
            if not path.is_file() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        shutil.rmtree(self.root / "runs" / "new", ignore_errors=True)

    def ask(self, name: str) -> tuple[Answer, dict[str, bytes]]:
        """What a command answers, and what it leaves where others look: scores, rows, digests."""
        if name in FRESH:
            shutil.rmtree(self.root / FRESH[name])
        if name == "resume":
            for folder in (self.root / RUN, self.root / SECOND):
                record = read(folder / "record.json")
                record.status, record.reason = "interrupted", "stopped by the user"
                record.write(folder / "record.json")
        answer = self.program(*COMMANDS[name])
        wrote = {
            str(path.relative_to(self.root)): path.read_bytes()
            for pattern in ("*/weights.safetensors", "*/predictions/*.parquet", "*/submission/*.txt")
            for path in (self.root / "runs").glob(pattern)
        }
        return answer, wrote

    def usually(self, name: str) -> tuple[Answer, dict[str, bytes]]:
        if name not in self.usual:
            self.put_back()
            self.usual[name] = self.ask(name)
            assert self.usual[name][0].code in (0, 3), self.usual[name][0]
        return self.usual[name]


@pytest.fixture(scope="module")
def world(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("attacked")
    shutil.copytree(program.demo, root / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        own = replace(program, cache=root / "cache", demo=Path("data"))
        assert own("data", "pack", "data", "--jobs", "1").code == 0
        for seed, run in enumerate((RUN, SECOND)):
            own.run(Path("runs"), Path(run).name, *SHORT, "--seed", str(seed))
        for command in ("ensemble", "submit", "evaluate without"):
            arguments = [Path(MERGED).name if word == "new" else word for word in COMMANDS[command]]
            assert (answer := own(*arguments)).code == 0, answer
        assert own("evaluate", RUN, "--drop", "each").code == 0
        made = World(root, own)
        for name in ("evaluate", "index", "leaderboard"):  # what they keep is there from the start
            assert own(*COMMANDS[name]).code == 0
        made.keep()
        yield made


def readers(name: str) -> tuple[str, ...] | None:
    """The commands that read a file; () where none does; None where nobody has said."""
    if any(fnmatch(name, pattern) for pattern in (*READ_BY_NOBODY, *OF_THE_USER)):
        return ()
    return next((commands for pattern, commands in READERS.items() if fnmatch(name, pattern)), None)


def kinds(world: World) -> dict[str, Path]:
    """One file of each kind: names that differ in digits and digests alone are of one."""
    found: dict[str, Path] = {}
    for path in world.kept:
        name = str(path.relative_to(world.root))
        found.setdefault(
            re.sub(r"\b[0-9a-f]{2,64}\b|\d+", "N", re.sub(r"video\d+(_\w+)?|\d+-\d+-\d+x\d+", "V", name)), path
        )
    return found


def test_every_file_has_its_readers(world: World) -> None:
    names = [str(path.relative_to(world.root)) for path in world.kept]
    assert [name for name in names if readers(name) is None] == []
    for pattern in READERS:
        if pattern not in ("cache/sound/*",):
            assert any(fnmatch(name, pattern) for name in names), pattern


def places(content: bytes, dice: random.Random) -> list[int]:
    """Where to change a byte: at one of the ends, and between."""
    return sorted({dice.choice([0, len(content) - 1]), dice.randrange(len(content))})


def is_told(name: str, answer: Answer, usual: Answer) -> bool:
    """Whether an answer says more than it usually does, and of this file: that it was left out, or is damaged."""
    new = set(f"{answer.out}\n{answer.err}".splitlines()) - set(f"{usual.out}\n{usual.err}".splitlines())
    return answer.code in (1, 2) or any(name in line or "damaged" in line for line in new)


def fault(name: str, answer: Answer, wrote: dict[str, bytes], usual: tuple[Answer, dict[str, bytes]]) -> str:
    """What is wrong with an answer about a changed file; "" where nothing is."""
    if "Traceback" in answer.err:
        return "a traceback"
    if answer.code == 2:
        lines = [line for line in answer.err.splitlines() if line.startswith("error: ")]
        return "" if len(lines) == 1 else f"{len(lines)} lines of error"
    if answer.code == 1:
        return ""  # a check that found it
    if answer.code != usual[0].code:
        return f"exit code {answer.code}"
    if wrote != usual[1]:
        return "it wrote something else"
    return "" if answer.out == usual[0].out or is_told(name, answer, usual[0]) else "it said something else"


def attack(world: World, path: Path, say: Callable[[str], object]) -> None:
    name = str(path.relative_to(world.root))
    dice = random.Random(name.replace(path.name, ""))
    for command in readers(name) or ():
        usual = world.usually(command)
        for at in places(world.kept[path], dice):
            world.put_back()
            content = bytearray(world.kept[path])
            content[at] ^= dice.randrange(1, 256)
            path.write_bytes(content)
            answer, wrote = world.ask(command)
            own = {other: made for other, made in wrote.items() if other != name}
            before = usual[0], {other: made for other, made in usual[1].items() if other != name}
            world.seen[name] += is_told(name, answer, usual[0])
            if wrong := fault(name, answer, own, before):
                say(f"{name}, byte {at}: {command}: {wrong}\n{answer.out[-500:]}\n{answer.err[-500:]}\n")
    world.put_back()


def test_a_changed_byte_is_seen_or_changes_nothing(world: World) -> None:
    faults: list[str] = []
    attacked = [path for path in kinds(world).values() if readers(str(path.relative_to(world.root)))]
    for path in attacked:
        if path.stat().st_size:
            attack(world, path, faults.append)
    assert not faults, "\n".join(faults)
    for name in NOTICED:
        assert world.seen[name], f"{name}: no change of it was noticed"
